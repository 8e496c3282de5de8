/* Rows of lists: a case, a draft, a patient, a lesion. */
import { lookOf } from "./referral.js";
import { beside, day, icon, $, siteName, stamp, t, when } from "./page.js";

const MARKS = { refer_urgently: ["urgent", "urgent"], refer: ["refer", "refer"], human_review: ["review", "eye"], clinical_judgement: ["settled", "judge"] };
export const markOf = (level) => MARKS[level] || ["", "clock"];

/** What is recommended for a case. The network's silence settles nothing: where it has not read the case and the clinical rule
    asks for nothing, a person must look at it; empty while an answer may still come. */
export function levelOf(state, recommendation) {
  if (state === "answered" || ![null, "clinical_judgement"].includes(recommendation)) return recommendation;
  return state === "waiting" ? "" : "human_review";
}

export function row({ href, mark, title, more, chip, chipKind }) {
  const item = stamp("t-case");
  $("a", item).href = href;
  icon($(".case-mark svg", item), mark);
  $("b", item).textContent = title;
  $(".muted", item).textContent = more;
  const shown = $(".chip", item);
  shown.textContent = chip || "";
  shown.hidden = !chip;
  if (chipKind) { shown.classList.add(chipKind); $(".case-mark", item).classList.add(chipKind); }
  return item;
}

/** A case of the server's list; `patient` where it is known. */
export function caseRow(found, patient) {
  const waiting = found.state === "waiting";
  const level = levelOf(found.state, found.recommendation);
  const [kind, mark] = waiting ? ["", "clock"] : markOf(level);
  return row({
    href: `#/answer/${found.id}`, mark, title: patient ? nameOf(patient) : siteName(found.anatom_site_general),
    more: `${patient ? `${siteName(found.anatom_site_general)} · ` : ""}${when(found.seen_at)}`,
    chip: waiting ? t("state waiting") : t(`short ${level}`), chipKind: kind,
  });
}

/** A referral of the server's list. */
export function referralRow(found, patient) {
  const [kind, mark] = lookOf(found.state);
  return row({ href: `#/referral/${found.id}`, mark: found.unread_messages ? "message" : mark, title: patient ? nameOf(patient) : siteName(found.anatom_site_general),
    more: `${siteName(found.anatom_site_general)} · ${found.service_name}`, chip: found.unread_messages ? t("unread", { number: found.unread_messages }) : t(`referral ${found.state}`), chipKind: kind });
}

export const nameOf = (patient) => patient.name || patient.record_number || t("no_name");
export const bornOf = (patient) => beside(patient.name && patient.record_number, patient.birth_date && t("born", { date: day(patient.birth_date) }),
  patient.sex && t(`sex ${patient.sex}`));
