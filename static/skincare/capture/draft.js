/* The case being made. Every change is kept, sealed under the PIN's key, so that closing the browser loses nothing. */
import { configuration, t } from "./page.js";
import * as store from "./store.js";
import * as vault from "./vault.js";
import { pngOf } from "./signature.js";

export const STEPS = ["patient", "consent", "site", "photographs", "history", "impression", "review"];
export let draft = null;
/** Bytes of the draft's photographs, by id. */
const photographs = new Map();
/** The draft of each photograph that is being opened and judged. */
const beingRead = [];
let timer = null;
let saving = Promise.resolve();

/** A consent of which nothing was said yet; `in_force` are scopes that were agreed to before. */
export const blankConsent = () => ({ scopes: {}, ids: {}, method: "", spoken: "", signature: "", witness: "", captured_at: null, in_force: [] });

/** A lesion that the server knows, as a draft has it. */
export const knownLesion = (found) => ({
  id: found.id, known: true, site: found.anatom_site_general, description: found.description,
  side: found.body_map_side, x: found.body_map_x, y: found.body_map_y,
});

export function begin(patient = null, lesion = null) {
  draft = {
    id: crypto.randomUUID(), created: new Date().toISOString(), step: "patient", state: "editing", patient, lesion,
    consent: blankConsent(),
    shots: [], answers: {}, background: {}, suspicion: "", impression: "", note: "",
  };
  photographs.clear();
  return draft;
}

/** Keep the draft as it is now, a moment later. */
export function changed() {
  clearTimeout(timer);
  timer = setTimeout(save, 250);
}

export function save() {
  clearTimeout(timer);
  if (!draft || !vault.isOpen()) return saving;
  const object = structuredClone(draft);
  return inTurn(async () => store.write("drafts", await sealed(object)));
}

/** Do it once everything before is kept; what failed stops nothing later. */
function inTurn(work) {
  saving = saving.catch(() => {}).then(work);
  return saving;
}

const sealed = async (object, key) => ({ id: object.id, author: vault.author(), updated: Date.now(), state: object.state, ...await vault.sealObject(object, key) });

/** A draft's row for when it is on its way, once everything before is kept. */
export async function rowOnItsWay(finished) {
  if (finished === draft) clearTimeout(timer);
  await saving.catch(() => {});
  return sealed({ ...finished, state: "sent" });
}

/** Whether it is still on this phone, and sealed under the key of today's PIN. */
export async function opens(id) {
  const row = await store.read("drafts", id);
  return Boolean(row) && vault.openObject(row).then(() => true, () => false);
}

export async function load(id) {
  if (draft?.id === id) return draft;
  await save();
  const row = await store.read("drafts", id);
  if (row?.author !== vault.author()) return null;
  draft = await vault.openObject(row);
  photographs.clear();
  for (const shot of draft.shots) {
    const kept = await store.read("photographs", shot.id);
    if (kept) photographs.set(shot.id, await vault.open(kept));
  }
  return draft;
}

/** All of this person's drafts that are not on their way, opened, the newest first. */
export async function all() {
  await saving.catch(() => {}); // who kept it was told
  const rows = (await store.readAll("drafts")).filter((row) => row.state === "editing" && row.author === vault.author());
  const opened = await Promise.all(rows.map((row) => vault.openObject(row)));
  return opened.sort((one, other) => other.created.localeCompare(one.created));
}

/** How many photographs of the open draft are still being opened and judged. */
export const coming = () => beingRead.filter((id) => id === draft.id).length;

/** Add a photograph to the draft that it was taken for, also where another is open once it is prepared, or the app is locked;
    until then the draft is not complete. Null where it is no draft any more. */
export async function addShot(id, kind, preparing) {
  beingRead.push(id);
  const key = vault.keyNow();
  try {
    const { bytes, problems, warnings } = await preparing;
    const shot = { id: crypto.randomUUID(), kind, problems, warnings, remark: "", kept: false };
    await store.write("photographs", { id: shot.id, draft: id, ...await vault.seal(bytes, key) });
    const kept = draft?.id === id || await addToKept(id, shot, key);
    if (draft?.id === id && !draft.shots.some((one) => one.id === shot.id)) {
      photographs.set(shot.id, bytes);
      draft.shots.push(shot);
      await save();
    } else if (!kept) {
      await store.remove("photographs", shot.id);
      return null;
    }
    return shot;
  } finally {
    beingRead.splice(beingRead.indexOf(id), 1);
  }
}

