// Keeps the worklist current and lets it be walked by keys. Never moves the focus by itself.
const live = document.getElementById("live");
const said = document.getElementById("said");
const LEAST = 1500, MOST = 10000;
let etag = "", wait = LEAST;

function replace(html) {
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  live.innerHTML = html;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function look() {
  if (document.visibilityState === "visible") {
    const address = new URL(location.href);
    address.searchParams.set("part", "list");
    try {
      const answer = await fetch(address, { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store", redirect: "error" });
      if (answer.status === 200) {
        const first = etag === "";
        etag = answer.headers.get("ETag") ?? "";
        const html = await answer.text();
        if (!first) said.textContent = said.dataset.changed;
        replace(html);
        wait = LEAST;
      } else wait = Math.min(MOST, wait * 1.3);
    } catch { wait = MOST; }
  }
  setTimeout(look, wait);
}
if (live.dataset.live !== "no") setTimeout(look, LEAST);
document.addEventListener("visibilitychange", () => { wait = LEAST; });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  if (event.key === "/") { event.preventDefault(); document.getElementById("record-number").closest("details").open = true; document.getElementById("record-number").focus(); return; }
  if (event.key === "c") {
    const row = document.activeElement?.closest("[data-row]") ?? live;
    row.querySelector("button[id^=claim]")?.click();
    return;
  }
  if (event.key !== "j" && event.key !== "k") return;
  const links = [...live.querySelectorAll("[data-row] h2 a")];
  const at = links.findIndex((link) => link.closest("[data-row]").contains(document.activeElement));
  links[event.key === "j" ? Math.min(links.length - 1, at + 1) : Math.max(0, at - 1)]?.focus();
});
