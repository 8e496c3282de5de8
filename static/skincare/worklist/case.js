// The reading page: viewer, choosing a diagnosis, keys, and a word when the referral changed meanwhile.
import { viewer } from "./viewer.js";

const view = viewer(document.querySelector("[data-viewer]"));
const form = document.querySelector("form[data-save]");

for (const picker of document.querySelectorAll("[data-picker]")) {
  const select = picker.querySelector("select"), search = picker.querySelector("[data-search]");
  const quick = [...picker.querySelectorAll("[data-quick]")];
  const mark = () => { for (const button of quick) button.setAttribute("aria-pressed", String(button.dataset.quick === select.value)); };
  for (const button of quick) button.addEventListener("click", () => { select.value = button.dataset.quick; mark(); });
  select.addEventListener("change", mark);
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let first = null;
    for (const option of select.querySelectorAll("option[data-words]")) {
      option.hidden = !words.every((word) => option.dataset.words.includes(word));
      if (!option.hidden) first ??= option;
    }
    if (words.length && first) { select.value = first.value; mark(); }
  });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); select.focus(); } });
  mark();
}

const months = document.getElementById("months-field");
if (months) {
  const show = () => {
    const observing = document.querySelector('input[name="plan"]:checked')?.value === "observe";
    months.hidden = !observing;
    months.querySelector("input").required = observing;
  };
  for (const plan of document.querySelectorAll('input[name="plan"]')) plan.addEventListener("change", show);
  show();
}
document.getElementById("refusal")?.focus();

const keys = document.getElementById("keys");
document.getElementById("help").addEventListener("click", () => keys.showModal());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (event.target.matches("select, textarea, input:not([type=radio], [type=range])")) return;
  const act = {
    j: () => document.getElementById("next")?.click(),
    k: () => document.getElementById("previous")?.click(),
    z: view.toggle,
    a: () => { const closed = form?.closest("details"); if (closed) closed.open = true; form?.querySelector("button")?.focus(); form?.scrollIntoView({ block: "start" }); },
    s: () => form?.requestSubmit(),
    "?": () => keys.showModal(),
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});

const at = document.getElementById("case");
const LEAST = 2000, MOST = 10000;
let wait = LEAST, etag = "";
async function look() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(at.dataset.poll, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store", redirect: "error" });
      if (answer.status === 200) {
        etag = answer.headers.get("ETag") ?? "";
        if ((await answer.text()) !== at.dataset.revision) document.getElementById("changed").hidden = false;
      } else if (answer.status === 404) document.getElementById("changed").hidden = false;
      wait = Math.min(MOST, wait * 1.2);
    } catch { wait = MOST; }
  }
  setTimeout(look, wait);
}
setTimeout(look, wait);
