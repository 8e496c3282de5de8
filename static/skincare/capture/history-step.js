/* Steps 5 and 6: the weighted 7-point checklist, whose score acts at once, and the clinician's own impression. */
import * as drafts from "./draft.js";
import { $, $$, configuration, icon, t } from "./page.js";

export function show() {
  const { answers, background } = drafts.draft;
  for (const question of $$(".question")) {
    const answer = answers[question.dataset.question];
    for (const input of $$("input", question)) input.checked = answer !== undefined && (input.value === "yes") === answer;
    question.classList.remove("open");
  }
  for (const select of $$("[data-background]")) {
    const answer = background[select.dataset.background];
    select.value = answer === undefined ? "" : answer ? "yes" : "no";
  }
  $("#history-error").textContent = "";
  render();
}

function render() {
  const score = drafts.score();
  const urgent = score >= configuration.urgentScore;
  const sign = drafts.draft.answers.bleeding || drafts.draft.answers.growth;
  $("#score").className = `note ${urgent ? "urgent" : sign ? "refer" : ""}`;
  icon($("#score svg"), urgent ? "urgent" : sign ? "refer" : "judge");
  $("#score-number").textContent = t("score", { score });
  $("#score-effect").textContent = t(urgent ? "score_urgent" : sign ? "score_sign" : "score_low");
  const open = Object.keys(configuration.questions).filter((code) => drafts.draft.answers[code] === undefined).length;
  $("#rest-no").hidden = open === 0;
}

$("#questions").addEventListener("change", (event) => {
  const question = event.target.closest(".question");
  drafts.draft.answers[question.dataset.question] = event.target.value === "yes";
  question.classList.remove("open");
  $("#history-error").textContent = "";
  drafts.changed();
  render();
});

$("#rest-no").addEventListener("click", () => {
  for (const code of Object.keys(configuration.questions)) drafts.draft.answers[code] ??= false;
  drafts.changed();
  show();
});

$("#background").addEventListener("change", (event) => {
  const { background } = event.target.dataset;
  if (event.target.value) drafts.draft.background[background] = event.target.value === "yes";
  else delete drafts.draft.background[background];
  drafts.changed();
});

/** Why one cannot go on; the open questions are marked. */
export function problem() {
  const open = $$(".question").filter((question) => drafts.draft.answers[question.dataset.question] === undefined);
  open.forEach((question) => question.classList.add("open"));
  return open.length ? t("questions_open", { number: open.length }) : "";
}

export function showImpression() {
  for (const input of $$("[name=suspicion]")) input.checked = input.value === drafts.draft.suspicion;
  $("#impression").value = drafts.draft.impression;
  $("#impression-error").textContent = "";
}

$("[data-screen=impression]").addEventListener("change", () => {
  $("#impression-error").textContent = "";
  drafts.draft.suspicion = $("[name=suspicion]:checked")?.value || "";
  drafts.draft.impression = $("#impression").value;
  drafts.changed();
});

export const problemOfImpression = () => (drafts.draft.suspicion ? "" : t("suspicion_missing"));
