/* The first screen: what is unsent, begun, waiting and answered. */
import * as drafts from "./draft.js";
import { $, $$, day, siteName, t, when } from "./page.js";
import { caseRow, nameOf, referralRow, row } from "./rows.js";
import { get, list, NoNetwork, Problem, SignedOut } from "./server.js";
import { visit } from "./visits.js";
import { me } from "./who.js";

const SHOWN = 12;
const LOOKED = "looked-at";
const DAY_MS = 86_400_000;
/** Names of patients, in memory only. */
const patients = new Map();
let cases = [];
let referrals = [];
let filter = null;
/** Cases whose answers were looked at since the app was opened. */
const looked = new Set();

export const opened = (id) => looked.add(id);

export async function patientOf(id) {
  if (!patients.has(id)) patients.set(id, get(`patients/${id}/`).catch((error) => { patients.delete(id); throw error; }));
  return patients.get(id);
}
export function forgetNames() {
  patients.clear();
  cases = [];
  referrals = [];
  for (const id of ["recent", "due", "news"]) $(`#${id}`).replaceChildren();
}

/** When somebody last looked before this time; the first time on a phone, a day ago. */
function since() {
  if (!sessionStorage.getItem(LOOKED)) sessionStorage.setItem(LOOKED, localStorage.getItem(LOOKED) || new Date(Date.now() - DAY_MS).toISOString());
  return sessionStorage.getItem(LOOKED);
}
const isNew = (found) => found.state !== "waiting" && !looked.has(found.id) && (found.answered_at || found.submitted_at) > since();

export async function show() {
  const here = visit();
  $("#greeting").textContent = t("hello", { name: me?.name || "" });
  $("#clinic").textContent = me?.clinics.map((clinic) => clinic.name).join(", ") || "";
  filter = null;
  const begun = await drafts.all();
  if (!here()) return;
  $("#drafts").replaceChildren(...begun.map((draft) => row({
    href: `#/case/${draft.id}/${draft.step}`, mark: "edit", title: draft.patient ? nameOf(draft.patient) : t("no_patient_yet"),
    more: when(draft.created), chip: t(`step ${draft.step}`),
  })));
  $("#drafts-part").hidden = !$("#drafts").children.length;
  $("#recent-problem").hidden = true;
  $("#recent-loading").hidden = cases.length > 0;
  if (cases.length) await fill();
  if (here()) await refresh();
}

/** Ask the server again; what is chosen stays chosen. */
export async function refresh() {
  const here = visit();
  try {
    const [foundCases, foundReferrals, news, due] = await Promise.all([list(`cases/?page_size=${SHOWN}`, SHOWN), list("referrals/?open=true&page_size=50", 50), list("referrals/?news=true&page_size=20", 20), get("observations/?due=true")]);
    if (!here()) return;
    [cases, referrals] = [foundCases, foundReferrals];
    $("#recent-problem").hidden = true;
    await fill();
    await Promise.all([fillPart(news, "news", referralRow), fillPart(due, "due", dueRow)]);
    if (!here()) return;
    // What is shown now is not new at the next visit.
    localStorage.setItem(LOOKED, new Date().toISOString());
  } catch (error) {
    if (error instanceof SignedOut) throw error;
    if (!(error instanceof NoNetwork || error instanceof Problem)) throw error;
    if (!here()) return;
    $("#recent-problem-text").textContent = error instanceof NoNetwork ? t("recent_offline") : error.message;
    $("#recent-problem").hidden = false;
  } finally {
    $("#recent-loading").hidden = true;
  }
}

/** A list below a heading, which is hidden where there is nothing. */
async function fillPart(rows, id, rowOf) {
  const here = visit();
  const names = await Promise.all(rows.map((found) => patientOf(found.patient).catch(() => null)));
  if (!here()) return;
  $(`#${id}`).replaceChildren(...rows.map((found, index) => rowOf(found, names[index])));
  $(`#${id}-part`).hidden = !rows.length;
}

const dueRow = (found, patient) => row({ href: `#/lesion/${found.lesion}`, mark: "clock", title: patient ? nameOf(patient) : siteName(found.anatom_site_general),
  more: siteName(found.anatom_site_general), chip: t("due_on", { date: day(found.remind_on) }), chipKind: "refer" });

async function fill() {
  $("#tile-waiting").textContent = cases.filter((found) => found.state === "waiting").length;
  $("#tile-new").textContent = cases.filter(isNew).length;
  $("#tile-referred").textContent = referrals.length;
  for (const tile of $$("[data-show]")) tile.setAttribute("aria-pressed", String(tile.dataset.show === filter));
  const shown = filter === "referred" ? referrals : cases.filter((found) => !filter || (filter === "waiting" ? found.state === "waiting" : isNew(found)));
  const here = visit();
  const names = await Promise.all(shown.map((found) => patientOf(found.patient).catch(() => null)));
  if (!here()) return;
  $("#recent").replaceChildren(...shown.map((found, index) => (filter === "referred" ? referralRow : caseRow)(found, names[index])));
  $("#recent-empty").hidden = shown.length > 0;
  $("#recent-empty-text").textContent = filter ? t("none_of_these") : t("no_case_yet");
  $("#recent-heading").textContent = filter ? t(`cases ${filter}`) : t("cases latest");
  $("#show-all").hidden = !filter;
}

for (const tile of $$("[data-show]")) {
  tile.addEventListener("click", async () => { filter = tile.dataset.show; await fill(); $("#recent-heading").scrollIntoView({ block: "nearest" }); });
}
$("#show-all").addEventListener("click", () => { filter = null; fill(); });
