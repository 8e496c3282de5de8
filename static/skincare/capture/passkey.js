/* Unlocking with the phone's fingerprint or face: a passkey of this phone alone, which yields a secret (WebAuthn's PRF
   extension). It opens the drafts here, also without a network, and signs nobody in at the server. */
import * as vault from "./vault.js";

const WAIT_MS = 60_000;
const random = (size) => crypto.getRandomValues(new Uint8Array(size));

/** Whether this phone has what it takes, as far as can be told before trying. */
export async function possible() {
  try {
    return Boolean(window.PublicKeyCredential && await PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable());
  } catch {
    return false;
  }
}

/** Make one: {id, salt, secret}. Throws a DOMException where the person or the phone declines. */
export async function make(user) {
  const salt = random(32);
  const credential = await navigator.credentials.create({ publicKey: {
    challenge: random(32), rp: { name: "Skincare" }, user: { id: random(16), name: user, displayName: user },
    pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -257 }], timeout: WAIT_MS, attestation: "none",
    authenticatorSelection: { authenticatorAttachment: "platform", userVerification: "required", residentKey: "discouraged" },
    extensions: { prf: { eval: { first: salt } } },
  } });
  const passkey = { id: new Uint8Array(credential.rawId), salt };
  // Some phones yield the secret at once, others only when asked.
  const secret = credential.getClientExtensionResults().prf?.results?.first || await secretOf(passkey);
  return { ...passkey, secret };
}

async function secretOf({ id, salt }) {
  const assertion = await navigator.credentials.get({ publicKey: {
    challenge: random(32), allowCredentials: [{ type: "public-key", id }], userVerification: "required", timeout: WAIT_MS,
    extensions: { prf: { eval: { first: salt } } },
  } });
  const secret = assertion.getClientExtensionResults().prf?.results?.first;
  if (!secret) throw new DOMException("no secret", "NotSupportedError");
  return secret;
}

/** Open the vault; false where the person or the phone declines. */
export async function unlock() {
  const passkey = await vault.passkeyOf();
  if (!passkey) return false;
  try {
    return await vault.unlockBySecret(await secretOf(passkey));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return false;
  }
}
