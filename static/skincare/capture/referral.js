/* One referral: where it is, the dermatologist's answer, and messages both ways; asked for again while it is looked at. */
import { patientOf } from "./home.js";
import { $, announce, apart, beside, icon, make, siteName, stamp, t, when } from "./page.js";
import { prepare, Unusable } from "./photograph.js";
import { nameOf } from "./rows.js";
import { get, getChanged, NoNetwork, picture, Problem, save, send, sendForm } from "./server.js";

const AGAIN_MS = 4_000;
const WAY = ["sent", "accepted", "answered", "closed"];
const LOOK = {
  sent: ["", "outbox"], accepted: ["review", "eye"], more_information_asked: ["refer", "message"], answered: ["settled", "check"], closed: ["settled", "check"],
  declined: ["refer", "warn"], withdrawn: ["", "back"], expired: ["refer", "clock"],
};
let asked = 0;
let shown = null;
let busy = false;
let names = null;

export const lookOf = (state) => LOOK[state] || ["", "clock"];
export const isOpen = (state) => ["sent", "accepted", "more_information_asked"].includes(state);

/** The dictionary of diagnoses, asked for once. */
export async function nameOfDiagnosis(code) {
  names ||= get("diagnoses/").then((rows) => new Map(rows.map((row) => [row.code, row.name])), (error) => { names = null; throw error; });
  return (await names).get(code) || code;
}

