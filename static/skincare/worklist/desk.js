// Pages with forms: diagnoses are chosen as on the reading page, and a refusal is read out first.
import { pickers } from "./picker.js";

pickers();
document.getElementById("refusal")?.focus();
