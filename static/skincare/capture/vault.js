/* The key under which drafts are sealed: random, and wrapped by a key that only the PIN yields. It is in memory while the
   app is open and unlocked, and nowhere else. */
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

const vaultOf = () => store.read("device", "vault");
export const isOpen = () => key !== null;
export const exists = async () => Boolean(await vaultOf());
export const owner = async () => (await vaultOf())?.user;
export function lock() { key = null; }

/** Choose a PIN; earlier drafts of this phone, if any, are gone with their key. */
export async function create(pin, user) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const raw = crypto.getRandomValues(new Uint8Array(32));
  const wrapped = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, await keyOf(pin, salt), raw);
  await store.write("device", { id: "vault", user, salt, nonce, wrapped, tries: 0 });
  key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
  raw.fill(0);
}

/** Try a PIN: "open", "wrong" with the tries that are left, or "gone" after too many, when the drafts are destroyed. */
export async function unlock(pin) {
  const vault = await vaultOf();
  // Counted before it is tried, so that closing the app in between gains nothing.
  await store.write("device", { ...vault, tries: vault.tries + 1 });
  try {
    const raw = await crypto.subtle.decrypt({ name: "AES-GCM", iv: vault.nonce }, await keyOf(pin, vault.salt), vault.wrapped);
    key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
  } catch {
    const left = MOST_TRIES - vault.tries - 1;
    if (left > 0) return { state: "wrong", left };
    for (const draft of await store.readAll("drafts")) await store.forget(draft.id, { envelope: false });
    await store.remove("device", "vault");
    return { state: "gone" };
  }
  await store.write("device", { ...vault, tries: 0 });
  return { state: "open" };
}

export async function seal(bytes) {
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  return { nonce, sealed: await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, key, bytes) };
}

export const open = ({ nonce, sealed }) => crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce }, key, sealed);
export const sealObject = (object) => seal(encoder.encode(JSON.stringify(object)));
export const openObject = async (row) => JSON.parse(decoder.decode(await open(row)));
