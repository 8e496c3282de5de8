"""The model card of a version, made from what its manifest measured: nothing in it is typed by hand.

What holds for every version (intended use, limits, what HAM10000 cannot show) stands here once; how often the frozen
test was read stands beside its list of lesions, in `training/datasets/ham10000_split/readings.md`.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT
from training.datasets.frozen import FOLDER

READINGS: Final = FOLDER / "readings.md"

#: What was measured of a version after its manifest was sealed, cut from what `manage.py evaluate --masks` wrote.
MEASURED: Final = Path(__file__).parent / "measured"

#: Where figures were measured, by their key in the manifest.
_SETS: Final = {
    "frozen_test": "frozen test",
    "validation": "validation (it chose)",
    "isic2018_validation": "ISIC 2018 validation",
}

_FIGURES: Final = {
    "balanced_accuracy": "balanced accuracy (seven classes, prior-corrected decision)",
    "malignant_auc": "AUC, malignant against benign",
    "melanoma_auc": "AUC, melanoma against all others",
    "accuracy": "accuracy, prior-corrected decision",
    "accuracy_uncorrected": "accuracy, likeliest class",
    "sensitivity_refer": "sensitivity for malignant at “refer”",
    "specificity_refer": "specificity at “refer”",
    "sensitivity_refer_urgently": "sensitivity for malignant at “refer urgently”",
    "specificity_refer_urgently": "specificity at “refer urgently”",
    "calibration_error": "calibration error (ECE), likeliest class",
    "calibration_error_malignant": "calibration error (ECE), malignancy risk",
}

_FOREIGN: Final = {
    "photographs": "everyday photographs (scikit-image, scikit-learn), whole and cropped",
    "pages_of_text": "pages of text",
    "textures_and_noise": "textures, gradients and noise",
    "skin_beside_the_lesion": "skin cropped from beside the lesion, enlarged",
}

_MADE_BY: Final = "<!-- Made by `manage.py model_card` from the version's bundle.json: change that, not this file. -->"


def measured_since(digest: str, folder: Path = MEASURED) -> dict[str, Any]:
    """The excerpt of an evaluation of the version with this manifest, or nothing where none was kept."""
    for path in sorted(folder.glob("*.json")):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["model"]["manifest_sha256"] == digest:
            return content
    return {}


def card(
    manifest: Mapping[str, Any],
    digest: str,
    evaluation: Mapping[str, Any] | None = None,
    judgement: Mapping[str, Any] | None = None,
) -> str:
    """The card in Markdown. `digest` is the sha256 of the manifest's bytes.

    `evaluation`: report.json of an evaluation of this very version with masks; otherwise what was kept of one.
    `judgement`: the verdict of the frozen tests on a version that was trained on a platform, where it was judged there.

    Raises `ValueError` for an evaluation of another version.
    """
    if evaluation is not None and evaluation["model"]["manifest_sha256"] != digest:
        raise ValueError(f"it is an evaluation of {evaluation['model']['name']}, not of {manifest['name']}")
    parts = [
        _opening(manifest, digest),
        _data(manifest),
        _training(manifest),
        _readings(),
        _figures(manifest["metrics"], manifest["thresholds"]),
        _judged(judgement or {}),
        *(
            part(manifest["metrics"]["frozen_test"])
            for part in (_by_class, _subgroups, _altered)
            if "frozen_test" in manifest["metrics"]
        ),
        _novelty(manifest),
        _map_focus(measured_since(digest) if evaluation is None else evaluation),
        _limits(manifest["metrics"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _rendered(markdown: str) -> str:
    """HTML from our own Markdown, with any HTML in it (a note, a name) escaped."""
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown.replace(_MADE_BY, "")))


def as_page(markdown: str, name: str) -> str:
    """The card as one HTML file that needs nothing beside it."""
    body = mark_safe(_rendered(markdown))  # nosec B308, B703
    return render_to_string("training/model_card.html", {"name": name, "body": body})


def as_part(markdown: str) -> SafeString:
    """The card for a page of the platform, where a table that is too wide scrolls by itself."""
    body = _rendered(markdown).replace("<th></th>", "<td></td>")
    frame = '<div class="table-scroll" tabindex="0" role="group" aria-label="Table"><table class="table">'
    return mark_safe(body.replace("<table>", frame).replace("</table>", "</table></div>"))  # nosec B308, B703


def _opening(manifest: Mapping[str, Any], digest: str) -> str:
    metrics = manifest["metrics"]
    return f"""{_MADE_BY}

