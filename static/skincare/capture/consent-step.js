/* Step 2: what the patient agrees to, scope by scope, and how it was said. */
import * as drafts from "./draft.js";
import { $, $$, t } from "./page.js";
import { Signature } from "./signature.js";
import { policy } from "./who.js";

const pad = new Signature($("#signature"), () => keep());
let text = null;

export async function show() {
  const { consent } = drafts.draft;
  text = await policy();
  $("#policy-missing").hidden = Boolean(text);
  $("#policy").hidden = $("#scopes").hidden = !text;
  if (text) {
    $("#policy-title").textContent = text.title;
    $("#policy-text").replaceChildren(...text.text.trim().split(/\n\s*\n/).map((part) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = part;
      return paragraph;
    }));
    $("#policy-text").lang = text.language;
    $("#policy-text").dir = "auto";
  }
  $("#consent-known").hidden = !consent.in_force.length;
  $("#consent-known-text").textContent = t("in_force", { scopes: consent.in_force.map((scope) => t(`scope ${scope}`)).join(", ") });
  for (const input of $$("[data-scope]")) {
    input.closest("label").hidden = consent.in_force.includes(input.dataset.scope);
    input.checked = Boolean(consent.scopes[input.dataset.scope]);
  }
  $("#scopes").hidden ||= consent.in_force.length === 3;
  for (const input of $$("[name=method]")) input.checked = input.value === consent.method;
  $("#witness").value = consent.witness;
  pad.restore(consent.signature);
  $("#consent-error").textContent = "";
  render();
}

function keep() {
  const { consent } = drafts.draft;
  for (const input of $$("[data-scope]")) {
    consent.scopes[input.dataset.scope] = input.checked;
    if (input.checked) consent.ids[input.dataset.scope] ||= crypto.randomUUID();
  }
  consent.method = $("[name=method]:checked")?.value || "";
  consent.witness = $("#witness").value;
  consent.signature = pad.svg();
  consent.captured_at = new Date().toISOString();
  consent.policy = text && { version: text.version, language: text.language };
  drafts.changed();
  render();
}

function render() {
  const { consent } = drafts.draft;
  const any = Object.values(consent.scopes).some(Boolean);
  $("#evidence").hidden = !any;
  $("#signature-part").hidden = consent.method !== "signature";
  $("#witness-part").hidden = consent.method !== "spoken";
  $("#consent-effect").textContent = [drafts.allows("analysis") ? t("will_be_read") : t("not_read_without"),
    drafts.allows("teledermatology") ? "" : t("not_referred_without")].filter(Boolean).join(" ");
}

/** Why one cannot go on; empty where one can. */
export function problem() {
  if (!drafts.lacking().includes("consent")) return "";
  const { method } = drafts.draft.consent;
  return t(method === "signature" ? "signature_missing" : method === "spoken" ? "witness_missing" : "method_missing");
}

$("#scopes").addEventListener("change", keep);
$("#evidence").addEventListener("change", keep);
$("#witness").addEventListener("input", keep);
$("#signature-clear").addEventListener("click", () => { pad.clear(); keep(); });
