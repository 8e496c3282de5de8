/* A consent that comes after the visit: recorded at once with the same evidence as in a case, and then on with the case. */
import * as consentStep from "./consent-step.js";
import { blankConsent, formsOf } from "./draft.js";
import { patientOf } from "./home.js";
import { $, announce, t } from "./page.js";
import { nameOf } from "./rows.js";
import { get, NoNetwork, Problem, send } from "./server.js";

/** Whose consent, what is said, the case that waits for it, and where it leads. */
let asked = null;
let busy = false;

/** Scopes that a patient allows now. */
export async function inForce(patientId) {
  return allowed(await get(`patients/${patientId}/consents/`));
}
const allowed = (consents) => consents.in_force.filter((scope) => scope.allowed).map((scope) => scope.scope);

export const addressFor = (patientId, caseId = "", then = "") => `#/agree/${[patientId, caseId, then].filter(Boolean).join("/")}`;

export async function show(patient, caseId, then) {
  leave();
  $("#agree").hidden = true; // until it is known who agrees, and to what already
  const mine = { patient, caseId, next: caseId ? `#/${then === "refer" ? "refer" : "answer"}/${caseId}` : `#/patient/${patient}`, consent: blankConsent() };
  asked = mine;
  const [person, in_force] = await Promise.all([patientOf(patient), inForce(patient)]);
  if (asked !== mine) return;
  $("#agree-who").textContent = nameOf(person);
  mine.consent.in_force = in_force;
  await consentStep.fill($("#agree-place"), mine.consent, () => { $("#agree-error").textContent = ""; });
  $("#agree-button").hidden = in_force.length === 3;
  $("#agree").hidden = false;
}

$("#agree").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (busy || !asked) return;
  const mine = asked;
  const { patient, caseId, next, consent } = mine;
  const said = (text) => { if (asked !== mine) return; $("#agree-error").textContent = text; $("#agree-error").scrollIntoView({ block: "center" }); };
  const lacks = Object.values(consent.scopes).some(Boolean) ? consentStep.lacksEvidence(consent) : t("scope_missing");
  if (lacks) { said(lacks); return; }
  const forms = formsOf(consent);
  busy = true;
  try {
    // One at a time, each under an id of its own: what was recorded before the network broke is not recorded twice.
    let consents = null;
    for (const form of forms) consents = await send(`patients/${patient}/consents/`, form);
    const now = allowed(consents);
    if (forms.some((form) => !now.includes(form.scope))) { said(t("agreed_too_early")); return; }
    if (caseId && consent.scopes.analysis) await readAtLast(caseId);
    announce(t("agreed"));
    if (asked === mine) location.replace(next);
  } catch (error) {
    if (!(error instanceof NoNetwork || error instanceof Problem)) throw error;
    said(error.message);
  } finally {
    busy = false;
  }
});

/** Have the network read a case that was not read for want of this consent. */
async function readAtLast(caseId) {
  const found = await get(`cases/${caseId}/`);
  if (found.links.retry) await send(`cases/${caseId}/retry/`, {});
}

/** Leave nothing of the patient on the screen. */
export function leave() {
  asked = null;
  consentStep.leave();
  $("#agree-who").textContent = $("#agree-error").textContent = "";
}
