// Choosing a diagnosis: one press for the frequent ones, words for all of them.
export function pickers() {
  for (const picker of document.querySelectorAll("[data-picker]")) {
    const select = picker.querySelector("select"), search = picker.querySelector("[data-search]");
    const quick = [...picker.querySelectorAll("[data-quick]")];
    const mark = () => { for (const button of quick) button.setAttribute("aria-pressed", String(button.dataset.quick === select.value)); };
    for (const button of quick) button.addEventListener("click", () => { select.value = button.dataset.quick; mark(); });
    select.addEventListener("change", mark);
    search.addEventListener("input", () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = [];
      for (const option of select.querySelectorAll("option[data-words]")) {
        option.hidden = !words.every((word) => option.dataset.words.includes(word));
        if (!option.hidden) found.push(option);
      }
      // Chosen only where the words leave no doubt: one is left, or one is called just so.
      const sure = found.length === 1 ? found[0] : found.find((option) => option.text.trim().toLowerCase() === words.join(" "));
      if (words.length) { select.value = sure ? sure.value : ""; mark(); }
    });
    search.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); select.focus(); } });
    if (search.value) search.dispatchEvent(new Event("input")); // written before this ran
    mark();
  }
}
