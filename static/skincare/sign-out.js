/* Signing out on a page beside the phone app: what the app keeps on this device for whoever signs out is deleted too, and
   where cases would be lost with it they are warned first, as in the app. */
import { onlyHere, wipe } from "./capture/store.js";

/** Empty the device of what is this user's; false where they rather keep it. */
async function emptied({ user, warning }) {
  const number = await onlyHere(user);
  if (number && !confirm(warning.replace("{number}", number))) return false;
  await wipe(user);
  return true;
}

const form = document.querySelector("#leave");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  // A browser that can keep nothing has nothing to be emptied of.
  if (await emptied(form.dataset).catch(() => true)) form.submit();
});
