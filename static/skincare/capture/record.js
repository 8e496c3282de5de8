/* A patient's lesions and cases, and one lesion over time. */
import { patientOf } from "./home.js";
import { $, share, siteName, stamp, t, when } from "./page.js";
import { bornOf, caseRow, nameOf, row } from "./rows.js";
import { get, list, picture, send } from "./server.js";

let addresses = [];
export function leave() {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  for (const id of ["looked-up", "record-lesions", "record-cases", "visits"]) $(`#${id}`).replaceChildren();
}

export function showFind() {
  leave();
  $("#look-up").reset();
  $("#look-up-error").textContent = "";
}

$("#look-up").addEventListener("submit", async (event) => {
  event.preventDefault();
  const number = $("#look-up-number").value.trim();
  $("#look-up-error").textContent = number ? "" : t("record_number_missing");
  if (!number) return;
  try {
    const found = await send("patients/look-up/", { record_number: number });
    $("#looked-up").replaceChildren(...found.map((patient) => row({ href: `#/patient/${patient.id}`, mark: "person", title: nameOf(patient), more: bornOf(patient), chip: t("open") })));
    $("#look-up-error").textContent = found.length ? "" : t("nobody_found");
  } catch (error) {
    $("#look-up-error").textContent = error.message;
    if (!error.message) throw error;
  }
});

export async function showPatient(id) {
  leave();
  $("#record-error").textContent = "";
  const [patient, lesions, cases] = await Promise.all([patientOf(id), list(`lesions/?patient=${id}`, 50), list(`cases/?patient=${id}`, 50)]);
  $("#record-name").textContent = nameOf(patient);
  $("#record-more").textContent = bornOf(patient);
  $("#record-new").href = `#/new/${id}`;
  $("#record-lesions").replaceChildren(...lesions.map((lesion) => row({ href: `#/lesion/${lesion.id}`, mark: "body",
    title: lesion.description || siteName(lesion.anatom_site_general), more: when(lesion.created_at),
    chip: t("visits", { number: cases.filter((found) => found.lesion === lesion.id).length }) })));
  $("#record-cases").replaceChildren(...cases.map((found) => caseRow(found, null)));
}

export async function showLesion(id) {
  leave();
  $("#lesion-error").textContent = "";
  const lesion = await get(`lesions/${id}/`);
  const [patient, cases] = await Promise.all([patientOf(lesion.patient), list(`cases/?lesion=${id}`, 20)]);
  $("#lesion-name").textContent = lesion.description || siteName(lesion.anatom_site_general);
  $("#lesion-more").textContent = `${nameOf(patient)} · ${siteName(lesion.anatom_site_general)}`;
  $("#lesion-new").href = `#/new/${lesion.patient}/${id}`;
  $("#visits").replaceChildren(...await Promise.all(cases.map(visit)));
}

async function visit(found) {
  const whole = await get(`cases/${found.id}/`);
  const item = stamp("t-visit");
  $("h2", item).textContent = when(found.seen_at);
  const shown = whole.images.find((image) => image.id === whole.analysis.deciding_image) || whole.images[0];
  if (shown.content) {
    const address = URL.createObjectURL(await picture(shown.content));
    addresses.push(address);
    $("img", item).src = address;
  }
  $("img", item).alt = t(`kind ${shown.kind}`);
  $("p", item).textContent = [whole.analysis.recommendation_text || whole.state_text,
    whole.analysis.malignancy_risk === null ? "" : t("risk_short", { risk: share(whole.analysis.malignancy_risk) })].filter(Boolean).join(" ");
  $("a", item).href = `#/answer/${found.id}`;
  return item;
}
