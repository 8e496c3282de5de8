/* The app: which screen is shown, who is signed in, and what happens when the network comes and goes. */
import * as answer from "./answer.js";
import * as consentStep from "./consent-step.js";
import * as drafts from "./draft.js";
import * as historyStep from "./history-step.js";
import * as home from "./home.js";
import * as lock from "./lock.js";
import * as outbox from "./outbox.js";
import { $, $$, announce, configuration, cookie, make, t } from "./page.js";
import * as patientStep from "./patient-step.js";
import * as photographsStep from "./photographs-step.js";
import * as record from "./record.js";
import * as reviewStep from "./review-step.js";
import { get, NoNetwork, post, SignedOut } from "./server.js";
import * as siteStep from "./site-step.js";
import * as store from "./store.js";
import * as unsent from "./unsent.js";
import * as vault from "./vault.js";
import * as who from "./who.js";

const SHOW = {
  patient: () => patientStep.show(onwards), consent: consentStep.show, site: siteStep.show, photographs: photographsStep.show,
  history: historyStep.show, impression: historyStep.showImpression, review: reviewStep.show,
};
const PROBLEM = {
  consent: consentStep.problem, site: () => (drafts.lacking().includes("site") ? t("site_missing") : ""),
  photographs: photographsStep.problem, history: historyStep.problem, impression: historyStep.problemOfImpression,
};
let ready = false;
/** The case that was submitted last. */
let submitted = null;

// --- screens ---------------------------------------------------------------------------------------------------------
function screen(name) {
  $("#starting").hidden = true;
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

async function route() {
  if (!ready || !vault.isOpen()) return;
  const [, place = "home", id, more] = location.hash.split("/");
  answer.leave();
  record.leave();
  try {
    if (place === "new") await begin(id, more);
    else if (place === "case") await step(id, more);
    else if (place === "answer") { screen("answer"); await answer.show(id); }
    else if (place === "unsent") { screen("unsent"); await unsent.show(); }
    else if (place === "find") { screen("find"); record.showFind(); }
    else if (place === "patient") { screen("record"); await record.showPatient(id); }
    else if (place === "lesion") { screen("lesion"); await record.showLesion(id); }
    else { await drafts.save(); screen("home"); await home.show(); }
  } catch (error) {
    await trouble(error);
  }
}

async function begin(patientId, lesionId) {
  await drafts.save();
  drafts.begin();
  if (patientId) {
    const patient = await home.patientOf(patientId);
    await patientStep.take(patient);
    if (lesionId) {
      const lesion = await get(`lesions/${lesionId}/`);
      drafts.draft.lesion = { id: lesion.id, known: true, site: lesion.anatom_site_general, description: lesion.description,
        side: lesion.body_map_side, x: lesion.body_map_x, y: lesion.body_map_y };
    }
  }
  location.replace(`#/case/${drafts.draft.id}/${patientId ? "consent" : "patient"}`);
}

async function step(id, name) {
  const found = await drafts.load(id);
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

reviewStep.bind(async (id) => {
  submitted = id;
  location.hash = "#/unsent"; // from where its arrival leads on to the answer, now or after the network came back
  await outbox.flush({ now: true });
  const waits = (await outbox.waiting()).some((row) => row.id === id);
  if (!waits && location.hash === "#/unsent") location.replace(`#/answer/${id}`);
});

// --- trouble ---------------------------------------------------------------------------------------------------------
async function trouble(error) {
  if (error instanceof SignedOut) { await drafts.save(); location.assign(configuration.urls.signIn); return; }
  const place = $$(".error[role=alert]").find((one) => !one.closest("[hidden]")) || null;
  const text = error.message || String(error);
  if (place) place.textContent = text;
  announce(text);
  if (!(error instanceof NoNetwork) && error.status === undefined) throw error;
}
window.addEventListener("unhandledrejection", (event) => {
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
  if (detail.progress !== undefined) unsent.progress(detail);
  else if (!$("[data-screen=unsent]").hidden) unsent.show();
  if (detail.delivered) announce(t("delivered"));
  if (detail.delivered === submitted && !$("[data-screen=unsent]").hidden && vault.isOpen()) location.replace(`#/answer/${submitted}`);
  if (detail.delivered && !$("[data-screen=home]").hidden && vault.isOpen()) home.show().catch(trouble);
});

for (const event of ["online", "offline"]) window.addEventListener(event, () => { online(); if (navigator.onLine) outbox.flush({ now: true }); });
document.addEventListener("visibilitychange", () => { if (document.hidden) drafts.save(); else outbox.flush(); });
window.addEventListener("hashchange", route);

// --- the menu --------------------------------------------------------------------------------------------------------
$("#open-menu").addEventListener("click", () => {
  $("#menu-who").textContent = who.me ? t("signed_in_as", { email: who.me.email }) : "";
  showTheme();
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
    await drafts.save();
    await post(configuration.urls.appearance, { language: button.dataset.language });
    location.reload();
  });
}

$("#lock-now").addEventListener("click", async () => { $("#menu").close(); await lockApp(); });
$("#sign-out").addEventListener("click", async () => {
  $("#menu").close();
  const rows = await outbox.waiting();
  if (!rows.length) { await signOut(); return; }
  $("#sign-out-text").textContent = t("sign_out_unsent", { number: rows.length });
  $("#sign-out-warning").showModal();
});
$("#sign-out-anyway").addEventListener("click", () => signOut());
$("#forgot-pin").addEventListener("click", () => $("#sign-out").click());

async function signOut() {
  drafts.close();
  vault.lock();
  await post(configuration.urls.signOut, {}).catch(() => null); // without a network the session ends by itself; the phone is emptied now
  await store.wipe();
  location.assign(configuration.urls.signIn);
}

// --- the lock --------------------------------------------------------------------------------------------------------
async function lockApp() {
  await lock.lock();
  answer.leave();
  record.leave();
  home.forgetNames();
  for (const id of ["recent", "drafts", "patients-found", "review"]) $(`#${id}`).replaceChildren();
  for (const form of $$("form")) form.reset();
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
  const known = who.refresh().then((me) => { outbox.belongsTo(me.user); return outbox.flush({ now: true }); });
  if (who.me) {
    outbox.belongsTo(who.me.user);
    known.catch(trouble);
  } else {
    try { await known; } catch (error) { if (!who.me) { await trouble(error); if (error instanceof SignedOut) return; } }
  }
  if (await vault.exists() && who.me && await vault.owner() !== who.me.user) {
    // Another person's phone until now: what they had begun opens with their PIN only, so it is of no use here.
    for (const row of await store.readAll("drafts")) if (row.state === "editing") await store.forget(row.id, { envelope: false });
    await store.remove("device", "vault");
  }
  store.persist();
  if (!(await vault.exists())) { screen("set-pin"); await lock.choosePin(); } else { screen("lock"); await opened(); }
  ready = true;
  lock.watch(lockApp);
  await route();
}

launch();
