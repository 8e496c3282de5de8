/* The app: which screen is shown, who is signed in, and what happens when the network comes and goes. */
import * as agree from "./agree.js";
import * as answer from "./answer.js";
import * as consentStep from "./consent-step.js";
import * as decide from "./decide.js";
import * as drafts from "./draft.js";
import * as historyStep from "./history-step.js";
import * as home from "./home.js";
import * as lock from "./lock.js";
import * as outbox from "./outbox.js";
import { $, $$, announce, configuration, cookie, icon, make, t } from "./page.js";
import * as patientStep from "./patient-step.js";
import * as photographsStep from "./photographs-step.js";
import * as record from "./record.js";
import * as referral from "./referral.js";
import * as reviewStep from "./review-step.js";
import { get, NoNetwork, post, Problem, send, SignedOut } from "./server.js";
import * as siteStep from "./site-step.js";
import * as store from "./store.js";
import * as unsent from "./unsent.js";
import * as vault from "./vault.js";
import * as visits from "./visits.js";
import * as who from "./who.js";

const SHOW = {
  patient: () => patientStep.show(onwards), consent: consentStep.show, site: siteStep.show, photographs: photographsStep.show,
  history: historyStep.show, impression: historyStep.showImpression, review: reviewStep.show,
};
const PROBLEM = {
  consent: consentStep.problem, site: () => (drafts.lacking().includes("site") ? t("site_missing") : ""),
  photographs: photographsStep.problem, history: historyStep.problem, impression: historyStep.problemOfImpression,
};
const HOME_MS = 30_000;
const OWED = "sign-out-owed";
let ready = false;
/** The question who is signed in, once it was asked since the app was opened; asked anew where it had no answer. */
let identified = null;
/** The case that was submitted last. */
let submitted = null;

// --- screens ---------------------------------------------------------------------------------------------------------
function screen(name) {
  $("#starting").hidden = $("#trouble").hidden = true;
  for (const section of $$("[data-screen]")) section.hidden = section.dataset.screen !== name;
  const shown = $(`[data-screen=${name}]`);
  const locked = ["lock", "set-pin"].includes(name);
  $("#bar-title").textContent = shown.dataset.title || "Skincare";
  $("#back").hidden = locked || name === "home";
  $("#open-menu").hidden = locked;
  $("#steps-bar").hidden = !drafts.STEPS.includes(name);
  document.title = `${shown.dataset.title || t("locked")} · Skincare`;
  window.scrollTo(0, 0);
  const field = locked && $("input.pin", shown);
  (field || $("#content")).focus({ preventScroll: true });
  if (!field) announce($("h1", shown)?.textContent || shown.dataset.title || "");
}

function leaveScreens() {
  for (const one of [visits, agree, answer, decide, photographsStep, record, referral]) one.leave();
}

/** Where the arrow leads from a screen that is no step of a case. */
function back(place, id, more) {
  if (["refer", "observe", "close"].includes(place)) return `#/answer/${id}`;
  if (place === "agree") return more ? `#/answer/${more}` : `#/patient/${id}`;
  return "#/home";
}

async function route() {
  if (!ready || !vault.isOpen()) return;
  const [, place = "home", id, more, then] = location.hash.split("/");
  leaveScreens();
  const here = visits.visit();
  $("#back").href = back(place, id, more);
  try {
    if (place === "new") await begin(id, more);
    else if (place === "case") await step(id, more);
    else if (place === "answer") { screen("answer"); await answer.show(id); }
    else if (place === "refer") { screen("refer"); await decide.showRefer(id); }
    else if (place === "observe") { screen("observe"); await decide.showObserve(id); }
    else if (place === "close") { screen("close"); await decide.showClose(id); }
    else if (place === "agree") { screen("agree"); await agree.show(id, more, then); }
    else if (place === "referral") { screen("referral"); await referral.show(id); }
    else if (place === "unsent") { screen("unsent"); await unsent.show(); }
    else if (place === "find") { screen("find"); record.showFind(); }
    else if (place === "patient") { screen("record"); await record.showPatient(id); }
    else if (place === "lesion") { screen("lesion"); await record.showLesion(id); }
    else { await keep(); screen("home"); await home.show(); }
  } catch (error) {
    if (!(error instanceof NoNetwork || error instanceof Problem)) await trouble(error);
    else if (here()) nothingToShow(error);
  }
}

