/* The key under which drafts are sealed: random, and wrapped by a key that only the PIN yields, and by one that only this
   phone's passkey yields where there is one. It is in memory while the app is open and unlocked, and for a photograph that
   was handed over before, until that is sealed; nowhere else. */
import * as store from "./store.js";

const ROUNDS = 600_000; // PBKDF2-HMAC-SHA-256, as OWASP advises (2023)
const MOST_TRIES = 10;
let key = null;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function keyOf(pin, salt) {
  const material = await crypto.subtle.importKey("raw", encoder.encode(pin), "PBKDF2", false, ["deriveKey"]);
  return crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS }, material,
    { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

/** Whose PIN it is: several people may use one phone, each with their own. */
let person = null;
export const author = () => person;

export async function belongsTo(user) {
  person = user;
  const only = await store.read("device", "vault"); // of a phone that had one PIN for everybody
  if (only) await store.becomesOneOfMany(only, only.user || user);
}

const vaultOf = () => store.read("device", store.vaultOf(person));
export const isOpen = () => key !== null;
/** The key as it is now, for what is to be sealed also where the app is locked meanwhile. */
export const keyNow = () => key;
export const exists = async () => Boolean(await vaultOf());
export function lock() { key = null; }

const asKey = (raw) => crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);

/** Choose a PIN; earlier drafts of this person on this phone, if any, are gone with their key. */
export async function create(pin) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const raw = crypto.getRandomValues(new Uint8Array(32));
  const wrapped = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, await keyOf(pin, salt), raw);
  await store.write("device", { id: store.vaultOf(person), user: person, salt, nonce, wrapped, tries: 0 });
  key = await asKey(raw);
  raw.fill(0);
}

/** Try a PIN: "open", "wrong" with the tries that are left, or "gone" after too many, when the drafts are destroyed. */
export const unlock = (pin) => tryPin(pin, async (raw) => { key = await asKey(raw); });

async function tryPin(pin, withKey) {
  const vault = await vaultOf();
  // Counted before it is tried, so that closing the app in between gains nothing.
  await store.write("device", { ...vault, tries: vault.tries + 1 });
  let raw;
  try {
    raw = await crypto.subtle.decrypt({ name: "AES-GCM", iv: vault.nonce }, await keyOf(pin, vault.salt), vault.wrapped);
  } catch {
    const left = MOST_TRIES - vault.tries - 1;
    if (left > 0) return { state: "wrong", left };
    for (const draft of await store.readAll("drafts")) if (draft.author === person) await store.forget(draft.id, { envelope: false });
    await store.remove("device", store.vaultOf(person));
    return { state: "gone" };
  }
  await store.write("device", { ...vault, tries: 0 });
  await withKey(raw);
  return { state: "open" };
}

export const passkeyOf = async () => (await vaultOf())?.passkey || null;

/** Wrap the key by a secret of this phone's passkey too, after the PIN was given once more.
    `passkey` is {id, salt, secret}: the credential, what it was asked with, and the 32 bytes that it answered. */
export const addPasskey = (pin, passkey) => tryPin(pin, async (raw) => {
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const wrapped = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, await keyOfSecret(passkey.secret), raw);
  await store.write("device", { ...await vaultOf(), passkey: { id: passkey.id, salt: passkey.salt, nonce, wrapped } });
});

export async function removePasskey() {
  const { passkey, ...vault } = await vaultOf();
  await store.write("device", vault);
}

/** Open with what the passkey answered; false where that is not its secret. */
export async function unlockBySecret(secret) {
  const vault = await vaultOf();
  try {
    key = await asKey(await crypto.subtle.decrypt({ name: "AES-GCM", iv: vault.passkey.nonce }, await keyOfSecret(secret), vault.passkey.wrapped));
  } catch {
    return false;
  }
  await store.write("device", { ...vault, tries: 0 });
  return true;
}

async function keyOfSecret(secret) {
  const material = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveKey"]);
  return crypto.subtle.deriveKey({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: encoder.encode("skincare: phone's passkey, 1") }, material,
    { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

export async function seal(bytes, using = key) {
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  return { nonce, sealed: await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, using, bytes) };
}

export const open = ({ nonce, sealed }, using = key) => crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce }, using, sealed);
export const sealObject = (object, using) => seal(encoder.encode(JSON.stringify(object)), using);
export const openObject = async (row, using) => JSON.parse(decoder.decode(await open(row, using)));
