/* A patient's lesions and cases, and one lesion over time. */
import { addressFor, inForce } from "./agree.js";
import { shift } from "./compare.js";
import { scopesInWords } from "./consent-step.js";
import { patientOf } from "./home.js";
import { $, $$, configuration, day, make, share, siteName, stamp, t, when } from "./page.js";
import { nameOfDiagnosis } from "./referral.js";
import { bornOf, caseRow, levelOf, markOf, nameOf, row } from "./rows.js";
import { get, list, NoNetwork, picture, Problem, send } from "./server.js";
import { visit } from "./visits.js";

let addresses = [];
export function leave() {
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  for (const image of [$("#earlier-picture"), $("#later-picture")]) image.removeAttribute("src");
  for (const id of ["record-name", "record-more", "record-agreed", "lesion-name", "lesion-more", "lesion-due-text", "looked-up", "record-lesions", "record-cases", "timeline"]) $(`#${id}`).replaceChildren();
}

export function showFind() {
  leave();
  $("#look-up").reset();
  $("#look-up-name").reset();
  $("#look-up-error").textContent = "";
}

/** Show who is found, or say that nobody is. */
async function lookUp(wanted, nobody) {
  $("#looked-up").replaceChildren();
  const here = visit();
  try {
    const found = await send("patients/look-up/", wanted);
    if (!here()) return;
    $("#looked-up").replaceChildren(...found.map((patient) => row({ href: `#/patient/${patient.id}`, mark: "person", title: nameOf(patient), more: bornOf(patient), chip: t("open") })));
    $("#look-up-error").textContent = found.length ? "" : t(nobody);
    $("#looked-up a")?.focus();
  } catch (error) {
    if (!(error instanceof NoNetwork || error instanceof Problem)) throw error;
    if (here()) $("#look-up-error").textContent = error.message;
  }
}

$("#look-up").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = $("#look-up-number").value.trim();
  $("#look-up-error").textContent = number ? "" : t("record_number_missing");
  if (number) lookUp({ record_number: number }, "nobody_found");
});

$("#look-up-name").addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, birth] = [$("#look-up-name-field").value.trim(), $("#look-up-birth").value];
  $("#look-up-error").textContent = name && birth ? "" : t("name_and_birth_missing");
  if (name && birth) lookUp({ name, birth_date: birth }, "nobody_by_name");
});

export async function showPatient(id) {
  leave();
  $("#record-new").hidden = $("#record-consents").hidden = true;
  const here = visit();
  const [patient, lesions, cases, agreed] = await Promise.all([patientOf(id), list(`lesions/?patient=${id}`, 50), list(`cases/?patient=${id}`, 50), inForce(id)]);
  if (!here()) return;
  $("#record-name").textContent = nameOf(patient);
  $("#record-more").textContent = bornOf(patient);
  $("#record-new").href = `#/new/${id}`;
  $("#record-new").hidden = false;
  $("#record-agreed").textContent = agreed.length ? t("in_force", { scopes: scopesInWords(agreed) }) : t("agreed_to_nothing");
  $("#record-agree").href = addressFor(id);
  $("#record-agree").hidden = agreed.length === 3;
  $("#record-history").href = `${configuration.urls.consents}${id}/`;
  $("#record-consents").hidden = false;
  $("#record-lesions").replaceChildren(...lesions.map((lesion) => row({ href: `#/lesion/${lesion.id}`, mark: "body",
    title: lesion.description || siteName(lesion.anatom_site_general), more: when(lesion.created_at),
    chip: t("visits", { number: cases.filter((found) => found.lesion === lesion.id).length }) })));
  $("#record-cases").replaceChildren(...cases.map((found) => caseRow(found, null)));
}

export async function showLesion(id) {
  leave();
  $("#compare").hidden = $("#over-time").hidden = $("#lesion-due").hidden = $("#lesion-new").hidden = true; // until it is known where they lead
  const here = visit();
  const lesion = await get(`lesions/${id}/`);
  const [patient, cases, referrals, observations] = await Promise.all([patientOf(lesion.patient), list(`cases/?lesion=${id}`, 20), list(`referrals/?lesion=${id}`, 20), get(`observations/?lesion=${id}`)]);
  if (!here()) return;
  $("#lesion-name").textContent = lesion.description || siteName(lesion.anatom_site_general);
  $("#lesion-more").textContent = `${nameOf(patient)} · ${siteName(lesion.anatom_site_general)}`;
  $("#lesion-new").href = `#/new/${lesion.patient}/${id}`;
  $("#lesion-new").hidden = false;
  $("#lesion-due").hidden = !observations.length;
  if (observations.length) {
    $("#lesion-due").className = `note ${observations[0].due ? "refer" : ""}`;
    $("#lesion-due-text").textContent = t(observations[0].due ? "due_since" : "look_again_on", { date: day(observations[0].remind_on) });
  }
  cases.sort((one, other) => other.seen_at.localeCompare(one.seen_at));
  const visits = await Promise.all(cases.map((found) => visitOf(found, referrals.filter((one) => one.case === found.id), here)));
  if (!here()) return;
  $("#over-time").hidden = false;
  $("#timeline").replaceChildren(...visits.map((visit) => visit.item));
  await comparison(visits.filter((visit) => visit.address));
}

