/* The answer: asked for with an ETag until it is final; the recommendation first, and why. */
import { addressFor } from "./agree.js";
import { asksToRefer, decidedOn } from "./decide.js";
import { opened, patientOf } from "./home.js";
import { $, announce, beside, configuration, day, icon, make, share, siteName, t, when } from "./page.js";
import { isOpen, lookOf } from "./referral.js";
import { levelOf, markOf, nameOf, row } from "./rows.js";
import { get, getChanged, NoNetwork, picture, Problem, send } from "./server.js";

const AGAIN_MS = 3_000;
/** How long an answer that comes at once is waited for, before what the clinical rule says is shown without it. */
const AT_ONCE_MS = 2_000;
/** Why the network did not read, where the patient's word is what it takes. */
const WANT_CONSENT = ["no_consent", "consent_withdrawn", "consent_expired"];
let asked = 0;
let addresses = [];

export async function show(id) {
  const mine = (asked += 1);
  leave();
  asked = mine;
  $("#answer").hidden = $("#answer-problem").hidden = true;
  $("#answer-error").textContent = "";
  $("#answer-loading").hidden = false;
  const begun = Date.now();
  let found = null;
  let shown = null;
  for (let etag = null; asked === mine;) {
    let pause = AGAIN_MS;
    try {
      const changed = await getChanged(`cases/${id}/`, etag);
      if (asked !== mine) return;
      if (changed) ({ document: found, etag } = changed);
      $("#answer-problem").hidden = true;
      $("#answer-loading").hidden = found.state !== "waiting";
      const atOnce = found.poll_after_ms !== null && found.poll_after_ms < 500 && Date.now() - begun < AT_ONCE_MS;
      if (found !== shown && !atOnce) {
        await render(found, mine);
        shown = found; // where a photograph did not come, it is shown again although nothing changed
      }
      if (found.poll_after_ms === null) return;
      pause = changed ? found.poll_after_ms : 500;
    } catch (error) {
      if (asked !== mine) return;
      if (!(error instanceof NoNetwork || error.passing)) throw error;
      $("#answer-problem-text").textContent = error.message;
      $("#answer-problem").hidden = false;
      $("#answer-loading").hidden = true;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Stop asking, and leave neither name, answer nor photograph in the page. */
export function leave() {
  asked += 1;
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  for (const id of ["answer-who", "notices", "bars", "own-impression", "thumbs", "decided", "answer-actions"]) $(`#${id}`).replaceChildren();
  for (const image of [$("#photograph"), $("#map")]) image.removeAttribute("src");
}

$("#answer-again").addEventListener("click", () => window.dispatchEvent(new HashChangeEvent("hashchange")));

async function render(found, mine) {
  const { analysis } = found;
  const waiting = found.state === "waiting";
  const patient = await patientOf(found.patient).catch(() => null);
  if (asked !== mine) return;
  if (!waiting) opened(found.id);
  $("#answer").hidden = false;
  $("#answer-who").textContent = beside(patient && nameOf(patient), siteName(found.anatom_site_general), when(found.seen_at));
  const level = levelOf(found.state, analysis.recommendation);
  const asIs = level === analysis.recommendation;
  const [kind, mark] = markOf(level);
  $("#verdict").className = `verdict ${kind}`;
  icon($("#verdict svg"), mark);
  $("#verdict-words").textContent = asIs ? analysis.recommendation_text : t(level ? "level human_review" : "not_answered_yet");
  $("#verdict-why").textContent = asIs ? [analysis.decided_by_text, t(`from ${from(analysis.decided_by)}`)].join(" ") : "";
  for (const step of $("#scale").children) {
    if (step.dataset.level === level) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
  const answered = found.state === "answered";
  $("#no-result").hidden = answered || waiting;
  $("#no-result-why").textContent = configuration.texts[`reason ${analysis.reason}`] || analysis.reason_text;
  $("#no-result-consent").hidden = !WANT_CONSENT.includes(analysis.reason);
  $("#no-result-consent").href = addressFor(found.patient, found.id);
  $("#notices").replaceChildren(...analysis.notices.map((notice) => make("li", { class: "note caution" }, notice.text)));
  $("#probabilities-part").hidden = !answered;
  if (answered) renderProbabilities(found);
  $("#version").textContent = analysis.model_version ? t("version", { name: analysis.model_version.name }) : t("no_version");
  $("#to-lesion").href = `#/lesion/${found.lesion}`;
  await Promise.all([renderActions(found, mine), renderPictures(found, mine)]);
  announce($("#verdict-words").textContent);
}

const from = (decider) => ({ network: "network", plain_photographs: "network", abstention: "network", none: "both" }[decider] || "clinical");

function renderProbabilities({ analysis, impression, suspicion }) {
  $("#risk-words").textContent = t("risk", { risk: share(analysis.malignancy_risk) });
  const rows = Object.entries(analysis.probabilities).sort(([, one], [, other]) => other - one);
  $("#bars").replaceChildren(...rows.map(([code, probability]) => {
    const { name, concern } = configuration.diagnoses[code];
    const bar = make("progress", { max: 1, value: probability, "aria-label": name });
    return make("div", { class: `bar-row ${concern ? "malignant" : ""}` },
      make("span", { class: "bar-name" }, name, ...(concern ? [make("span", { class: "chip urgent" }, t(`concern ${concern}`))] : [])),
      make("span", { class: "bar-share number" }, share(probability)), bar);
  }));
  $("#own-impression").textContent = t("own_impression", {
    suspicion: t(`suspicion ${suspicion}`), impression: impression ? configuration.diagnoses[impression].name : t("no_opinion"),
  });
}

async function renderPictures(found, mine) {
  const deciding = found.images.find((image) => image.id === found.analysis.deciding_image) || found.images[0];
  /** Put a picture into its place, where that is still shown. */
  const fill = async (image, path) => {
    const content = await picture(path);
    if (asked !== mine) return;
    addresses.push(URL.createObjectURL(content));
    image.src = addresses.at(-1);
  };
  const strength = $("#map-strength");
  strength.value = 0;
  $("#map").hidden = true;
  $("#map-control").hidden = !found.analysis.map;
  strength.oninput = async () => {
    const map = $("#map");
    map.hidden = strength.value === "0";
    map.style.opacity = strength.value / 100;
    if (!map.src && asked === mine) await fill(map, found.analysis.map);
  };
  if (deciding.content) await fill($("#photograph"), deciding.content);
  if (asked !== mine) return;
  $("#overlay").hidden = !deciding.content;
  const others = found.images.filter((image) => image !== deciding && image.content);
  const thumbs = others.map((image) => make("img", { alt: t(`kind ${image.kind}`) }));
  $("#thumbs").replaceChildren(...thumbs);
  await Promise.all(thumbs.map((thumb, index) => fill(thumb, others[index].content)));
}

/** Refer, observe or close; and what was decided so far. Asked for apart, so that the answer does not wait for it. */
async function renderActions(found, mine) {
  const urges = asksToRefer(found.analysis) || levelOf(found.state, found.analysis.recommendation) === "human_review";
  const way = (place, mark, text, primary) => {
    const link = make("a", { class: `btn wide ${primary ? "primary large" : ""}`, href: `#/${place}/${found.id}` });
    const svg = document.importNode($("#t-icon").content, true).firstElementChild;
    icon(svg, mark);
    link.append(svg, text);
    return link;
  };
  const retry = found.links.retry && !WANT_CONSENT.includes(found.analysis.reason) ? [make("button", { class: "btn wide", type: "button", onclick: () => askAgain(found.id) }, t("ask_again"))] : [];
  let decided = { decisions: [], referrals: [] };
  try {
    decided = await decidedOn(found.id);
  } catch (error) {
    if (!(error instanceof NoNetwork || error instanceof Problem)) throw error;
  }
  if (asked !== mine) return;
  const standing = decided.referrals.find((one) => isOpen(one.state));
  $("#decided").replaceChildren(...decided.referrals.map((one) => row({ href: `#/referral/${one.id}`, mark: lookOf(one.state)[1], title: one.service_name,
    more: t(`urgency ${one.urgency}`), chip: t(`referral ${one.state}`), chipKind: lookOf(one.state)[0] }).firstElementChild),
  ...decided.decisions.slice(0, 1).map(decisionNote));
  $("#answer-actions").replaceChildren(...(standing ? [] : [way("refer", "refer", t("refer"), urges && !decided.referrals.length),
    way("observe", "clock", t("observe"), false), way("close", "check", t("close"), false)]), ...retry);
}

async function askAgain(id) {
  try {
    await send(`cases/${id}/retry/`, {});
    await show(id);
  } catch (error) {
    if (!(error instanceof NoNetwork || error instanceof Problem)) throw error;
    $("#answer-error").textContent = error.message;
  }
}

function decisionNote(decision) {
  const text = decision.kind === "observe" ? t("decided observe", { date: day(decision.remind_on) }) : t("decided close", { reason: t(`close ${decision.reason}`) });
  return make("div", { class: "note" }, make("div", {}, make("p", {}, make("b", {}, text)), ...(decision.note ? [make("p", { dir: "auto" }, decision.note)] : []),
    make("p", { class: "small" }, `${decision.decided_by} · ${when(decision.decided_at)}`)));
}
