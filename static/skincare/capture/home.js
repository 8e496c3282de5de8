/* The first screen: what is unsent, begun, waiting and answered. */
import * as drafts from "./draft.js";
import { $, $$, t, when } from "./page.js";
import { caseRow, nameOf, row } from "./rows.js";
import { get, list, NoNetwork, SignedOut } from "./server.js";
import { me } from "./who.js";

const SHOWN = 12;
const LOOKED = "looked-at";
/** Names of patients, in memory only. */
const patients = new Map();
let cases = [];
let filter = null;

export async function patientOf(id) {
  if (!patients.has(id)) patients.set(id, get(`patients/${id}/`).catch((error) => { patients.delete(id); throw error; }));
  return patients.get(id);
}
export const forgetNames = () => { patients.clear(); cases = []; };

const isNew = (found) => found.state !== "waiting" && found.submitted_at > (sessionStorage.getItem(LOOKED) || localStorage.getItem(LOOKED) || "");

export async function show() {
  $("#greeting").textContent = t("hello", { name: me?.name || "" });
  $("#clinic").textContent = me?.clinics.map((clinic) => clinic.name).join(", ") || "";
  filter = null;
  $("#drafts").replaceChildren(...(await drafts.all()).map((draft) => row({
    href: `#/case/${draft.id}/${draft.step}`, mark: "edit", title: draft.patient ? nameOf(draft.patient) : t("no_patient_yet"),
    more: when(draft.created), chip: t(`step ${draft.step}`),
  })));
  $("#drafts-part").hidden = !$("#drafts").children.length;
  $("#recent-problem").hidden = true;
  $("#recent-loading").hidden = cases.length > 0;
  if (cases.length) await fill();
  try {
    cases = await list(`cases/?page_size=${SHOWN}`, SHOWN);
    await fill();
    // What is shown now is not new at the next visit.
    sessionStorage.setItem(LOOKED, sessionStorage.getItem(LOOKED) || localStorage.getItem(LOOKED) || "");
    localStorage.setItem(LOOKED, new Date().toISOString());
  } catch (error) {
    if (error instanceof SignedOut) throw error;
    $("#recent-problem-text").textContent = error instanceof NoNetwork ? t("recent_offline") : error.message;
    $("#recent-problem").hidden = false;
  } finally {
    $("#recent-loading").hidden = true;
  }
}

async function fill() {
  $("#tile-waiting").textContent = cases.filter((found) => found.state === "waiting").length;
  $("#tile-new").textContent = cases.filter(isNew).length;
  const shown = cases.filter((found) => !filter || (filter === "waiting" ? found.state === "waiting" : isNew(found)));
  const names = await Promise.all(shown.map((found) => patientOf(found.patient).catch(() => null)));
  $("#recent").replaceChildren(...shown.map((found, index) => caseRow(found, names[index])));
  $("#recent-empty").hidden = shown.length > 0;
  $("#recent-empty-text").textContent = filter ? t("none_of_these") : t("no_case_yet");
  $("#recent-heading").textContent = filter ? t(`cases ${filter}`) : t("cases latest");
  $("#show-all").hidden = !filter;
}

for (const tile of $$("[data-show]")) tile.addEventListener("click", () => { filter = tile.dataset.show; fill(); });
$("#show-all").addEventListener("click", () => { filter = null; fill(); });