/** Add it to a draft that is not open; whoever opens that one waits for it. False where it is on its way or gone. */
function addToKept(id, shot, key) {
  return inTurn(async () => {
    const row = await store.read("drafts", id);
    if (row?.state !== "editing") return false;
    const left = await vault.openObject(row, key);
    left.shots.push(shot);
    await store.write("drafts", await sealed(left, key));
    return true;
  });
}

export async function removeShot(id) {
  draft.shots = draft.shots.filter((shot) => shot.id !== id);
  photographs.delete(id);
  await save();
  await store.remove("photographs", id);
}

/** An address of a photograph for this page; give it back with URL.revokeObjectURL. */
export const addressOf = (id) => URL.createObjectURL(new Blob([photographs.get(id)]));

export async function discard() {
  const { id } = draft;
  close();
  await inTurn(() => store.forget(id)); // a photograph that comes later finds no draft
}

/** Leave memory: after locking, submitting and discarding. */
export function close() {
  clearTimeout(timer);
  draft = null;
  photographs.clear();
}

export const score = () => Object.entries(configuration.points).reduce((sum, [code, points]) => sum + (draft.answers[code] ? points : 0), 0);
export const allows = (scope, consent = draft.consent) => consent.in_force.includes(scope) || Boolean(consent.scopes[scope]);

/** Whether something was agreed to without what shows it. */
export function lacksEvidence(consent) {
  const evidence = { signature: consent.signature, spoken: consent.witness.trim(), paper: true }[consent.method];
  return Object.values(consent.scopes).some(Boolean) && !evidence;
}

/** Which steps lack something that is required. */
export function lacking() {
  return [
    !draft.patient && "patient",
    lacksEvidence(draft.consent) && "consent",
    !draft.lesion?.site && "site",
    (coming() || !draft.shots.length || draft.shots.some((shot) => shot.problems.length && !(shot.kept && shot.remark.trim()))) && "photographs",
    Object.keys(configuration.questions).some((code) => draft.answers[code] === undefined) && "history",
    !draft.suspicion && "impression",
  ].filter(Boolean);
}

const said = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined));

/** When it was, but not later than now: where the phone's clock was ahead and has been set since, what it wrote lies in the future. */
function notAhead(moment) {
  const now = new Date().toISOString();
  return moment < now ? moment : now;
}

/** A consent as the API takes it: one form a scope. */
export function formsOf(consent) {
  const evidence = said({
    signature: consent.method === "signature" ? pngOf(consent.signature) : "",
    witness: consent.method === "spoken" ? consent.witness.trim() : "",
    language: consent.spoken,
  });
  return Object.keys(consent.scopes).filter((scope) => consent.scopes[scope]).map((scope) => ({
    id: consent.ids[scope], policy_version: consent.policy.version, policy_language: consent.policy.language, scope,
    captured_at: notAhead(consent.captured_at), method: consent.method, ...evidence,
  }));
}

/** The case as the API takes it, and the photographs in its order. */
export function finished(organisation) {
  const { patient, lesion, consent } = draft;
  const remarks = draft.shots.flatMap((shot, index) => (shot.problems.length && shot.remark
    ? [t("kept_although", { number: index + 1, remark: shot.remark })] : []));
  const background = Object.fromEntries(configuration.background.map((code) => [code, draft.background[code] ?? null]));
  const { bleeding, growth, ...checklist } = draft.answers;
  const fields = {
    ...(organisation ? { organisation } : {}),
    patient: patient.known ? patient.id : said({
      id: patient.id, record_number: patient.record_number, name: patient.name, birth_date: patient.birth_date,
      sex: patient.sex, fitzpatrick_skin_type: patient.fitzpatrick_skin_type,
    }),
    lesion: lesion.known ? lesion.id : said({
      id: lesion.id, anatom_site_general: lesion.site, body_map_side: lesion.side, body_map_x: lesion.x, body_map_y: lesion.y,
      description: lesion.description,
    }),
    consents: formsOf(consent),
    images: draft.shots.map((shot) => ({ kind: shot.kind })),
    seen_at: notAhead(draft.created), suspicion: draft.suspicion, impression: draft.impression, checklist, bleeding, growth,
    ...background, note: [draft.note.trim(), ...remarks].filter(Boolean).join("\n"),
  };
  return { fields, photographs: draft.shots.map((shot) => photographs.get(shot.id)) };
}
