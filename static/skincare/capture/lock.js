/* The PIN: chosen once on a phone, asked for at each launch and after some minutes without a touch. */
import { $, announce, t } from "./page.js";
import * as draft from "./draft.js";
import * as passkey from "./passkey.js";
import * as vault from "./vault.js";
import { me } from "./who.js";

const IDLE_MS = 5 * 60_000;
const LOOK_MS = 5_000;
const PIN = /^\d{6}$/;
let touched = Date.now();
let onLock = () => {};

/** Lock after some minutes without a touch, by the clock: while a phone sleeps no timer runs. */
export function watch(lockNow) {
  onLock = lockNow;
  for (const event of ["pointerdown", "keydown"]) document.addEventListener(event, touch, { passive: true, capture: true });
  document.addEventListener("visibilitychange", lockIfIdle);
  setInterval(lockIfIdle, LOOK_MS);
  touched = Date.now();
}

/** The first touch after a long while comes too late. */
function touch() {
  lockIfIdle();
  touched = Date.now();
}

function lockIfIdle() {
  if (vault.isOpen() && Math.abs(Date.now() - touched) < IDLE_MS) return; // a clock that was set back as far counts too
  touched = Date.now(); // the minutes begin with the unlocking
  if (vault.isOpen()) onLock();
}

export async function lock() {
  await draft.save().catch(() => {}); // on a full phone the last change is lost, and it locks all the same
  draft.close();
  vault.lock();
}

/** Resolves once a PIN was chosen. */
export function choosePin() {
  $("#set-pin-user").value = me?.email || "";
  return new Promise((resolve) => {
    $("#set-pin").onsubmit = async (event) => {
      event.preventDefault();
      const [pin, again] = [$("#new-pin").value, $("#new-pin-again").value];
      const problem = !PIN.test(pin) ? t("pin_six") : pin !== again ? t("pin_differs")
        : /^(\d)\1*$|012345|123456|234567|345678|456789|987654|654321/.test(pin) ? t("pin_easy") : "";
      $("#set-pin-error").textContent = problem;
      $("#new-pin").setAttribute("aria-invalid", String(Boolean(problem)));
      if (problem) { $("#new-pin").focus(); return; }
      await vault.create(pin);
      $("#set-pin").reset();
      resolve();
    };
  });
}

/** Resolves with "open", or "gone" after too many wrong ones. */
export function askPin() {
  $("#unlock-user").value = me?.email || "";
  $("#lock-text").textContent = me?.name ? t("locked_for", { name: me.name }) : "";
  $("#unlock-error").textContent = "";
  vault.passkeyOf().then((found) => { $("#unlock-passkey").hidden = !found; });
  return new Promise((resolve) => {
    $("#unlock-passkey").onclick = async () => {
      if (await passkey.unlock()) resolve("open");
      else { $("#unlock-error").textContent = t("passkey_not_used"); $("#pin").focus(); }
    };
    $("#unlock").onsubmit = async (event) => {
      event.preventDefault();
      const field = $("#pin");
      const pin = field.value;
      field.value = "";
      if (!PIN.test(pin)) { $("#unlock-error").textContent = t("pin_six"); field.focus(); return; } // which costs no try
      const outcome = await vault.unlock(pin);
      if (outcome.state !== "wrong") { resolve(outcome.state); return; }
      $("#unlock-error").textContent = t("pin_wrong", { left: outcome.left });
      field.focus();
    };
  });
}

/** The menu's switch: set up, or take away, unlocking by the phone's passkey. */
export async function showPasskeySetting() {
  const found = await vault.passkeyOf();
  $("#passkey-setting").hidden = !found && !(await passkey.possible());
  $("#passkey-setting span").textContent = t(found ? "passkey_off" : "passkey_on");
}

$("#passkey-setting").addEventListener("click", async () => {
  if (await vault.passkeyOf()) { await vault.removePasskey(); await showPasskeySetting(); announce(t("passkey_removed")); return; }
  $("#menu").close();
  $("#set-passkey").reset();
  $("#passkey-user").value = me?.email || "";
  $("#passkey-error").textContent = "";
  $("#passkey-dialog").showModal();
});

$("#set-passkey").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = $("#passkey-pin");
  const pin = field.value;
  field.value = "";
  let made;
  try {
    made = await passkey.make(me?.email || "Skincare");
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    $("#passkey-error").textContent = t(error.name === "NotSupportedError" ? "passkey_impossible" : "passkey_not_used");
    return;
  }
  const outcome = await vault.addPasskey(pin, made);
  if (outcome.state === "wrong") { $("#passkey-error").textContent = t("pin_wrong", { left: outcome.left }); field.focus(); return; }
  $("#passkey-dialog").close();
  if (outcome.state === "gone") { onLock(); return; }
  announce(t("passkey_added"));
});
