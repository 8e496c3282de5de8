/* Who is signed in, and the consent texts: asked when there is a network, remembered for when there is none. */
import { configuration } from "./page.js";
import { get, list } from "./server.js";
import * as store from "./store.js";

export let me = null;

export async function remembered() {
  me = (await store.read("device", "me")) || null;
  return me;
}

/** Ask the server. Throws SignedOut or NoNetwork. */
export async function refresh() {
  const found = await get("me/");
  const clinics = found.memberships.filter((membership) => membership.role === "clinician").map((membership) => membership.organisation);
  me = { id: "me", user: found.id, email: found.email, name: found.first_name || found.email, clinics };
  await store.write("device", me);
  const policies = await list(`consent-policies/`, 20);
  const language = configuration.language.split("-")[0];
  const current = policies.find((policy) => policy.language === language) || policies.find((policy) => policy.language === "en") || policies[0];
  if (current) await store.write("device", { ...current, id: "policy" });
  return me;
}

export const policy = () => store.read("device", "policy");
/** Needed only where somebody works in more than one clinic. */
export const organisation = () => (me?.clinics.length > 1 ? (localStorage.getItem("clinic") || me.clinics[0].id) : null);
