/* Who is signed in, and the consent texts: asked when there is a network, remembered for when there is none. */
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
  refreshPolicies().catch(() => {}); // the texts that are remembered serve until then
  return me;
}

async function refreshPolicies() {
  const newestFirst = await list("consent-policies/", 100);
  const current = newestFirst.filter((one, index) => newestFirst.findIndex((other) => other.language === one.language) === index);
  if (current.length) await store.write("device", { id: "policies", current });
}

/** The current consent texts, one a language; none where this phone has not had them yet. */
export async function policies() {
  if (!(await store.read("device", "policies"))) await refreshPolicies().catch(() => {});
  return (await store.read("device", "policies"))?.current || [];
}
/** Needed only where somebody works in more than one clinic. */
export const organisation = () => (me?.clinics.length > 1 ? (localStorage.getItem("clinic") || me.clinics[0].id) : null);
