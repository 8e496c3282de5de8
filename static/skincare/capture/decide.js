/* After the answer: refer, keep under observation with a reminder, or close with a reason. */
import { addressFor, inForce } from "./agree.js";
import { patientOf } from "./home.js";
import { $, $$, announce, beside, day, make, siteName, t, when } from "./page.js";
import { levelOf, nameOf } from "./rows.js";
import { get, list, NoNetwork, Problem, send } from "./server.js";
import { visit } from "./visits.js";

const URGENCY_OF = { refer_urgently: "urgent_suspected_cancer", refer: "soon", human_review: "soon" };
/** The case that is decided about, and the id of what is sent, so that a second tap sends the same. */
let found = null;
let id = null;
let busy = false;

export const asksToRefer = (analysis) => ["refer", "refer_urgently"].includes(analysis.recommendation);

/** What was decided about a case so far: its decisions and its referrals, the newest first. */
export async function decidedOn(caseId) {
  const [decisions, referrals] = await Promise.all([get(`cases/${caseId}/decisions/`), list(`referrals/?case=${caseId}`, 10)]);
  return { decisions, referrals };
}

/** Ask for the case that is decided about; null where the screen was left before it came. */
async function begin(screen, caseId) {
  const here = visit();
  found = null;
  id = crypto.randomUUID();
  const form = $(`#${screen}`);
  form.reset();
  form.hidden = true; // until it is known what is decided about
  $(`#${screen}-error`).textContent = $(`#${screen}-who`).textContent = "";
  const whole = await get(`cases/${caseId}/`);
  const patient = await patientOf(whole.patient);
  if (!here()) return null;
  found = whole;
  $(`#${screen}-who`).textContent = beside(nameOf(patient), siteName(whole.anatom_site_general), when(whole.seen_at));
  return whole;
}

/** Send once at a time, and on to where that leads; a refusal is said beside the button, and what was entered stays. */
async function doing(screen, work) {
  if (busy || !found) return;
  busy = true;
  const whole = found;
  const error = $(`#${screen}-error`);
  error.textContent = "";
  try {
    const to = await work(whole);
    if (to && found === whole) location.replace(to);
  } catch (problem) {
    if (!(problem instanceof NoNetwork || problem instanceof Problem)) throw problem;
    if (found !== whole) return;
    error.textContent = problem.message;
    error.scrollIntoView({ block: "center" });
  } finally {
    busy = false;
  }
}

// --- refer -----------------------------------------------------------------------------------------------------------
export async function showRefer(caseId) {
  $("#refer-blocked").hidden = true;
  const whole = await begin("refer", caseId);
  if (!whole) return;
  const [services, agreed, standing] = await Promise.all([get("referral-services/"), inForce(whole.patient), list(`referrals/?case=${caseId}&open=true`, 1)]);
  if (found !== whole) return;
  const blocked = standing.length ? ["refer_standing", `#/referral/${standing[0].id}`, "show_referral"]
    : !agreed.includes("teledermatology") ? ["refer_no_consent", addressFor(whole.patient, caseId, "refer"), "record_consent"] : !services.length ? ["refer_no_service"] : null;
  if (blocked) {
    const [text, href, words] = blocked;
    $("#refer-blocked-text").textContent = t(text);
    $("#refer-blocked-way").hidden = !href;
    if (href) { $("#refer-blocked-way").href = href; $("#refer-blocked-way").textContent = t(words); }
    $("#refer-blocked").hidden = false;
    return;
  }
  $("#refer").hidden = false;
  $("#refer-service").replaceChildren(...services.map((service) => new Option(service.name, service.id)));
  const urgency = URGENCY_OF[levelOf(whole.state, whole.analysis.recommendation)] || "routine";
  for (const input of $$("[name=urgency]")) input.checked = input.value === urgency;
  $("#refer-sent").replaceChildren(...[
    t("sent_photographs", { number: whole.images.length }), t("sent_patient"), t("sent_history", { score: whole.checklist.score }),
    t("sent_impression", { suspicion: t(`suspicion ${whole.suspicion}`) }), ...(whole.state === "answered" ? [t("sent_answer")] : []),
  ].map((text) => make("li", {}, text)));
}

$("#refer").addEventListener("submit", (event) => {
  event.preventDefault();
  doing("refer", async (whole) => {
    const referral = await send("referrals/", { id, case: whole.id, service: $("#refer-service").value,
      urgency: $("[name=urgency]:checked").value, question: $("#refer-question").value.trim() });
    announce(t("referred"));
    return `#/referral/${referral.id}`;
  });
});

// --- observe ---------------------------------------------------------------------------------------------------------
const iso = (date) => `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;

function inMonths(months) {
  const date = new Date();
  const wanted = date.getDate();
  date.setMonth(date.getMonth() + months, 1);
  date.setDate(Math.min(wanted, new Date(date.getFullYear(), date.getMonth() + 1, 0).getDate()));
  return iso(date);
}

export async function showObserve(caseId) {
  const whole = await begin("observe", caseId);
  if (!whole) return;
  $("#observe").hidden = false;
  $("#observe-caution").hidden = !asksToRefer(whole.analysis);
  $("[name=months][value='3']").checked = true;
  $("#observe-on").value = inMonths(3);
  $("#observe-on").min = iso(new Date(Date.now() + 86_400_000));
}

for (const input of $$("[name=months]")) input.addEventListener("change", () => { $("#observe-on").value = inMonths(Number(input.value)); });
$("#observe-on").addEventListener("input", () => {
  for (const input of $$("[name=months]")) input.checked = inMonths(Number(input.value)) === $("#observe-on").value;
});

$("#observe").addEventListener("submit", (event) => {
  event.preventDefault();
  doing("observe", async (whole) => {
    const [on, note] = [$("#observe-on").value, $("#observe-note").value.trim()];
    if (!on) { $("#observe-error").textContent = t("day_missing"); $("#observe-on").focus(); return null; }
    if (asksToRefer(whole.analysis) && !note) { $("#observe-error").textContent = t("against_note_missing"); $("#observe-note").focus(); return null; }
    await send(`cases/${whole.id}/decisions/`, { id, kind: "observe", remind_on: on, note });
    announce(t("decided observe", { date: day(on) }));
    return `#/answer/${whole.id}`;
  });
});

// --- close -----------------------------------------------------------------------------------------------------------
export async function showClose(caseId) {
  const whole = await begin("close", caseId);
  if (!whole) return;
  $("#close").hidden = false;
  $("#close-caution").hidden = !asksToRefer(whole.analysis);
  $("#close-note-optional").hidden = asksToRefer(whole.analysis);
}

$("#close").addEventListener("submit", (event) => {
  event.preventDefault();
  doing("close", async (whole) => {
    const reason = $("[name=reason]:checked")?.value;
    const note = $("#close-note").value.trim();
    if (!reason) { $("#close-error").textContent = t("reason_missing"); $("[name=reason]").focus(); return null; }
    if (asksToRefer(whole.analysis) && !note) { $("#close-error").textContent = t("against_note_missing"); $("#close-note").focus(); return null; }
    await send(`cases/${whole.id}/decisions/`, { id, kind: "close", reason, note });
    announce(t("decided close", { reason: t(`close ${reason}`) }));
    return `#/answer/${whole.id}`;
  });
});

/** Leave nothing of the patient on the screens. */
export function leave() {
  found = null;
  for (const screen of ["refer", "observe", "close"]) {
    $(`#${screen}`).reset();
    $(`#${screen}-who`).textContent = "";
  }
  $("#refer-sent").replaceChildren();
}
