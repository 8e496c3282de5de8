/* Finished cases on their way to the server: in order, each exactly once, again with back-off until they arrive. */
import { deliver, get, NoNetwork, Problem, SignedOut } from "./server.js";
import * as store from "./store.js";

const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 5 * 60_000;
const listeners = new Set();
const watchers = new Set();
/** The run that has not begun, and whether it passes over the pause after a failure. */
let next = null;
let hurry = false;
let timer = null;
/** Whose session this is, as far as known. */
let user = null;

export const onChange = (listener) => listeners.add(listener);
/** How far an upload is: said often, and without reading what waits. */
export const onProgress = (watcher) => watchers.add(watcher);
/** Tell the listeners what waits. */
export async function tell(detail = {}) {
  const rows = await waiting();
  listeners.forEach((listener) => listener(rows, detail));
}

export const waiting = async () => (await store.readAll("outbox")).sort((one, other) => one.order - other.order);
export function belongsTo(id) { user = id; }

/** Put an envelope behind those that wait, and its draft's row beside it: both or neither. With the same id it takes the earlier one's place. */
export async function add(id, author, envelope, draftRow) {
  const rows = await waiting();
  const order = rows.find((row) => row.id === id)?.order ?? (rows.at(-1)?.order ?? 0) + 1;
  await store.writeTogether({ drafts: draftRow, outbox: { id, author, envelope, order, since: Date.now(), state: "waiting", attempts: 0 } });
  await tell();
}

/** Take an envelope back, to mend the case that it holds. */
export async function withdraw(id) {
  await store.remove("outbox", id);
  await tell();
}

/** Send what waits. Called at launch, when the app is seen again, when there is a network, and after each new case.
    One run at a time in all tabs of this phone; what comes too late for one is sent by the next, which waits for its turn. */
export function flush({ now = false } = {}) {
  clearTimeout(timer);
  hurry ||= now;
  next ||= navigator.locks.request("skincare-outbox", () => {
    const atOnce = hurry;
    [next, hurry] = [null, false];
    return work(atOnce);
  });
  return next;
}

/** Read anew before each case, so that one that was finished meanwhile is sent too and one that was deleted is not. */
async function work(now) {
  for (;;) {
    const row = (await waiting()).find((one) => one.state !== "refused" && (!user || one.author === user));
    if (!row) return;
    if (!now && row.retryAt > Date.now()) { later(row.retryAt - Date.now()); return; }
    if (await sendOne(row) === "stop") return;
  }
}

function later(pause) {
  clearTimeout(timer);
  timer = setTimeout(() => flush(), pause);
}

/** Why it was not taken: what this server cannot open, and another person's session brought, waits for its author's. */
async function reasonOf(error, { author }) {
  if (error.code !== "envelope_unreadable") return error;
  try {
    return (await get("me/")).id === author ? error : new SignedOut();
  } catch (unasked) {
    return unasked;
  }
}

async function sendOne(row) {
  try {
    const receipt = await deliver(row.envelope, row.id, (progress) => watchers.forEach((watcher) => watcher(row.id, progress)));
    await store.forget(row.id);
    await tell({ delivered: row.id, receipt });
    return "next";
  } catch (refusal) {
    const error = await reasonOf(refusal, row);
    const attempts = row.attempts + 1;
    if (error instanceof Problem && !error.passing) {
      await store.write("outbox", { ...row, state: "refused", attempts, code: error.code, reason: error.message });
      await tell({ refused: row.id });
      return "next";
    }
    const known = error instanceof SignedOut || error instanceof NoNetwork || error instanceof Problem;
    if (!known) throw error;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts - 1, 10));
    const state = error instanceof SignedOut ? "signed_out" : "waiting";
    await store.write("outbox", { ...row, state, attempts, retryAt: Date.now() + pause });
    await tell({ state });
    if (!(error instanceof SignedOut)) later(pause);
    return "stop";
  }
}