async function visitOf(found, referrals, here) {
  const [whole, decisions, ...letters] = await Promise.all([get(`cases/${found.id}/`), get(`cases/${found.id}/decisions/`), ...referrals.map((one) => get(`referrals/${one.id}/`))]);
  const item = stamp("t-visit");
  const { analysis } = whole;
  $("h3", item).textContent = when(found.seen_at);
  const image = whole.images.find((one) => one.id === analysis.deciding_image) || whole.images[0];
  let address = null;
  if (image.content) {
    const content = await picture(image.content);
    if (!here()) return null;
    address = URL.createObjectURL(content);
    addresses.push(address);
    $("img", item).src = address;
  }
  $("img", item).alt = t(`kind ${image.kind}`);
  const waiting = whole.state === "waiting";
  const level = levelOf(whole.state, analysis.recommendation);
  const [kind] = markOf(level);
  $(".chip", item).textContent = waiting ? t("state waiting") : t(`short ${level}`);
  if (!waiting && kind) $(".chip", item).classList.add(kind);
  $(".small.muted", item).textContent = [analysis.malignancy_risk === null ? "" : t("risk_short", { risk: share(analysis.malignancy_risk) }),
    t("score", { score: whole.checklist.score }), t(`suspicion ${whole.suspicion}`)].filter(Boolean).join(" · ");
  const said = [];
  for (const letter of letters) {
    const answer = letter.assessments.at(-1);
    said.push(make("p", {}, make("a", { href: `#/referral/${letter.id}` }, answer
      ? t("dermatologist_said", { diagnosis: await nameOfDiagnosis(answer.diagnosis), plan: t(`plan ${answer.plan}`) }) : t(`referral ${letter.state}`))));
  }
  if (decisions.length) {
    const [latest] = decisions;
    said.push(make("p", {}, latest.kind === "observe" ? t("decided observe", { date: day(latest.remind_on) }) : t("decided close", { reason: t(`close ${latest.reason}`) })));
    if (latest.note) said.push(make("p", { class: "muted", dir: "auto" }, latest.note));
  }
  $(".visit-more", item).replaceChildren(...said);
  $("a.btn", item).href = `#/answer/${found.id}`;
  return { item, address, seen: found.seen_at };
}

// --- side by side ----------------------------------------------------------------------------------------------------
let visitsShown = [];
const place = { x: 0, y: 0, size: 1, turn: 0 };

async function comparison(visits) {
  visitsShown = visits;
  $("#compare").hidden = visits.length < 2;
  if (visits.length < 2) return;
  for (const select of [$("#earlier-visit"), $("#later-visit")]) select.replaceChildren(...visits.map((visit, index) => new Option(day(visit.seen), index)));
  $("#earlier-visit").value = visits.length - 1;
  $("#later-visit").value = 0;
  $("#blend").value = 0;
  await align();
}

async function align() {
  const here = visit();
  const [earlier, later] = [$("#earlier-picture"), $("#later-picture")];
  earlier.src = visitsShown[$("#earlier-visit").value].address;
  later.src = visitsShown[$("#later-visit").value].address;
  await Promise.all([earlier.decode(), later.decode()]).catch((error) => { if (here()) throw error; });
  if (!here()) return;
  const found = shift(earlier, later);
  Object.assign(place, { x: 0, y: 0, size: 1, turn: 0 }, found || {});
  $("#compare-said").textContent = t(found ? "aligned" : "not_aligned");
  move();
}

function move() {
  const later = $("#later-picture");
  later.style.transform = `translate(${place.x * 100}%, ${place.y * 100}%) rotate(${place.turn}deg) scale(${place.size})`;
  const blend = Number($("#blend").value);
  $("#frames").classList.toggle("laid", blend > 0);
  later.style.opacity = blend > 0 ? blend / 100 : 1;
}

const MOVES = {
  left: () => { place.x -= 0.02; }, right: () => { place.x += 0.02; }, up: () => { place.y -= 0.02; }, down: () => { place.y += 0.02; },
  bigger: () => { place.size *= 1.05; }, smaller: () => { place.size /= 1.05; }, turn: () => { place.turn += 5; },
};
for (const button of $$("[data-move]")) {
  button.addEventListener("click", () => {
    if (button.dataset.move === "again") align();
    else { MOVES[button.dataset.move](); move(); }
  });
}
for (const select of [$("#earlier-visit"), $("#later-visit")]) select.addEventListener("change", align);
$("#blend").addEventListener("input", move);