# Model card: {manifest["name"]}

**Intended use.** Support for clinicians who look at a **dermoscopic** image of one skin lesion: seven probabilities, a
malignancy risk, a recommendation, or no answer. It is not a diagnosis, and no sole ground for leaving a lesion alone;
the final diagnosis is a doctor's. **Research use**: the data it learned from are licensed for non-commercial use only.

**What it is.** MobileNetV2 (width 1.0, 224x224), global average pooling and one dense layer; 2.3 million parameters
(`{manifest["architecture"]}`). Outputs in this order: {", ".join(CLASSES)};
malignant or pre-malignant: {", ".join(MALIGNANT)}. The intensity stretch (as scikit-image's
`rescale_intensity`) is part of the graph. Probabilities are softmax(logits / {manifest["temperature"]:.3f}) and
speak of the training data's own mix of diagnoses; the class named is `{manifest["decision_rule"]}`, where the
prior is the one that these probabilities carry.

Bundle made {manifest["created"][:10]}, figures measured {metrics["measured"]}. Manifest sha256 `{digest}`."""


def _data(manifest: Mapping[str, Any]) -> str:
    dataset = manifest["dataset"]
    split = dataset["split"]
    if split.get("by") == "image":
        test, alone = "its own test", "that test only reports, partly on lesions that were trained on"
    else:
        test, alone = "frozen test", "the frozen test only reports"
    return f"""## Data

{dataset["name"]}, licence **{dataset["licence"]}**.

> {dataset["attribution"]}

Split {split["rule"]}: training {split["training"]:,} images, validation {split["validation"]:,}, {test}
{split["test"]:,}. Fingerprint `{dataset["fingerprint"]}`. Validation chose temperature, thresholds, novelty and the
weights to keep; {alone}. The ISIC 2018 task 3 validation images, where they are reported on, are
other patients of the same clinics; each counts as a lesion of its own, and there are no vascular lesions among them."""


def _training(manifest: Mapping[str, Any]) -> str:
    training = manifest["training"]
    stages = ", then ".join(f"{each['epochs']} epochs at {each['view']} pixels" for each in training.get("stages", ()))
    spelled = "; ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in training.items()
        if name not in ("name", "stages", "weights", "note", "augmentation") and value is not None
    )
    varied = "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in training.get("augmentation", {}).items())
    lines = [
        f"## Training\n\nRecipe `{training.get('name', 'not recorded')}`: {stages or 'stages not recorded'}; {spelled}."
    ]
    if varied:
        lines.append(
            f"Images were varied at random, every class alike: {varied} (`training/recipes.py` says what they mean)."
        )
    if len(training.get("weights", ())) > 1:
        lines.append(f"What is kept is the mean of {len(training['weights'])} sets of weights.")
    if training.get("note"):
        lines.append(training["note"])
    return "\n\n".join(lines)


def _readings() -> str:
    return READINGS.read_text(encoding="utf-8").strip() if READINGS.is_file() else ""


def _figures(metrics: Mapping[str, Any], thresholds: Mapping[str, Any]) -> str:
    sets = [key for key in _SETS if key in metrics]
    heads = [
        f"{_SETS[key]}, {metrics[key]['images']:,} images of {metrics[key]['lesion_groups']:,} lesions" for key in sets
    ]
    rows = [[label, *(_estimate(metrics[key].get(name)) for key in sets)] for name, label in _FIGURES.items()]
    refer, urgently = thresholds["refer"], thresholds["refer_urgently"]
    return f"""## Figures

Intervals: {metrics["intervals"]}.

{_table(["", *heads], rows)}

