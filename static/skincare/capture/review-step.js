/* Step 7: everything once more, and the case goes into the outbox. */
import * as drafts from "./draft.js";
import { scopesInWords } from "./consent-step.js";
import { seal } from "./envelope.js";
import * as outbox from "./outbox.js";
import { $, apart, configuration, listed, make, siteName, t } from "./page.js";
import * as patientStep from "./patient-step.js";
import { bornOf, nameOf } from "./rows.js";
import { send } from "./server.js";
import { isFull } from "./store.js";
import { visit } from "./visits.js";
import { me, organisation } from "./who.js";

let submitting = false;

export function show() {
  const { draft } = drafts;
  const lacking = drafts.lacking();
  const signs = Object.keys(draft.answers).filter((code) => draft.answers[code]).map((code) => configuration.questions[code]);
  const agreed = ["analysis", "teledermatology", "research"].filter((scope) => drafts.allows(scope));
  const rows = {
    patient: draft.patient && [apart(nameOf(draft.patient)), bornOf(draft.patient)].filter(Boolean).join(" · "),
    consent: scopesInWords(agreed) || t("agreed_to_nothing"),
    site: draft.lesion && `${draft.lesion.description || siteName(draft.lesion.site)}${draft.lesion.known ? ` (${t("seen_before")})` : ""}`,
    photographs: listed(draft.shots.map((shot) => t(`kind ${shot.kind}`))),
    history: `${t("score", { score: drafts.score() })}${signs.length ? `: ${listed(signs)}` : ""}`,
    impression: draft.suspicion && [t(`suspicion ${draft.suspicion}`), draft.impression && configuration.diagnoses[draft.impression].name].filter(Boolean).join(": "),
  };
  $("#review").replaceChildren(...Object.entries(rows).map(([step, text]) => make("div", { class: lacking.includes(step) ? "lacks" : "" },
    make("dt", {}, t(`step ${step}`)), make("dd", {}, lacking.includes(step) ? t("lacks") : text || t("lacks")),
    make("dd", {}, make("a", { class: "btn quiet", href: `#/case/${draft.id}/${step}`, "aria-label": t("change_step", { step: t(`step ${step}`) }) }, t("change"))))));
  $("#note").value = draft.note;
  $("#review-effect").textContent = t(drafts.allows("analysis") ? "will_be_read" : "not_read_without");
  $("#review-error").textContent = "";
  $("#mend").hidden = !draft.problem;
  $("#mend-text").textContent = draft.problem?.reason || "";
  $("#mend-patient").hidden = draft.problem?.code !== "record_number_taken";
}

$("#note").addEventListener("input", (event) => { drafts.draft.note = event.target.value; drafts.changed(); });

$("#mend-patient").addEventListener("click", async () => {
  const here = visit();
  const [found] = await send("patients/look-up/", { record_number: drafts.draft.patient.record_number });
  if (!found || !here()) return;
  const { draft } = drafts;
  const { lesion } = draft;
  await patientStep.take(found);
  draft.lesion = lesion;
  delete draft.problem;
  await drafts.save();
  if (here()) show();
});

/** Seal the case and put it into the outbox; resolves with its id, or null where something is missing. */
async function submit() {
  const lacking = drafts.lacking();
  if (lacking.length) {
    $("#review-error").textContent = t("review_lacks", { steps: listed(lacking.map((step) => t(`step ${step}`))) });
    return null;
  }
  const { draft } = drafts;
  const { fields, photographs } = drafts.finished(organisation());
  try {
    const envelope = await seal(fields, photographs, draft.id, me.user);
    await outbox.add(draft.id, me.user, envelope, await drafts.rowOnItsWay(draft));
  } catch (error) {
    if (!isFull(error)) throw error;
    $("#review-error").textContent = t("phone_full");
    return null;
  }
  if (drafts.draft === draft) drafts.close();
  return draft.id;
}

export function bind(onSubmitted) {
  $("#submit-case").addEventListener("click", async () => {
    if (submitting || !drafts.draft) return; // a second tap is the same case
    submitting = true;
    const here = visit();
    $("#submit-case").setAttribute("aria-disabled", "true");
    let id;
    try {
      id = await submit();
    } finally {
      submitting = false;
      $("#submit-case").removeAttribute("aria-disabled");
    }
    if (id) await onSubmitted(id, here()); // which takes as long as the line: the next case need not wait for it
  });
  $("#discard-case").addEventListener("click", async () => {
    if (!confirm(t("discard_sure"))) return;
    await drafts.discard();
    location.hash = "#/home";
  });
}
