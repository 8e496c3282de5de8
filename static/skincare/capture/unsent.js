/* What waits on the phone, why, and how to mend what the server refused. */
import * as draft from "./draft.js";
import * as outbox from "./outbox.js";
import { $, make, stamp, t, when } from "./page.js";
import * as store from "./store.js";
import { me } from "./who.js";

let asked = 0;

export async function show() {
  const mine = (asked += 1);
  const rows = await outbox.waiting();
  const mendable = await Promise.all(rows.map((waiting) => waiting.state === "refused" && draft.opens(waiting.id)));
  if (asked !== mine) return;
  $("#unsent-list").replaceChildren(...rows.map((waiting, index) => shown(waiting, mendable[index])));
  $("#unsent-empty").hidden = rows.length > 0;
  $("#send-now").hidden = !rows.some((waiting) => waiting.state !== "refused");
}

function shown(waiting, mendable) {
  const item = stamp("t-unsent");
  item.id = `unsent-${waiting.id}`;
  $("b", item).textContent = t("unsent_since", { time: when(waiting.since) });
  const others = me && waiting.author !== me.user;
  const refused = waiting.state === "refused";
  $(".small", item).textContent = others ? t("unsent_others") : refused ? t(mendable ? "unsent_refused" : "cannot_mend", { reason: waiting.reason })
    : waiting.state === "signed_out" ? t("unsent_signed_out") : waiting.attempts ? t("unsent_tried", { attempts: waiting.attempts }) : t("unsent_waiting");
  if (refused && !others) {
    const button = (text, kind, work) => make("button", { class: `btn ${kind}`, type: "button", onclick: () => work(waiting) }, text);
    $(".row", item).append(...(mendable ? [button(t("mend"), "primary", mend)] : []), button(t("discard"), "quiet danger-text", discard));
  }
  return item;
}

/** Take a refused case back as a draft, with the reason beside it. */
async function mend({ id, code, reason }) {
  await draft.load(id);
  draft.draft.state = "editing";
  draft.draft.problem = { code, reason };
  await draft.save();
  await outbox.withdraw(id);
  location.hash = `#/case/${id}/review`;
}

async function discard({ id }) {
  if (!confirm(t("discard_sure"))) return;
  await store.forget(id);
  await outbox.tell();
}

outbox.onProgress((id, done) => {
  const bar = $(`#unsent-${id} progress`);
  if (bar) { bar.hidden = false; bar.value = done; }
});
$("#send-now").addEventListener("click", () => outbox.flush({ now: true }));
