// Keeps the page of a run up to date: asks with the last ETag, and changes only what has changed.
const region = document.getElementById("run-progress");
const spoken = document.getElementById("run-spoken");
const LONGEST_PAUSE_MS = 30000;

let etag = region.dataset.etag;
let after = Number(region.dataset.after);
let failures = 0;

function show(markup) {
  const open = region.querySelector("details")?.open;
  const focused = document.activeElement?.closest("#run-progress button, #run-progress a, #run-progress summary")?.textContent;
  region.innerHTML = markup; // our own server's template: every value in it is escaped there
  const details = region.querySelector("details");
  if (details && open) details.open = true;
  if (focused) [...region.querySelectorAll("button, a, summary")].find((each) => each.textContent === focused)?.focus();
  const words = region.firstElementChild?.dataset.spoken;
  if (words && spoken.textContent !== words) spoken.textContent = words;
}

async function ask() {
  try {
    const answer = await fetch(region.dataset.source, { headers: { "If-None-Match": etag }, cache: "no-store", redirect: "error" });
    if (answer.status === 200) {
      show(await answer.text());
      etag = answer.headers.get("ETag") ?? "";
    } else if (answer.status === 401 || answer.status === 403 || answer.status === 404) {
      return; // signed out, or the run is gone: the page stays as it is
    } else if (answer.status !== 304) {
      throw new Error(String(answer.status));
    }
    after = Number(answer.headers.get("X-Poll-After-Ms"));
    failures = 0;
  } catch {
    failures += 1; // the network may come back
  }
  plan();
}

function plan() {
  if (!after) return;
  setTimeout(ask, Math.min(after * 2 ** failures, LONGEST_PAUSE_MS));
}

plan();
