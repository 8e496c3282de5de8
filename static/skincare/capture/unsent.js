/* What waits on the phone, why, and how to mend what the server refused. */
import * as draft from "./draft.js";
import * as outbox from "./outbox.js";
import { $, make, stamp, t, when } from "./page.js";
import * as store from "./store.js";
import { me } from "./who.js";

export async function show() {
  const rows = await outbox.waiting();
  $("#unsent-list").replaceChildren(...rows.map((waiting) => {
    const item = stamp("t-unsent");
    item.id = `unsent-${waiting.id}`;
    $("b", item).textContent = t("unsent_since", { time: when(waiting.since) });
    const others = me && waiting.author !== me.user;
    $(".small", item).textContent = others ? t("unsent_others") : waiting.state === "refused" ? t("unsent_refused", { reason: waiting.reason })
      : waiting.state === "signed_out" ? t("unsent_signed_out") : waiting.attempts ? t("unsent_tried", { attempts: waiting.attempts }) : t("unsent_waiting");
    if (waiting.state === "refused" && !others) {
      $(".row", item).append(make("button", { class: "btn primary", type: "button", onclick: () => mend(waiting) }, t("mend")));
    }
    return item;
  }));
  $("#unsent-empty").hidden = rows.length > 0;
  $("#send-now").hidden = !rows.some((waiting) => waiting.state !== "refused");
}

/** Take a refused case back as a draft, with the reason beside it. */
async function mend({ id, code, reason }) {
  if (!(await store.read("drafts", id))) { $(`#unsent-${id} .small`).textContent = t("cannot_mend", { reason }); return; }
  await draft.load(id);
  draft.draft.state = "editing";
  draft.draft.problem = { code, reason };
  await draft.save();
  await outbox.withdraw(id);
  location.hash = `#/case/${id}/review`;
}

outbox.onProgress((id, done) => {
  const bar = $(`#unsent-${id} progress`);
  if (bar) { bar.hidden = false; bar.value = done; }
});
$("#send-now").addEventListener("click", () => outbox.flush({ now: true }));
