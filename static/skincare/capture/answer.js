/* The answer: asked for with an ETag until it is final; the recommendation first, and why. */
import { patientOf } from "./home.js";
import { $, announce, configuration, icon, make, share, siteName, t, when } from "./page.js";
import { markOf, nameOf } from "./rows.js";
import { get, getChanged, NoNetwork, picture, Problem, send } from "./server.js";

const AGAIN_MS = 3_000;
let asked = 0;
let addresses = [];

export async function show(id) {
  const mine = (asked += 1);
  leave();
  asked = mine;
  $("#answer").hidden = $("#answer-problem").hidden = true;
  $("#answer-loading").hidden = false;
  for (let etag = null; asked === mine;) {
    let pause = AGAIN_MS;
    try {
      const changed = await getChanged(`cases/${id}/`, etag);
      if (asked !== mine) return;
      $("#answer-problem").hidden = true;
      if (changed) {
        etag = changed.etag;
        const { document: found } = changed;
        await render(found, mine);
        if (found.poll_after_ms === null) return;
        pause = found.poll_after_ms;
      } else pause = 500;
    } catch (error) {
      if (asked !== mine) return;
      if (!(error instanceof NoNetwork || error instanceof Problem)) throw error;
      $("#answer-problem-text").textContent = error.message;
      $("#answer-problem").hidden = false;
      $("#answer-loading").hidden = true;
      if (error instanceof Problem && !error.passing) return;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Stop asking, and leave no photograph in memory. */
export function leave() {
  asked += 1;
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  for (const image of [$("#photograph"), $("#map")]) image.removeAttribute("src");
}

$("#answer-again").addEventListener("click", () => window.dispatchEvent(new HashChangeEvent("hashchange")));

async function render(found, mine) {
  const { analysis } = found;
  const waiting = found.state === "waiting";
  $("#answer-loading").hidden = !waiting;
  if (waiting && !(found.poll_after_ms >= 500)) return; // it will be there at once
  const patient = await patientOf(found.patient).catch(() => null);
  if (asked !== mine) return;
  $("#answer").hidden = false;
  $("#answer-who").textContent = [patient && nameOf(patient), siteName(found.anatom_site_general), when(found.seen_at)].filter(Boolean).join(" · ");
  const level = analysis.recommendation || "human_review";
  const [kind, mark] = markOf(level);
  $("#verdict").className = `verdict ${kind}`;
  icon($("#verdict svg"), mark);
  $("#verdict-words").textContent = analysis.recommendation_text || t("level human_review");
  $("#verdict-why").textContent = [analysis.decided_by_text, analysis.decided_by && t(`from ${from(analysis.decided_by)}`)].filter(Boolean).join(" ");
  for (const step of $("#scale").children) {
    if (step.dataset.level === level) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
  const answered = found.state === "answered";
  $("#no-result").hidden = answered || waiting;
  $("#no-result-why").textContent = configuration.texts[`reason ${analysis.reason}`] || analysis.reason_text;
  $("#notices").replaceChildren(...analysis.notices.map((notice) => make("li", { class: "note caution" }, notice.text)));
  $("#probabilities-part").hidden = !answered;
  if (answered) renderProbabilities(found);
  $("#version").textContent = analysis.model_version ? t("version", { name: analysis.model_version.name }) : t("no_version");
  $("#to-lesion").href = `#/lesion/${found.lesion}`;
  renderActions(found);
  await renderPictures(found, mine);
  announce($("#verdict-words").textContent);
}

const from = (decider) => ({ network: "network", plain_photographs: "network", abstention: "network", none: "both" }[decider] || "clinical");

function renderProbabilities({ analysis, impression, suspicion }) {
  $("#risk-words").textContent = t("risk", { risk: share(analysis.malignancy_risk) });
  const rows = Object.entries(analysis.probabilities).sort(([, one], [, other]) => other - one);
  $("#bars").replaceChildren(...rows.map(([code, probability]) => {
    const { name, malignant } = configuration.diagnoses[code];
    const bar = make("progress", { max: 1, value: probability, "aria-label": name });
    return make("div", { class: `bar-row ${malignant ? "malignant" : ""}` },
      make("span", { class: "bar-name" }, name, ...(malignant ? [make("span", { class: "chip urgent" }, t("malignant"))] : [])),
      make("span", { class: "bar-share number" }, share(probability)), bar);
  }));
  $("#own-impression").textContent = t("own_impression", {
    suspicion: t(`suspicion ${suspicion}`), impression: impression ? configuration.diagnoses[impression].name : t("no_opinion"),
  });
}

async function renderPictures(found, mine) {
  const deciding = found.images.find((image) => image.id === found.analysis.deciding_image) || found.images[0];
  const address = async (path) => {
    const made = URL.createObjectURL(await picture(path));
    if (asked === mine) addresses.push(made); else URL.revokeObjectURL(made);
    return made;
  };
  const strength = $("#map-strength");
  strength.value = 0;
  $("#map").hidden = true;
  $("#map-control").hidden = !found.analysis.map;
  strength.oninput = async () => {
    const map = $("#map");
    map.hidden = strength.value === "0";
    map.style.opacity = strength.value / 100;
    if (!map.src && asked === mine) map.src = await address(found.analysis.map);
  };
  if (deciding.content) $("#photograph").src = await address(deciding.content);
  $("#overlay").hidden = !deciding.content;
  const others = found.images.filter((image) => image !== deciding && image.content);
  $("#thumbs").replaceChildren(...await Promise.all(others.map(async (image) => make("img", { src: await address(image.content), alt: t(`kind ${image.kind}`) }))));
}

function renderActions(found) {
  const actions = [];
  if (found.links.retry) {
    actions.push(make("button", { class: "btn", type: "button", onclick: async () => { await send(`cases/${found.id}/retry/`, {}); await show(found.id); } }, t("ask_again")));
  }
  $("#answer-actions").replaceChildren(...actions);
}
