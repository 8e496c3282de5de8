// The reading page: viewer, choosing a diagnosis, keys, and a word when the referral changed meanwhile.
import { pickers } from "./picker.js";
import { viewer } from "./viewer.js";

const view = viewer(document.querySelector("[data-viewer]"));
const form = document.querySelector("form[data-save]");

pickers();

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
function reach() {
  const closed = form?.closest("details");
  if (closed) closed.open = true;
}
// Two keys: c and a digit for the confidence, p and a digit for the plan. A digit alone is one of the frequent diagnoses.
let first = "";
function choose(name, digit) {
  const choice = form?.querySelectorAll(`input[name="${name}"]`)[digit - 1];
  if (choice) { reach(); choice.checked = true; choice.dispatchEvent(new Event("change", { bubbles: true })); choice.focus({ preventScroll: true }); }
}
function number(digit) {
  if (first === "c") choose("confidence", digit);
  else if (first === "p") choose("plan", digit);
  else { reach(); form?.querySelectorAll("[data-quick]")[digit - 1]?.click(); }
}
const snippets = document.getElementById("snippet");
function insert() {
  const chosen = snippets.selectedOptions[0];
  if (!chosen?.dataset.text) return;
  const text = form.querySelector('[name="text"]');
  text.setRangeText((text.selectionStart && !text.value.endsWith("\n") ? "\n" : "") + chosen.dataset.text, text.selectionStart, text.selectionEnd, "end");
  const select = form.querySelector('select[name="diagnosis"]');
  if (chosen.dataset.diagnosis) { select.value = chosen.dataset.diagnosis; select.dispatchEvent(new Event("change")); }
  const plan = chosen.dataset.plan && form.querySelector(`input[name="plan"][value="${chosen.dataset.plan}"]`);
  if (plan) { plan.checked = true; plan.dispatchEvent(new Event("change", { bubbles: true })); }
  if (chosen.dataset.months) form.querySelector('[name="months"]').value = chosen.dataset.months;
  text.focus();
}
document.getElementById("insert")?.addEventListener("click", insert);
snippets?.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); insert(); } });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (event.key === "Escape") { document.activeElement?.blur(); first = ""; return; }
  if (event.target.matches("select, textarea, input:not([type=radio], [type=range])")) return;
  const act = {
    j: () => document.getElementById("next")?.click(),
    k: () => document.getElementById("previous")?.click(),
    l: () => document.getElementById("accept")?.click(),
    z: view.toggle,
    "[": () => view.step(-1),
    "]": () => view.step(1),
    e: view.compare,
    b: () => view.brighten(15),
    d: () => view.brighten(-15),
    "+": () => view.zoom(1.3),
    "=": () => view.zoom(1.3),
    "-": () => view.zoom(1 / 1.3),
    0: view.fit,
    a: () => { reach(); form?.querySelector("button")?.focus(); form?.scrollIntoView({ block: "start" }); },
    t: () => { reach(); snippets?.focus(); },
    m: () => document.getElementById("message-text")?.focus(),
    s: () => { if (form?.reportValidity()) form.requestSubmit(); },
    "?": () => keys.showModal(),
  }[event.key] ?? (/^[1-9]$/.test(event.key) ? () => number(Number(event.key)) : undefined);
  const waits = event.key === "c" || event.key === "p" ? event.key : "";
  if (act) { event.preventDefault(); act(); }
  first = waits;
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

// What changed and what looks alike: fetched once the page stands, since it opens many sealed embeddings.
const beside = document.getElementById("beside");
if (beside) {
  try {
    const answer = await fetch(beside.dataset.address, { cache: "no-store", redirect: "error" });
    if (answer.ok) beside.replaceChildren(...new DOMParser().parseFromString(await answer.text(), "text/html").body.children);
  } catch { /* the link stays */ }
}