/** What a screen shows could not be fetched: say so in its place, with a way on. */
function nothingToShow(error, text = error.message) {
  for (const section of $$("[data-screen]")) section.hidden = true;
  $("#starting").hidden = true;
  $("#trouble-text").textContent = text;
  icon($("#trouble svg"), error instanceof NoNetwork ? "offline" : "warn");
  $("#trouble a").hidden = !ready;
  $("#trouble").hidden = false;
}
$("#trouble-again").addEventListener("click", () => (ready ? route() : enter()));

/** Keep the draft; a full phone says so and is no reason to stay where one is. */
async function keep() {
  try {
    await drafts.save();
  } catch (error) {
    if (!store.isFull(error)) throw error;
    say(t("phone_full"));
  }
}

async function begin(patientId, lesionId) {
  const here = visits.visit();
  await keep();
  const patient = patientId ? await home.patientOf(patientId) : null;
  const lesion = lesionId ? await get(`lesions/${lesionId}/`) : null;
  if (!here()) return;
  const draft = drafts.begin();
  if (patient) await patientStep.take(patient);
  if (lesion) draft.lesion = drafts.knownLesion(lesion);
  if (here()) location.replace(`#/case/${draft.id}/${patient ? "consent" : "patient"}`);
}

async function step(id, name) {
  const here = visits.visit();
  const found = await drafts.load(id);
  if (!here()) return;
  if (!found || found.state !== "editing" || !drafts.STEPS.includes(name)) { location.replace("#/home"); return; }
  found.step = name;
  drafts.changed();
  stepsBar(name);
  screen(name);
  await SHOW[name]();
}

function stepsBar(current) {
  const at = drafts.STEPS.indexOf(current);
  const lacking = drafts.lacking();
  $("#steps-bar ol").replaceChildren(...drafts.STEPS.map((name, index) => {
    const done = index < at && !lacking.includes(name);
    return make("li", {}, make("a", { href: `#/case/${drafts.draft.id}/${name}`, class: done ? "done" : "", "aria-current": index === at ? "step" : null,
      "aria-label": `${index + 1}. ${t(`step ${name}`)}` }, make("span", {}, String(index + 1))));
  }));
}

function onwards() {
  const { id, step: name } = drafts.draft;
  location.hash = `#/case/${id}/${drafts.STEPS[drafts.STEPS.indexOf(name) + 1]}`;
}

for (const button of $$("[data-next]")) {
  button.addEventListener("click", () => {
    const section = button.closest("[data-screen]");
    const problem = PROBLEM[section.dataset.screen]();
    const place = $(`#${section.dataset.screen}-error`);
    place.textContent = problem;
    if (problem) { place.scrollIntoView({ block: "center" }); return; }
    onwards();
  });
}

$("#back").addEventListener("click", (event) => {
  if (!drafts.draft || $("#steps-bar").hidden) return;
  const at = drafts.STEPS.indexOf(drafts.draft.step);
  if (at > 0) { event.preventDefault(); location.hash = `#/case/${drafts.draft.id}/${drafts.STEPS[at - 1]}`; }
});

reviewStep.bind(async (id, here) => {
  submitted = id;
  if (here) location.hash = "#/unsent"; // from where its arrival leads on to the answer, now or after the network came back
  await outbox.flush({ now: true });
  const waits = (await outbox.waiting()).some((row) => row.id === id);
  if (!waits && id === submitted && location.hash === "#/unsent") location.replace(`#/answer/${id}`);
});

// --- trouble ---------------------------------------------------------------------------------------------------------
async function trouble(error) {
  if (error instanceof SignedOut) { await keep(); location.assign(configuration.urls.signIn); return; }
  say(error.message || String(error));
  if (!(error instanceof NoNetwork) && error.status === undefined) throw error;
}

