/* What the patient agrees to, scope by scope, and how it was said: in step 2 of a case, and after it (agree.js). */
import * as drafts from "./draft.js";
import { $, $$, configuration, listed, make, t } from "./page.js";
import { Signature } from "./signature.js";
import { policies } from "./who.js";

/** How people agree here, so that it need not be chosen each time: only ways of which each consent brings its own proof. */
const METHOD = "method";
const SHOWN_ANEW = ["signature", "spoken"];
const PAGE_LANGUAGE = configuration.language.split("-")[0];
const pad = new Signature($("#signature"), () => keep());
/** What is being filled in, what to do once it has changed, and the texts on this phone, one a language. */
let consent = null;
let onChange = () => {};
let texts = [];

/** Show the fields in a place of the page, filled with what was said so far. */
export async function fill(place, said, changed) {
  consent = said;
  onChange = changed;
  place.append($("#consent-parts"));
  $("#consent-parts").hidden = true; // until it shows what was said: a tap before that would be lost
  const found = await policies();
  if (consent !== said) return;
  texts = found;
  $("#policy-missing").hidden = texts.length > 0;
  $("#consent-known").hidden = !consent.in_force.length;
  $("#consent-known-text").textContent = t("in_force", { scopes: scopesInWords(consent.in_force) });
  const all = consent.in_force.length === 3;
  $("#policy").hidden = $("#scopes").hidden = $("#spoken-part").hidden = all || !texts.length;
  for (const input of $$("[data-scope]")) {
    input.closest("label").hidden = consent.in_force.includes(input.dataset.scope);
    input.checked = Boolean(consent.scopes[input.dataset.scope]);
  }
  consent.method ||= localStorage.getItem(METHOD) || "";
  for (const input of $$("[name=method]")) input.checked = input.value === consent.method;
  $("#spoken").value = consent.spoken || PAGE_LANGUAGE;
  $("#witness").value = consent.witness;
  pad.restore(consent.signature);
  showText();
  render();
  $("#consent-parts").hidden = false;
}

export const scopesInWords = (scopes) => listed(scopes.map((scope) => t(`scope ${scope}`)));

export async function show() {
  $("#consent-error").textContent = "";
  await fill($("#consent-place"), drafts.draft.consent, () => { $("#consent-error").textContent = ""; drafts.changed(); });
}

/** The text in the language of the conversation, or else in the page's, or in English. */
const textOf = (language) => [language, PAGE_LANGUAGE, "en"].map((wanted) => texts.find((text) => text.language === wanted)).find(Boolean) || texts[0];

function showText() {
  const text = textOf($("#spoken").value);
  if (!text) return;
  $("#policy-title").textContent = text.title;
  $("#policy-text").replaceChildren(...text.text.trim().split(/\n\s*\n/).map((part) => make("p", {}, part)));
  $("#policy-title").lang = $("#policy-text").lang = text.language;
  $("#policy-text").dir = $("#policy-title").dir = "auto";
}

function keep() {
  if (!consent) return; // a field that loses its focus as the screen is left
  const text = textOf($("#spoken").value);
  for (const input of $$("[data-scope]")) {
    consent.scopes[input.dataset.scope] = input.checked;
    if (input.checked) consent.ids[input.dataset.scope] ||= crypto.randomUUID();
  }
  consent.method = $("[name=method]:checked")?.value || "";
  if (SHOWN_ANEW.includes(consent.method)) localStorage.setItem(METHOD, consent.method);
  consent.spoken = $("#spoken").value;
  consent.witness = $("#witness").value;
  consent.signature = pad.svg();
  consent.captured_at = new Date().toISOString();
  consent.policy = text && { version: text.version, language: text.language };
  onChange();
  render();
}

function render() {
  const any = Object.values(consent.scopes).some(Boolean);
  $("#evidence").hidden = !any;
  $("#signature-part").hidden = consent.method !== "signature";
  $("#witness-part").hidden = consent.method !== "spoken";
  $("#consent-effect").textContent = [drafts.allows("analysis", consent) ? t("will_be_read") : t("not_read_without"),
    drafts.allows("teledermatology", consent) ? "" : t("not_referred_without")].filter(Boolean).join(" ");
}

/** What its evidence lacks, in words; empty where it is complete. */
export function lacksEvidence(said) {
  if (!drafts.lacksEvidence(said)) return "";
  return t({ signature: "signature_missing", spoken: "witness_missing" }[said.method] || "method_missing");
}

/** Why one cannot go on; empty where one can. */
export const problem = () => lacksEvidence(drafts.draft.consent);

/** Leave nothing of the patient in the fields. */
export function leave() {
  consent = null;
  pad.clear();
  $("#witness").value = "";
}

$("#scopes").addEventListener("change", keep);
$("#evidence").addEventListener("change", keep);
$("#spoken").addEventListener("change", () => { showText(); keep(); });
$("#witness").addEventListener("input", keep);
$("#signature-clear").addEventListener("click", () => { pad.clear(); keep(); });
