/* Step 7: everything once more, and the case goes into the outbox. */
import * as drafts from "./draft.js";
import { seal } from "./envelope.js";
import * as outbox from "./outbox.js";
import { $, configuration, make, siteName, t } from "./page.js";
import * as patientStep from "./patient-step.js";
import { bornOf, nameOf } from "./rows.js";
import { send } from "./server.js";
import { isFull } from "./store.js";
import { me, organisation } from "./who.js";

let submitting = false;

export function show() {
  const { draft } = drafts;
  const lacking = drafts.lacking();
  const signs = Object.keys(draft.answers).filter((code) => draft.answers[code]).map((code) => configuration.questions[code]);
  const agreed = ["analysis", "teledermatology", "research"].filter(drafts.allows).map((scope) => t(`scope ${scope}`));
  const rows = {
    patient: draft.patient && [nameOf(draft.patient), bornOf(draft.patient)].filter(Boolean).join(" · "),
    consent: agreed.join(", ") || t("agreed_to_nothing"),
    site: draft.lesion && `${draft.lesion.description || siteName(draft.lesion.site)}${draft.lesion.known ? ` (${t("seen_before")})` : ""}`,
    photographs: draft.shots.map((shot) => t(`kind ${shot.kind}`)).join(", "),
    history: `${t("score", { score: drafts.score() })}${signs.length ? `: ${signs.join(", ")}` : ""}`,
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
  const [found] = await send("patients/look-up/", { record_number: drafts.draft.patient.record_number });
  if (!found) return;
  const { lesion } = drafts.draft;
  await patientStep.take(found);
  drafts.draft.lesion = lesion;
  delete drafts.draft.problem;
  await drafts.save();
  show();
});

/** Seal the case and put it into the outbox; resolves with its id, or null where something is missing. */
async function submit() {
  const lacking = drafts.lacking();
  if (lacking.length) {
    $("#review-error").textContent = t("review_lacks", { steps: lacking.map((step) => t(`step ${step}`)).join(", ") });
    return null;
  }
  const { draft } = drafts;
  const { fields, photographs } = drafts.finished(organisation());
  try {
    const envelope = await seal(fields, photographs, draft.id, me.user);
    delete draft.problem;
    draft.state = "sent";
    await drafts.save();
    await outbox.add(draft.id, me.user, envelope);
  } catch (error) {
    if (!isFull(error)) throw error;
    draft.state = "editing";
    $("#review-error").textContent = t("phone_full");
    return null;
  }
  drafts.close();
  return draft.id;
}

export function bind(onSubmitted) {
  $("#submit-case").addEventListener("click", async () => {
    if (submitting || !drafts.draft) return; // a second tap is the same case
    submitting = true;
    $("#submit-case").setAttribute("aria-disabled", "true");
    try {
      const id = await submit();
      if (id) await onSubmitted(id);
    } finally {
      submitting = false;
      $("#submit-case").removeAttribute("aria-disabled");
    }
  });
  $("#discard-case").addEventListener("click", async () => {
    if (!confirm(t("discard_sure"))) return;
    await drafts.discard();
    location.hash = "#/home";
  });
}