/** Beside what was being done, and to who listens. */
function say(text) {
  const place = $$(".error[role=alert]").find((one) => !one.closest("[hidden]"));
  if (place) place.textContent = text;
  announce(text);
}
window.addEventListener("unhandledrejection", (event) => {
  if (store.isFull(event.reason)) { event.preventDefault(); say(t("phone_full")); }
  if (event.reason instanceof SignedOut || event.reason instanceof NoNetwork) { event.preventDefault(); trouble(event.reason); }
});

// --- the bar ---------------------------------------------------------------------------------------------------------
function online() {
  $("#offline-chip").hidden = navigator.onLine;
}

outbox.onChange((rows, detail) => {
  $("#unsent-count").textContent = t("unsent_count", { number: rows.length });
  $("#tile-unsent").textContent = rows.length;
  $("#unsent-chip").hidden = rows.length === 0 || !$("[data-screen=set-pin]").hidden;
  if (!$("[data-screen=unsent]").hidden) unsent.show();
  if (detail.delivered) announce(t("delivered"));
  if (detail.delivered === submitted && !$("[data-screen=unsent]").hidden && vault.isOpen()) location.replace(`#/answer/${submitted}`);
  if (detail.delivered && !$("[data-screen=home]").hidden && vault.isOpen()) home.show().catch(trouble);
});

for (const event of ["online", "offline"]) window.addEventListener(event, () => { online(); connected({ now: true }); });
document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); else { connected(); refreshHome(); } });

/** There may be a network: whoever was not let in without one is, and what waits is sent. While it starts the app does both by itself. */
function connected(how) {
  if (!navigator.onLine || !$("#starting").hidden) return;
  if (!ready && !$("#trouble").hidden) enter();
  else sendWaiting(how).catch(trouble);
}
setInterval(refreshHome, HOME_MS);

/** What has been answered meanwhile comes to the first screen by itself. */
function refreshHome() {
  if (ready && vault.isOpen() && !document.hidden && navigator.onLine && !$("[data-screen=home]").hidden) home.refresh().catch(trouble);
}
window.addEventListener("hashchange", route);

