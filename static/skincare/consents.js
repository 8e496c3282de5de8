// Signing on screen, for the form that records a consent, and the text in the language that is spoken.
import { pngOf, Signature } from "./capture/signature.js";

const form = document.getElementById("grant");

if (form) {
  const sent = document.getElementById("signature-sent");
  const pad = new Signature(document.getElementById("signature"), () => {
    const drawn = pad.svg();
    sent.value = drawn && pngOf(drawn);
  });
  document.getElementById("signs-here").hidden = false;
  document.getElementById("signature-clear").addEventListener("click", () => { pad.clear(); sent.value = ""; });
  form.addEventListener("change", () => { document.getElementById("signature-part").hidden = form.elements.method.value !== "signature"; });
  form.elements.language.addEventListener("change", (event) => {
    const text = form.querySelector(`[data-language="${event.target.value}"]`);
    if (text) text.checked = true;
  });
}
