/* The case being made. Every change is kept, sealed under the PIN's key, so that closing the browser loses nothing. */
import { configuration, t } from "./page.js";
import * as store from "./store.js";
import * as vault from "./vault.js";
import { pngOf } from "./signature.js";

export const STEPS = ["patient", "consent", "site", "photographs", "history", "impression", "review"];
export let draft = null;
/** Bytes of the draft's photographs, by id. */
const photographs = new Map();
let timer = null;
let saving = Promise.resolve();

export function begin(patient = null, lesion = null) {
  draft = {
    id: crypto.randomUUID(), created: new Date().toISOString(), step: "patient", state: "editing", patient, lesion,
    consent: { scopes: {}, ids: {}, method: "", signature: "", witness: "", captured_at: null, in_force: [] },
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
  const [id, object] = [draft.id, structuredClone(draft)];
  saving = saving.then(async () => store.write("drafts", { id, updated: Date.now(), state: object.state, ...await vault.sealObject(object) }));
  return saving;
}

export async function load(id) {
  if (draft?.id === id) return draft;
  await save();
  const row = await store.read("drafts", id);
  if (!row) return null;
  draft = await vault.openObject(row);
  photographs.clear();
  for (const shot of draft.shots) {
    const kept = await store.read("photographs", shot.id);
    if (kept) photographs.set(shot.id, await vault.open(kept));
  }
  return draft;
}

/** All drafts that are not on their way, opened, the newest first. */
export async function all() {
  await saving;
  const rows = (await store.readAll("drafts")).filter((row) => row.state === "editing");
  const opened = await Promise.all(rows.map((row) => vault.openObject(row)));
  return opened.sort((one, other) => other.created.localeCompare(one.created));
}

export async function addShot(kind, prepared) {
  const shot = { id: crypto.randomUUID(), kind, problems: prepared.problems, warnings: prepared.warnings, remark: "", kept: false };
  await store.write("photographs", { id: shot.id, draft: draft.id, ...await vault.seal(prepared.bytes) });
  photographs.set(shot.id, prepared.bytes);
  draft.shots.push(shot);
  await save();
  return shot;
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
  await saving;
  await store.forget(id);
}

/** Leave memory: after locking, submitting and discarding. */
export function close() {
  clearTimeout(timer);
  draft = null;
  photographs.clear();
}

export const score = () => Object.entries(configuration.points).reduce((sum, [code, points]) => sum + (draft.answers[code] ? points : 0), 0);
export const allows = (scope) => draft.consent.in_force.includes(scope) || Boolean(draft.consent.scopes[scope]);

/** Which steps lack something that is required. */
export function lacking() {
  const scopes = Object.values(draft.consent.scopes).some(Boolean);
  const evidence = { signature: draft.consent.signature, spoken: draft.consent.witness.trim(), paper: true }[draft.consent.method];
  return [
    !draft.patient && "patient",
    scopes && !evidence && "consent",
    !draft.lesion?.site && "site",
    (!draft.shots.length || draft.shots.some((shot) => shot.problems.length && !(shot.kept && shot.remark.trim()))) && "photographs",
    Object.keys(configuration.questions).some((code) => draft.answers[code] === undefined) && "history",
    !draft.suspicion && "impression",
  ].filter(Boolean);
}

/** The case as the API takes it, and the photographs in its order. */
export function finished(organisation) {
  const { patient, lesion, consent } = draft;
  const said = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  const evidence = said({
    signature: consent.method === "signature" ? pngOf(consent.signature) : "",
    witness: consent.method === "spoken" ? consent.witness.trim() : "",
  });
  const remarks = draft.shots.flatMap((shot, index) => (shot.problems.length && shot.remark
    ? [t("kept_although", { number: index + 1, remark: shot.remark })] : []));
  const { personal_hx_mm = null, family_hx_mm = null, immunosuppression = null } = draft.background;
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
    consents: Object.keys(consent.scopes).filter((scope) => consent.scopes[scope]).map((scope) => ({
      id: consent.ids[scope], policy_version: consent.policy.version, policy_language: consent.policy.language, scope,
      captured_at: consent.captured_at, method: consent.method, ...evidence,
    })),
    images: draft.shots.map((shot) => ({ kind: shot.kind })),
    seen_at: draft.created, suspicion: draft.suspicion, impression: draft.impression, checklist, bleeding, growth,
    personal_hx_mm, family_hx_mm, immunosuppression, note: [draft.note.trim(), ...remarks].filter(Boolean).join("\n"),
  };
  return { fields, photographs: draft.shots.map((shot) => photographs.get(shot.id)) };
}