// --- the menu --------------------------------------------------------------------------------------------------------
$("#open-menu").addEventListener("click", () => {
  $("#menu-who").textContent = who.me ? t("signed_in_as", { email: who.me.email }) : "";
  showTheme();
  $("#menu-error").textContent = "";
  lock.showPasskeySetting();
  $("#menu").showModal();
});
for (const dialog of $$("dialog.sheet")) {
  for (const close of $$("[data-close]", dialog)) close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

function showTheme() {
  const theme = cookie("skincare_theme");
  if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
  for (const button of $$("[data-theme-choice]")) {
    button.classList.toggle("primary", button.dataset.themeChoice === theme);
    if (button.dataset.themeChoice === theme) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
  }
}
for (const button of $$("[data-theme-choice]")) {
  button.addEventListener("click", () => {
    document.cookie = `skincare_theme=${button.dataset.themeChoice}; path=/; max-age=31536000; samesite=lax`;
    showTheme();
  });
}
for (const button of $$("[data-language]")) {
  button.addEventListener("click", async () => {
    await keep();
    await post(configuration.urls.appearance, { language: button.dataset.language });
    location.reload();
  });
}

$("#lock-now").addEventListener("click", async () => { $("#menu").close(); await lockApp(); });
$("#sign-out").addEventListener("click", () => leaving(signOut));
$("#sign-out-everywhere").addEventListener("click", () => { if (confirm(t("everywhere_sure"))) leaving(signOutEverywhere); });
let leave = signOut;

/** Sign out in one of two ways; first warn where that deletes what has not been sent, or only begun. */
async function leaving(way) {
  $("#menu-error").textContent = "";
  leave = way;
  await keep();
  const number = await store.onlyHere(who.me.user);
  if (!number) { await way(); return; }
  $("#menu").close();
  $("#sign-out-text").textContent = t("sign_out_unsent", { number });
  $("#sign-out-warning").showModal();
}
$("#sign-out-anyway").addEventListener("click", () => leave());
$("#forgot-pin").addEventListener("click", () => $("#sign-out").click());

/** Without a network the phone is emptied now, and owes the server the rest. */
async function signOut() {
  if (await endSession()) await empty();
  else await empty({ id: OWED, session: cookie("csrftoken") });
}

/** End the session on the server; false where it did not. */
async function endSession() {
  const answer = await post(configuration.urls.signOut, {}).catch(() => null);
  return answer?.type === "opaqueredirect"; // it leads on to the first page
}

/** End the session that was left without a network, before anything else is shown; false as long as the server cannot be reached. */
async function settled() {
  const owed = await store.read("device", OWED);
  if (!owed) return true;
  // The token is another one where somebody has signed in since, which ended that session too.
  if (owed.session === cookie("csrftoken") && !(await endSession())) {
    nothingToShow(new NoNetwork(), t("sign_out_owed"));
    return false;
  }
  await store.remove("device", OWED);
  return true;
}

/** End every session and every token, on all devices. Needs the network, without which it would be said and not done. */
async function signOutEverywhere() {
  try {
    await send("auth/token/logout-all/", {});
  } catch (error) {
    if (!(error instanceof SignedOut)) { $("#sign-out-warning").close(); $("#menu-error").textContent = error.message; if (!$("#menu").open) $("#menu").showModal(); return; }
  }
  await empty();
}

async function empty(owed) {
  drafts.close();
  vault.lock();
  await store.wipe(who.me.user, owed);
  location.replace(owed ? location.pathname : configuration.urls.signIn);
}

// --- the lock --------------------------------------------------------------------------------------------------------
async function lockApp() {
  await lock.lock();
  leaveScreens();
  home.forgetNames();
  for (const id of ["recent", "drafts", "patients-found", "patient-chosen-name", "patient-chosen-more", "earlier", "review"]) $(`#${id}`).replaceChildren();
  for (const form of $$("form")) form.reset();
  for (const field of $$("textarea, input:not([type=radio], [type=checkbox], [type=file])")) field.value = field.defaultValue; // those outside forms too
  screen("lock");
  await opened();
  await route();
}

/** Resolves once the right PIN was given, or a new one chosen after too many wrong ones. */
async function opened() {
  if (await lock.askPin() === "open") return;
  screen("set-pin");
  $("#set-pin-error").textContent = t("pin_gone");
  await lock.choosePin();
}

// --- launch ----------------------------------------------------------------------------------------------------------
async function launch() {
  showTheme();
  online();
  navigator.serviceWorker?.register(configuration.urls.worker).catch(() => {});
  await outbox.tell();
  await who.remembered();
  await enter();
}

/** Send what waits once the server has said who is signed in: what anybody else made it would refuse for good. */
async function sendWaiting(how) {
  identified ||= identify().catch((error) => { identified = null; throw error; });
  if (await identified) outbox.flush(how);
}

/** Ask the server who is signed in; false where this phone is another person's from now on, and the app starts anew. */
async function identify() {
  const remembered = who.me?.user;
  const { user } = await who.refresh();
  if (remembered && remembered !== user) { location.reload(); return false; }
  outbox.belongsTo(user);
  return true;
}

/** Let in whom this phone remembers or the server knows: what nobody has made, nobody could send. */
async function enter() {
  $("#trouble").hidden = true;
  $("#starting").hidden = false;
  if (!(await settled())) return;
  if (who.me) {
    outbox.belongsTo(who.me.user);
    sendWaiting({ now: true }).catch(trouble);
  } else {
    try {
      await sendWaiting({ now: true });
    } catch (error) {
      if (!(error instanceof NoNetwork || error instanceof Problem)) await trouble(error);
      else nothingToShow(error, error instanceof NoNetwork ? t("who_unknown") : error.message);
      return;
    }
  }
  await vault.belongsTo(who.me.user);
  store.persist();
  if (!(await vault.exists())) { screen("set-pin"); performance.mark("interactive"); await lock.choosePin(); }
  else { screen("lock"); performance.mark("interactive"); await opened(); }
  ready = true;
  lock.watch(lockApp);
  await route();
}

launch();