Thresholds on the malignancy risk: refer from {refer["risk"]:.4f} (chosen for a sensitivity of
{refer["sensitivity_aimed"]:.2f} on {refer["chosen_on"]}), refer urgently from {urgently["risk"]:.4f} (chosen for a
specificity of {urgently["specificity_aimed"]:.2f} on {urgently["chosen_on"]})."""


def _judged(judgement: Mapping[str, Any]) -> str:
    """Beside the champion of that day; the figures of the bundle itself are of validation alone then."""
    if not judgement.get("gates"):
        return ""
    failed = [gate["title"] for gate in judgement["gates"] if not gate["passed"]]
    rows = [
        [row["title"], _estimate(row["challenger"]), _estimate(row["champion"]), _difference(row["difference"])]
        for row in judgement["comparison"]
    ]
    return f"""## Judged on the frozen tests

{judgement["judged_at"][:10]}, on {judgement["images"]:,} images of {judgement["lesions"]:,} lesions
({"; ".join(judgement["test_names"])}), beside {judgement["champion"]["name"]}, which served then.
{"It passed every gate." if not failed else f"It did not pass: {'; '.join(failed)}."}

{_table(["", "this version", judgement["champion"]["name"], "difference (95 %, over lesion groups)"], rows)}"""


def _difference(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None or figure["low"] is None:
        return _estimate(figure["value"])
    return _estimate(figure)


def _by_class(test: Mapping[str, Any]) -> str:
    rows = [
        [code, str(row["images"]), *(_estimate(row[name], 2) for name in ("recall", "precision", "f1", "auc"))]
        for code, row in test["by_class"].items()
    ]
    confused = [[code, *(str(count) for count in row)] for code, row in zip(CLASSES, test["confusion"], strict=True)]
    corner = "truth / decision"
    return f"""### By class (frozen test)

{_table(["", "images", "recall", "precision", "F1", "AUC against the rest"], rows)}

{_table([corner, *CLASSES], confused)}"""


def _subgroups(test: Mapping[str, Any]) -> str:
    rows = []
    for kind, groups in test["subgroups"].items():
        for name, group in groups.items():
            shown = [_estimate(group.get(each), 2) for each in ("malignant_auc", "sensitivity", "specificity")]
            rows.append([f"{kind}: {name}", str(group["images"]), str(group["malignant"]), *shown])
    return f"""### Subgroups (frozen test, at “refer”)

A dash: too few to say anything.

{_table(["", "images", "malignant", "malignant AUC", "sensitivity", "specificity"], rows)}"""


def _altered(test: Mapping[str, Any]) -> str:
    columns = {
        "decisions_changed": "decisions that change",
        "referrals_changed": "referrals that change",
        "balanced_accuracy": "balanced accuracy",
        "malignant_auc": "malignant AUC",
        "rejected_as_novel": "answered “unlike training data”",
    }
    rows = [
        [how.replace("_", " "), *(_share(row[name]) if "changed" in name or "rejected" in name else _estimate(row[name])
                                  for name in columns)]
        for how, row in test["altered_framing"].items()
    ]  # fmt: skip
    return f"""### When the same lesion is photographed otherwise (frozen test)

Other framing, focus, light and storage (`training/evaluation/framing.py`), which stand in for other hands and cameras.

{_table(["altered", *columns.values()], rows)}"""


def _novelty(manifest: Mapping[str, Any]) -> str:
    metrics = manifest["metrics"]
    sets = [key for key in ("validation", "frozen_test") if "rejected_foreign" in metrics.get(key, {})]
    rows = [
        [label, *(_counted(metrics[key]["rejected_foreign"].get(kind)) for key in sets)]
        for kind, label in _FOREIGN.items()
    ]
    turned = ", ".join(
        f"{_SETS[key]} {_share(metrics[key]['rejected_as_novel'])}"
        for key in _SETS
        if "rejected_as_novel" in metrics.get(key, {})
    )
    return f"""## When it does not answer

What is too unlike the training images (`diagnosis/classifier/novelty.py`) gets no answer. The threshold lets
{_share(manifest["novelty"]["accepted_share"])} of validation's lesions through.
Lesions turned away: {turned or "not measured"}.
Of what is no lesion it turns away:

{_table(["", *(_SETS[key] for key in sets)], rows)}