export async function show(id) {
  const mine = (asked += 1);
  shown = null;
  $("#referral").hidden = true;
  $("#referral-loading").hidden = $("#referral-title").hidden = false;
  $("#referral-error").textContent = "";
  $("#write-message").reset();
  for (let etag = null; asked === mine;) {
    try {
      const changed = await getChanged(`referrals/${id}/`, etag);
      if (asked !== mine) return;
      $("#referral-error").textContent = "";
      if (changed) {
        await render(changed.document, mine);
        etag = changed.etag; // only once it is shown: where the rest could not be fetched, all of it is asked for again
      }
    } catch (error) {
      if (asked !== mine) return;
      if (!(error instanceof NoNetwork || error.passing)) throw error;
      $("#referral-error").textContent = error.message;
      $("#referral-loading").hidden = true;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

export function leave() {
  asked += 1;
  shown = null;
  for (const id of ["messages", "assessments", "referral-facts", "referral-actions"]) $(`#${id}`).replaceChildren();
  $("#referral-who").textContent = $("#message-text").value = $("#message-images").value = "";
  showChosen();
}

async function render(found, mine) {
  const [messages, patientId] = await Promise.all([get(`referrals/${found.id}/messages/`), get(`cases/${found.case}/`).then((one) => one.patient)]);
  const patient = await patientOf(patientId);
  if (asked !== mine) return;
  shown = found;
  $("#referral-loading").hidden = $("#referral-title").hidden = true;
  $("#referral").hidden = false;
  $("#referral-who").textContent = beside(nameOf(patient), siteName(found.anatom_site_general), found.service_name);
  const [kind, mark] = lookOf(found.state);
  $("#referral-state").className = `verdict ${kind}`;
  icon($("#referral-state svg"), mark);
  if ($("#referral-state-words").textContent !== t(`referral ${found.state}`)) announce(t(`referral ${found.state}`));
  $("#referral-state-words").textContent = t(`referral ${found.state}`);
  $("#referral-state-more").textContent = more(found);
  way(found);
  await renderAssessments(found);
  if (asked !== mine) return;
  facts(found);
  renderMessages(found, messages);
  papers(found);
  actions(found);
  send(`referrals/${found.id}/seen/`, {}).catch(() => {}); // without a network it stays new
}

function more(found) {
  if (found.state === "sent") return t("due_by", { date: when(found.due_at) });
  if (found.state === "accepted") return t("accepted_by", { name: found.claimed_by, date: when(found.due_at) });
  if (found.state === "more_information_asked") return t("asked_by", { name: found.claimed_by || found.service_name });
  if (found.state === "declined") return [t(`decline ${found.decline_reason}`), found.explanation].filter(Boolean).join(": ");
  if (found.state === "withdrawn") return found.explanation || when(found.state_since);
  if (found.state === "expired") return t("expired_more");
  return when(found.answered_at);
}

function way(found) {
  const at = { more_information_asked: 1, declined: 0, withdrawn: 0, expired: 0 }[found.state] ?? WAY.indexOf(found.state);
  const ended = ["declined", "withdrawn", "expired"].includes(found.state);
  $("#referral-way").hidden = ended;
  $("#referral-way").replaceChildren(...WAY.map((state, index) => make("li", { class: index <= at ? "done" : "", "aria-current": index === at ? "step" : null },
    make("span", {}, t(`way ${state}`)))));
}

async function renderAssessments(found) {
  const replaced = new Set(found.assessments.map((one) => one.amends).filter(Boolean));
  const standing = found.assessments.filter((one) => !replaced.has(one.id));
  $("#assessments").replaceChildren(...await Promise.all(standing.map(async (signed) => {
    const item = stamp("t-assessment");
    $("h2", item).textContent = await nameOfDiagnosis(signed.diagnosis);
    $(".plan", item).append(make("b", {}, t(`plan ${signed.plan}`)), ...(signed.months ? [` ${t("plan_months", { months: signed.months })}`] : []));
    $(".words", item).textContent = signed.text;
    $(".words", item).hidden = !signed.text;
    $(".small", item).textContent = [t("confidence", { confidence: signed.confidence }), t("signed_by", { name: signed.signed_by, time: when(signed.signed_at) }), signed.amends ? t("amended") : ""].filter(Boolean).join(" ");
    return item;
  })));
}

function facts(found) {
  const rows = [[t("fact_service"), found.service_name], [t("fact_urgency"), t(`urgency ${found.urgency}`)], [t("fact_question"), found.question || t("no_question")],
    [t("fact_sent"), when(found.sent_at)], ...(isOpen(found.state) ? [[t("fact_due"), when(found.due_at)]] : [])];
  $("#referral-facts").replaceChildren(...rows.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", { dir: "auto" }, text))));
}

/** One that came with a message, once it has arrived. */
function photograph(referral, id) {
  const image = make("img", { alt: t("message_photograph"), hidden: true });
  picture(`referrals/${referral}/message-photographs/${id}/`).then((blob) => {
    image.onload = () => URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(blob);
    image.hidden = false;
  }, () => image.replaceWith(t("message_images", { number: 1 })));
  return image;
}

function renderMessages(found, messages) {
  $("#messages").replaceChildren(...messages.map((one) => make("li", { class: one.from_clinic ? "theirs" : "mine" },
    make("p", { dir: "auto" }, one.text), ...(one.photographs.length ? [make("p", { class: "row" }, ...one.photographs.map((id) => photograph(found.id, id)))] : []),
    make("p", { class: "small muted" }, `${apart(one.author)} · ${apart(when(one.sent_at))}${one.kind === "note" ? "" : ` · ${t(`message ${one.kind}`)}`}`))));
  $("#messages-empty").hidden = messages.length > 0;
  const asks = found.state === "more_information_asked";
  $("#message-label").textContent = t(asks ? "reply_to_question" : "write_to_service");
  $("#message-send").textContent = t(asks ? "reply" : "send");
  $("#write-message").hidden = !(isOpen(found.state) || found.state === "answered" || found.state === "closed");
}

function actions(found) {
  const act = (action, text, options = {}) => make("button", { class: `btn wide ${options.kind || ""}`, type: "button", onclick: () => doing(action, options.sure) }, text);
  $("#referral-actions").replaceChildren(
    ...(found.allowed.includes("close") ? [act("close", t("acted_upon"), { kind: "primary" })] : []),
    make("a", { class: "btn wide", href: `#/answer/${found.case}` }, t("to_case")),
    ...(found.allowed.includes("withdraw") ? [act("withdraw", t("withdraw"), { kind: "quiet danger-text", sure: t("withdraw_sure") })] : []),
    ...(["declined", "withdrawn", "expired"].includes(found.state) ? [make("a", { class: "btn primary wide", href: `#/refer/${found.case}` }, t("refer_again"))] : []));
}

function papers(found) {
  const answered = found.assessments.length > 0;
  const paper = (text, path, name) => make("button", { class: "btn wide", type: "button", onclick: () => fetchPaper(path, name) }, text);
  $("#papers-error").textContent = "";
  $("#papers-list").replaceChildren(
    ...(answered ? [paper(t("paper_letter"), `referrals/${found.id}/letter/`, "answer-to-referral.pdf"), paper(t("paper_leaflet"), `cases/${found.case}/leaflet/`, "leaflet.pdf")] : []),
    paper(t("paper_referral"), `referrals/${found.id}/referral-letter/`, "referral.pdf"));
}

async function fetchPaper(path, name) {
  $("#papers-error").textContent = "";
  try {
    await save(path, name);
    announce(t("paper_saved"));
  } catch (error) {
    if (!(error instanceof NoNetwork || error instanceof Problem)) throw error;
    $("#papers-error").textContent = error.message;
  }
}

async function doing(action, sure) {
  if (busy || !shown || (sure && !confirm(sure))) return;
  busy = true;
  const { id } = shown;
  try {
    await send(`referrals/${id}/actions/`, { action });
    if (shown?.id === id) show(id);
  } catch (error) {
    if (!(error instanceof NoNetwork || error instanceof Problem)) throw error;
    if (shown?.id !== id) return;
    $("#referral-error").textContent = error.message;
    $("#referral-error").scrollIntoView({ block: "center" });
  } finally {
    busy = false;
  }
}

/** How many photographs go with the message; the browser's own words are in the browser's language. */
function showChosen() {
  const [words, { files }] = [$("#message-images-words"), $("#message-images")];
  words.textContent = files.length ? t("message_images", { number: files.length }) : words.dataset.none;
}
$("#message-images").addEventListener("change", showChosen);

$("#write-message").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = $("#message-text");
  const text = field.value.trim();
  const error = $("#message-error");
  error.textContent = text ? "" : t("message_missing");
  if (busy || !shown || !text) { if (!text) field.focus(); return; }
  busy = true;
  const { id } = shown;
  try {
    const kind = shown.state === "more_information_asked" ? "reply" : "note";
    const address = `referrals/${id}/messages/`;
    const files = $("#message-images");
    const photographs = [];
    for (const file of files.files) photographs.push(new Blob([(await prepare(file)).bytes])); // one after the other: each is large
    const write = (as) => {
      const form = new FormData();
      form.append("kind", as);
      form.append("text", text);
      for (const photograph of photographs) form.append("images", photograph, "photograph");
      return photographs.length ? sendForm(address, form) : send(address, { kind: as, text });
    };
    const messages = await write(kind).catch((problem) => {
      // Answered, or taken back, while the reply was being written: the words arrive all the same, as a message.
      if (kind === "reply" && problem.code === "illegal_transition") return write("note");
      throw problem;
    });
    if (shown?.id !== id) return;
    field.value = files.value = "";
    showChosen();
    renderMessages(kind === "reply" ? { ...shown, state: "accepted" } : shown, messages);
    announce(t("message_sent"));
  } catch (problem) {
    if (!(problem instanceof NoNetwork || problem instanceof Problem || problem instanceof Unusable)) throw problem;
    if (shown?.id === id) error.textContent = problem instanceof Unusable ? t(`unusable ${problem.code}`) : problem.message;
  } finally {
    busy = false;
  }
});
