/* Step 1: find the patient by record number, or describe a new one. */
import { inForce } from "./agree.js";
import * as drafts from "./draft.js";
import { $, t } from "./page.js";
import { bornOf, nameOf, row } from "./rows.js";
import { NoNetwork, Problem, send } from "./server.js";
import { visit } from "./visits.js";

let next = () => {};

export function show(onNext) {
  next = onNext;
  const { patient } = drafts.draft;
  $("#find-patient").reset();
  $("#find-by-name").reset();
  $("#new-patient").reset();
  $("#by-name").open = false;
  $("#patient-error").textContent = $("#by-name-error").textContent = "";
  $("#patients-found").replaceChildren();
  $("#new-patient").hidden = !patient || patient.known;
  $("#patient-chosen").hidden = !patient;
  if (!patient) return;
  $("#patient-chosen-name").textContent = nameOf(patient);
  $("#patient-chosen-more").textContent = bornOf(patient);
  $("#record-number").value = patient.record_number;
  if (!patient.known) fill(patient);
}

function fill(patient) {
  $("#patient-name").value = patient.name || "";
  $("#birth-date").value = patient.birth_date || "";
  $("#sex").value = patient.sex || "";
  $("#skin-type").value = patient.fitzpatrick_skin_type || "";
}

$("#find-patient").addEventListener("submit", async (event) => {
  event.preventDefault();
  const number = $("#record-number").value.trim();
  const error = $("#patient-error");
  error.textContent = number ? "" : t("record_number_missing");
  $("#record-number").setAttribute("aria-invalid", String(!number));
  if (!number) { $("#record-number").focus(); return; }
  $("#patients-found").replaceChildren();
  const here = visit();
  try {
    const found = await send("patients/look-up/", { record_number: number });
    if (!here()) return;
    if (found.length) { $("#new-patient").hidden = true; offer(found); return; }
    describe(number, t("patient_new"));
  } catch (problem) {
    if (!(problem instanceof NoNetwork || problem instanceof Problem)) throw problem;
    if (!here()) return;
    if (problem instanceof NoNetwork) describe(number, t("patient_offline"));
    else if (problem.status >= 500) describe(number, t("patient_not_looked_up"));
    else error.textContent = problem.message;
  }
});

$("#find-by-name").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, birth] = [$("#by-name-field").value.trim(), $("#by-name-birth").value];
  const error = $("#by-name-error");
  error.textContent = name && birth ? "" : t("name_and_birth_missing");
  if (!name || !birth) return;
  $("#patients-found").replaceChildren();
  const here = visit();
  try {
    const found = await send("patients/look-up/", { name, birth_date: birth });
    if (!here()) return;
    if (found.length) { $("#new-patient").hidden = true; offer(found); return; }
    error.textContent = t("new_by_name");
    Object.assign($("#patient-name"), { value: name });
    Object.assign($("#birth-date"), { value: birth });
    $("#record-number").focus();
  } catch (problem) {
    if (!(problem instanceof NoNetwork || problem instanceof Problem)) throw problem;
    if (here()) error.textContent = problem.message;
  }
});

function offer(found) {
  $("#patients-found").replaceChildren(...found.map((patient) => {
    const item = row({ href: "#", mark: "person", title: nameOf(patient), more: bornOf(patient), chip: t("choose") });
    $("a", item).addEventListener("click", (event) => { event.preventDefault(); choose(patient); });
    return item;
  }));
  $("#patients-found a").focus();
}

async function choose(patient) {
  const here = visit();
  await take(patient);
  if (here()) next();
}

/** Take a patient whom the server knows, with what they have agreed to so far. */
export async function take(patient) {
  const { draft } = drafts; // where another is open by the time of the answer, it is another patient's
  draft.patient = { ...patient, known: true };
  draft.lesion = null;
  draft.consent.in_force = [];
  try {
    draft.consent.in_force = await inForce(patient.id);
  } catch (problem) {
    if (!(problem instanceof NoNetwork || problem.passing)) throw problem;
  }
  drafts.changed();
}

function describe(number, why) {
  $("#new-patient").hidden = false;
  $("#new-patient-why").textContent = why;
  const { patient } = drafts.draft;
  if (patient && !patient.known) fill({ ...patient, record_number: number });
  $("#patient-name").focus();
}

$("#new-patient").addEventListener("submit", (event) => {
  event.preventDefault();
  const { patient } = drafts.draft;
  const birthDate = $("#birth-date").value;
  if (birthDate && birthDate > new Date().toISOString().slice(0, 10)) {
    $("#patient-error").textContent = t("born_in_future");
    $("#birth-date").focus();
    return;
  }
  drafts.draft.patient = {
    id: patient && !patient.known ? patient.id : crypto.randomUUID(), known: false, record_number: $("#record-number").value.trim(),
    name: $("#patient-name").value.trim(), birth_date: birthDate, sex: $("#sex").value, fitzpatrick_skin_type: $("#skin-type").value,
  };
  drafts.draft.consent.in_force = [];
  if (drafts.draft.lesion?.known) drafts.draft.lesion = null;
  drafts.changed();
  next();
});
