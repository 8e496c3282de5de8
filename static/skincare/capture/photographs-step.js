/* Step 4: photographs, each checked at once, with the reason and a retake. */
import { closeCamera, takePhotograph } from "./camera.js";
import * as drafts from "./draft.js";
import { $, announce, icon, make, stamp, t } from "./page.js";
import { prepare, Unusable } from "./photograph.js";
import { isFull } from "./store.js";

const KINDS = ["dermoscopic", "close_up", "overview"];
const MOST = 10;
let addresses = [];

export function show() {
  empty();
  $("#slots").replaceChildren(...KINDS.map(slot));
}

export function leave() {
  closeCamera();
  empty();
}

function empty() {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  $("#slots").replaceChildren();
}

function slot(kind) {
  const part = stamp("t-slot");
  part.dataset.kind = kind;
  $("h2", part).textContent = t(`kind ${kind}`);
  $("p", part).textContent = t(`why ${kind}`);
  $(".shots", part).replaceChildren(...drafts.draft.shots.filter((shot) => shot.kind === kind).map(shown));
  $("[data-live]", part).addEventListener("click", () => live(kind));
  $("[type=file]", part).addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) take(kind, file);
  });
  return part;
}

async function live(kind) {
  const { id } = drafts.draft;
  try {
    const blob = await takePhotograph(kind);
    if (blob) await take(kind, blob, id);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    say(t(error.name === "NotAllowedError" ? "camera_denied" : "camera_missing"));
    // The phone's own camera app, which asks nobody's leave.
    const input = $(`[data-kind=${kind}] [type=file]`);
    if (!input) return; // asked only after the screen was left
    input.setAttribute("capture", "environment");
    input.closest("label").classList.add("primary");
  }
}

/** Judge a photograph and keep it with the case that it was taken for, wherever the clinician is by then. */
async function take(kind, blob, draftId = drafts.draft.id) {
  say("");
  const isOpen = () => drafts.draft?.id === draftId;
  if (isOpen() && drafts.draft.shots.length + drafts.coming() >= MOST) { say(t("too_many", { most: MOST })); return; }
  const part = $(`[data-kind=${kind}]`); // none where the screen was left meanwhile
  part?.setAttribute("aria-busy", "true");
  try {
    const shot = await drafts.addShot(draftId, kind, prepare(blob));
    if (!shot || !isOpen()) return;
    announce(verdict(shot));
    if (!$("#slots").closest("[hidden]")) show();
  } catch (error) {
    if (error instanceof Unusable) { if (isOpen()) say(t(`unusable ${error.code}`)); }
    else if (isFull(error)) say(t("phone_full"));
    else throw error;
  } finally {
    part?.removeAttribute("aria-busy");
  }
}

const say = (text) => { $("#photographs-error").textContent = text; };
const verdict = (shot) => t(shot.problems.length ? (shot.kept ? "kept" : "not_good") : shot.warnings.length ? "usable" : "good");

function shown(shot) {
  const item = stamp("t-shot");
  const address = drafts.addressOf(shot.id);
  addresses.push(address);
  $("img", item).src = address;
  $("img", item).alt = t(`kind ${shot.kind}`);
  const kind = shot.problems.length ? "refer" : "settled";
  $(".shot-verdict", item).classList.add(kind);
  icon($(".shot-verdict svg", item), shot.problems.length ? "warn" : "check");
  $(".shot-verdict span", item).textContent = verdict(shot);
  $(".reasons", item).replaceChildren(...[...shot.problems, ...shot.warnings].map((code) => make("li", {}, t(`quality ${code}`))));
  const remark = $(".remark", item);
  remark.hidden = !shot.kept;
  $("label", remark).textContent = t("why_keep");
  $("label", remark).htmlFor = $("input", remark).id = `remark-${shot.id}`;
  $("input", remark).value = shot.remark;
  $("input", remark).addEventListener("input", (event) => { shot.remark = event.target.value; drafts.changed(); });
  const keep = $("[data-keep]", item);
  keep.hidden = !shot.problems.length || shot.kept;
  keep.addEventListener("click", () => { shot.kept = true; drafts.changed(); show(); $(`#remark-${shot.id}`).focus(); });
  $("[data-again]", item).addEventListener("click", async () => { await drafts.removeShot(shot.id); show(); await live(shot.kind); });
  $("[data-remove]", item).addEventListener("click", async () => { await drafts.removeShot(shot.id); show(); });
  return item;
}

/** Why one cannot go on; empty where one can. */
export function problem() {
  if (drafts.coming()) return t("photograph_being_read");
  if (!drafts.lacking().includes("photographs")) return "";
  return t(drafts.draft.shots.length ? "photograph_to_decide" : "photograph_missing");
}
