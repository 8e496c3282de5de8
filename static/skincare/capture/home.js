/* The first screen: what is unsent, begun, waiting and answered. */
import * as drafts from "./draft.js";
import { $, $$, day, siteName, t, when } from "./page.js";
import { caseRow, nameOf, referralRow, row } from "./rows.js";
import { get, list, NoNetwork, pages, Problem } from "./server.js";
import { visit } from "./visits.js";
import { me } from "./who.js";

/** How many rows come at a time; and how many of those that a tile counts, above which it says so with a plus. */
const SHOWN = 12;
const COUNTED = 50;
const LOOKED = "looked-at";
const DAY_MS = 86_400_000;
/** Names of patients, in memory only. */
const patients = new Map();
/** What can be shown below the tiles: each with its rows so far, and the address of what follows them. */
const LISTS = {
  latest: () => `cases/?page_size=${SHOWN}`,
  waiting: () => `cases/?state=waiting&page_size=${COUNTED}`,
  new: () => `cases/?answered_after=${encodeURIComponent(since())}&page_size=${COUNTED}`,
  referred: () => `referrals/?open=true&page_size=${COUNTED}`,
};
let lists = null;
let chosen = "latest";
let most = SHOWN;
/** Cases whose answers were looked at since the app was opened. */
const looked = new Set();

export const opened = (id) => looked.add(id);

export async function patientOf(id) {
  if (!patients.has(id)) patients.set(id, get(`patients/${id}/`).catch((error) => { patients.delete(id); throw error; }));
  return patients.get(id);
}
export function forgetNames() {
  patients.clear();
  lists = null;
  for (const id of ["recent", "due", "news"]) $(`#${id}`).replaceChildren();
  $("#more").hidden = true;
}

/** When somebody last looked before this time; the first time on a phone, a day ago. */
function since() {
  if (!sessionStorage.getItem(LOOKED)) sessionStorage.setItem(LOOKED, localStorage.getItem(LOOKED) || new Date(Date.now() - DAY_MS).toISOString());
  return sessionStorage.getItem(LOOKED);
}
const rowsOf = (name) => (name === "new" ? lists.new.rows.filter((found) => !looked.has(found.id)) : lists[name].rows);

export async function show() {
  const here = visit();
  $("#greeting").textContent = t("hello", { name: me?.name || "" });
  $("#clinic").textContent = me?.clinics.map((clinic) => clinic.name).join(", ") || "";
  [chosen, most] = ["latest", SHOWN];
  const begun = await drafts.all();
  if (!here()) return;
  $("#drafts").replaceChildren(...begun.map((draft) => row({
    href: `#/case/${draft.id}/${draft.step}`, mark: "edit", title: draft.patient ? nameOf(draft.patient) : t("no_patient_yet"),
    more: when(draft.created), chip: t(`step ${draft.step}`),
  })));
  $("#drafts-part").hidden = !$("#drafts").children.length;
  $("#recent-problem").hidden = true;
  $("#recent-loading").hidden = Boolean(lists);
  if (lists) await fill();
  if (here()) await refresh();
}

/** Ask the server again; what is chosen stays chosen. */
export async function refresh() {
  const here = visit();
  try {
    const names = Object.keys(LISTS);
    const [news, due, ...found] = await Promise.all([list("referrals/?news=true&page_size=20", 20), get("observations/?due=true"),
      ...names.map((name) => pages(LISTS[name](), name === chosen ? most : SHOWN))]);
    if (!here()) return;
    lists = Object.fromEntries(names.map((name, index) => [name, found[index]]));
    $("#recent-problem").hidden = true;
    await fill();
    await Promise.all([fillPart(news, "news", referralRow), fillPart(due, "due", dueRow)]);
    if (!here()) return;
    // What is counted now is not new at the next visit: by the server's clock, since the phone's may be wrong.
    localStorage.setItem(LOOKED, new Date(Math.max(Date.parse(since()), ...lists.new.rows.map((found) => Date.parse(found.answered_at) + 1))).toISOString());
  } catch (error) {
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
  for (const tile of $$("[data-show]")) {
    $("b", tile).textContent = `${rowsOf(tile.dataset.show).length}${lists[tile.dataset.show].next ? "+" : ""}`;
    tile.setAttribute("aria-pressed", String(tile.dataset.show === chosen));
  }
  const name = chosen;
  const rows = rowsOf(name);
  const shown = rows.slice(0, most);
  const more = rows.length > most || Boolean(lists[name].next);
  const here = visit();
  const names = await Promise.all(shown.map((found) => patientOf(found.patient).catch(() => null)));
  if (!here() || name !== chosen) return;
  $("#recent").replaceChildren(...shown.map((found, index) => (name === "referred" ? referralRow : caseRow)(found, names[index])));
  $("#recent-empty").hidden = shown.length > 0;
  $("#recent-empty-text").textContent = name === "latest" ? t("no_case_yet") : t("none_of_these");
  $("#recent-heading").textContent = t(`cases ${name}`);
  $("#show-all").hidden = name === "latest";
  $("#more").hidden = !more;
}

/** Show another of the lists from its beginning. */
async function choose(name) {
  [chosen, most] = [name, SHOWN];
  if (lists) await fill();
}

for (const tile of $$("[data-show]")) {
  tile.addEventListener("click", async () => { await choose(tile.dataset.show); $("#recent-heading").scrollIntoView({ block: "nearest" }); });
}
$("#show-all").addEventListener("click", () => choose("latest"));
$("#more").addEventListener("click", async () => {
  most += SHOWN;
  if (lists[chosen].next && rowsOf(chosen).length < most) await refresh(); else await fill();
});