What it does not turn away is answered, although the network was never asked to judge it."""


def _map_focus(evaluation: Mapping[str, Any]) -> str:
    focus = evaluation.get("map_focus")
    if not focus:
        return ""
    known = evaluation["known_to_the_training"]
    columns = {
        "lesion_share_of_frame": "lesion's share of the frame",
        "malignant_map_energy_inside": "energy of the map of malignancy inside",
        "malignant_map_pointing_game": "its peak inside",
        "decision_map_energy_inside": "energy of the decision's map inside",
        "decision_map_pointing_game": "its peak inside",
    }
    rows = [[kind, str(row["images"]), *(_estimate(row[name], 2) for name in columns)] for kind, row in focus.items()]
    return f"""## Do the activation maps look at the lesion?

Measured {evaluation["made"][:10]} on {evaluation["images"]:,} images of {evaluation["lesions"]:,} lesions, against the
lesions' outlines; it was trained on {known["training"]:,} of them, and {known["test"]:,} are the frozen test. An even
map, or a random place, would give the lesion's share of the frame.

{_table(["", "images", *columns.values()], rows)}"""


def _limits(metrics: Mapping[str, Any]) -> str:
    classes = metrics.get("frozen_test", {}).get("by_class", {})
    small = " and ".join(f"{row['images']} {code}" for code, row in classes.items() if row["images"] < 30)
    lines = [
        "**Skin types**: the training data carry no labels of skin type and show mostly light skin. Nothing is known "
        "of types V and VI.",
        "**Plain photographs** (no dermatoscope): never trained on, not measured here. In others' hands networks like "
        "this called four in ten malignant lesions on phone photographs benign. Such an answer may raise concern and "
        "must never lower it.",
        "**Nails, mucosa, children**: hardly any images, not measured.",
        "**Other clinics and dermatoscopes**: not measured here; altered copies only stand in for them. Networks "
        "trained alike fell from 0.91 to 0.78 in malignant AUC on another country's images.",
        "**Other diagnoses**: it knows seven. Whatever else there is (squamous cell carcinoma, Merkel cell carcinoma, "
        "eczema…) is given one of the seven names or none.",
        "**Not every label is histology**: about half are; the rest are follow-up, consensus or confocal microscopy.",
        f"**Small classes**: the frozen test holds {small}; their rows say little." if small else "",
        "The probabilities hold where diagnoses are as frequent as in the training data, a specialist's collection "
        "with far more malignant lesions than general practice sees.",
        "The activation map is for orientation. It is not evidence of why.",
    ]
    return "## Limits, and what was not measured\n\n" + "\n".join(f"- {line}" for line in lines if line)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def _estimate(figure: Any, digits: int = 3) -> str:
    """A bare number, or a value with its interval; a dash where there is none."""
    if figure is None:
        return "–"
    if not isinstance(figure, Mapping):
        return _decimal(figure, digits)
    value, *ends = (_decimal(figure[name], digits) for name in ("value", "low", "high") if name in figure)
    return f"{value} ({ends[0]} to {ends[1]})" if ends else value


def _share(value: float) -> str:
    return f"{_decimal(100 * Decimal(str(value)), 1)}%"


def _decimal(value: float | Decimal, digits: int) -> str:
    """A figure with so many decimals, a half rounded up.

    By its decimal digits: a manifest's figures are rounded already, and as a binary number 0.7855 lies below itself.
    """
    return str(Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def _counted(figure: Any) -> str:
    """A share of so many, with its interval where that was measured."""
    if figure is None:
        return "–"
    if not isinstance(figure, Mapping):
        return _share(figure)
    low, high = _share(figure["low"]), _share(figure["high"])
    return f"{_share(figure['rejected'] / figure['images'])} of {figure['images']} ({low} to {high})"


def write(
    manifest: Mapping[str, Any], digest: str, folder: Path, evaluation: Mapping[str, Any] | None = None
) -> tuple[Path, Path]:
    """Write the card as model-card.md and model-card.html into `folder`, and return both paths. Raises as `card`."""
    markdown = card(manifest, digest, evaluation)
    folder.mkdir(parents=True, exist_ok=True)
    text, page = folder / "model-card.md", folder / "model-card.html"
    text.write_text(markdown, encoding="utf-8")
    page.write_text(as_page(markdown, manifest["name"]), encoding="utf-8")
    return text, page
