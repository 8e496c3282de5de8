/* Sealing a finished case to the server's public key, so that this phone can send it and not read it (skincare/envelopes.py):
   an ephemeral P-256 key, ECDH, HKDF-SHA-256, AES-256-GCM. */
import { configuration } from "./page.js";

const encoder = new TextEncoder();
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

function join(...parts) {
  const arrays = parts.map((part) => (part instanceof Uint8Array ? part : new Uint8Array(part)));
  const joined = new Uint8Array(arrays.reduce((sum, array) => sum + array.length, 0));
  arrays.reduce((at, array) => { joined.set(array, at); return at + array.length; }, 0);
  return joined;
}

/** Four bytes of length, the JSON of the case with the photographs' sizes, the photographs. */
function content(fields, photographs) {
  const described = encoder.encode(JSON.stringify({ case: fields, sizes: photographs.map((photograph) => photograph.byteLength) }));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, described.length);
  return join(length, described, ...photographs);
}

/** Seal for one case and one author; anybody else's session cannot deliver it. */
export async function seal(fields, photographs, id, author) {
  const { name, point } = configuration.sealingKey;
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const recipientPoint = bytesOf(point);
  const recipient = await crypto.subtle.importKey("raw", recipientPoint, curve, false, []);
  const own = await crypto.subtle.generateKey(curve, false, ["deriveBits"]);
  const ownPoint = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
  const shared = await crypto.subtle.deriveBits({ name: "ECDH", public: recipient }, own.privateKey, 256);
  const material = await crypto.subtle.importKey("raw", shared, "HKDF", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: join(ownPoint, recipientPoint), info: encoder.encode("skincare: one envelope, 1") },
    material, { name: "AES-GCM", length: 256 }, false, ["encrypt"]);
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt(
    { name: "AES-GCM", iv: nonce, additionalData: encoder.encode(`${name}|${id}|${author}`) }, key, content(fields, photographs));
  const keyName = encoder.encode(name);
  return join(encoder.encode("SKC1"), new Uint8Array([keyName.length]), keyName, ownPoint, nonce, sealed);
}
