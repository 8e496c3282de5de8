/* Step 3: where on the body: by tap, by keyboard or from the list; or a lesion that was seen before. */
import * as drafts from "./draft.js";
import { $, $$, configuration, siteName, t, when } from "./page.js";
import { row } from "./rows.js";
import { list, NoNetwork } from "./server.js";

const FINGER = 44;
const SVG = "http://www.w3.org/2000/svg";
const regionOf = (code) => configuration.regions.find((region) => region.code === code);
const choices = $("#site-list");
for (const region of configuration.regions) choices.add(new Option(region.name, region.code));
let earlier = [];

export async function show() {
  $("#site-error").textContent = "";
  earlier = [];
  render();
  const { patient } = drafts.draft;
  if (!patient?.known) return;
  try {
    earlier = await list(`lesions/?patient=${patient.id}`, 50);
  } catch (problem) {
    if (!(problem instanceof NoNetwork || problem.passing)) throw problem; // those seen before are a help, and no need
  }
  if (drafts.draft?.patient === patient) render();
}

function choose(code, side = "", x = null, y = null) {
  const region = regionOf(code);
  const known = drafts.draft.lesion?.known;
  const description = $("#site-description").value;
  drafts.draft.lesion = region && {
    id: (!known && drafts.draft.lesion?.id) || crypto.randomUUID(), known: false, site: region.site, region: code, side, x, y,
    description: known || !description || configuration.regions.some((other) => other.name === description) ? region.name : description,
  };
  $("#site-error").textContent = "";
  drafts.changed();
  render();
}

function again(lesion) {
  drafts.draft.lesion = drafts.knownLesion(lesion);
  $("#site-error").textContent = "";
  drafts.changed();
  render();
}

function render() {
  const { lesion } = drafts.draft;
  for (const path of $$(".region")) path.setAttribute("aria-pressed", String(Boolean(lesion?.region) && path.dataset.region === lesion.region));
  for (const svg of $$(".body")) {
    const pins = [...earlier.filter((one) => one.body_map_side === svg.dataset.side).map((one) => pin(one.body_map_x, one.body_map_y, "earlier")),
      ...(lesion?.side === svg.dataset.side && lesion.x !== null ? [pin(lesion.x, lesion.y, "here")] : [])];
    $(".pins", svg).replaceChildren(...pins);
  }
  choices.value = lesion?.region || "";
  $("#site-description").value = lesion?.description || "";
  $("#site-description").disabled = Boolean(lesion?.known);
  $("#body-chosen").textContent = lesion ? t(lesion.known ? "chosen_again" : "chosen", { site: lesion.description || siteName(lesion.site) }) : t("nothing_chosen");
  $("#earlier-part").hidden = !earlier.length;
  $("#earlier").replaceChildren(...earlier.map((one) => {
    const chosen = lesion?.known && lesion.id === one.id;
    const item = row({ href: "#", mark: chosen ? "check" : "body", title: one.description || siteName(one.anatom_site_general),
      more: when(one.created_at), chip: chosen ? t("is_chosen") : t("choose"), chipKind: chosen ? "settled" : "" });
    $("a", item).addEventListener("click", (event) => { event.preventDefault(); again(one); });
    return item;
  }));
}

function pin(x, y, kind) {
  const dot = document.createElementNS(SVG, "circle");
  dot.setAttribute("cx", x * 100);
  dot.setAttribute("cy", y * 220);
  dot.setAttribute("r", kind === "here" ? 3 : 2);
  dot.setAttribute("class", `pin ${kind}`);
  return dot;
}

/** The region under the finger, or the nearest that a fingertip of 44 pixels touches: a hand is smaller than that. */
function regionNear(svg, event) {
  const under = event.target.closest(".region");
  if (under) return under;
  for (let reach = 4; reach <= FINGER / 2; reach += 3) {
    for (let turn = 0; turn < 16; turn += 1) {
      const angle = (turn * Math.PI) / 8;
      const found = document.elementFromPoint(event.clientX + reach * Math.cos(angle), event.clientY + reach * Math.sin(angle));
      if (found?.matches(".region") && svg.contains(found)) return found;
    }
  }
  return null;
}

for (const svg of $$(".body")) {
  svg.addEventListener("click", (event) => {
    const path = regionNear(svg, event);
    if (!path) return;
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    choose(path.dataset.region, svg.dataset.side, clamp(point.x / 100), clamp(point.y / 220));
  });
  svg.addEventListener("keydown", (event) => {
    const path = event.target.closest(".region");
    if (!path || !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    const box = path.getBBox();
    // In the middle of the first part: of two arms, the one on the left of the drawing.
    const width = box.width > 40 && /Z M/.test(path.getAttribute("d")) ? 12 : box.width;
    choose(path.dataset.region, svg.dataset.side, clamp((box.x + width / 2) / 100), clamp((box.y + box.height / 2) / 220));
  });
}
const clamp = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;

choices.addEventListener("change", () => choose(choices.value));
$("#site-description").addEventListener("input", (event) => {
  if (!drafts.draft.lesion || drafts.draft.lesion.known) return;
  drafts.draft.lesion.description = event.target.value;
  drafts.changed();
});
