"""An evaluation for people: one HTML file that needs nothing beside it, charts and pictures included."""

import base64
import io
from typing import Any, Final

from django.template.loader import render_to_string
from PIL import Image

from diagnosis.classifier import maps
from diagnosis.classifier.network import Network
from diagnosis.classifier.photograph import PhotographRefused
from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT, NAMES
from training.evaluation.charts import Line, unit_chart
from training.evaluation.judgement import Judged, look_again

#: Width of a picture in the page, in pixels.
_SHOWN: Final = 168

#: In the order of the page.
HEADLINES: Final = (
    ("Balanced accuracy (seven classes)", "balanced_accuracy"),
    ("Accuracy of the decision", "accuracy"),
    ("Accuracy of the likeliest class", "accuracy_likeliest"),
    ("AUC, malignant against benign", "malignant.auc"),
    ("Sensitivity for malignant at “refer”", "malignant.sensitivity"),
    ("Specificity at “refer”", "malignant.specificity"),
    ("Sensitivity for malignant at “refer urgently”", "malignant.sensitivity_urgent"),
    ("Specificity at “refer urgently”", "malignant.specificity_urgent"),
    ("AUC, melanoma against all others", "melanoma.auc"),
    ("Calibration error (ECE), likeliest class", "ece"),
    ("Calibration error (ECE), malignancy risk", "ece_malignant"),
)

_PROBLEMS: Final = {
    "missing": "Labelled, but there is no such image: left out",
    "unlabelled": "Images without a label: left out",
    "labelled_twice": "Labelled more than once, alike: counted once",
    "labels_contradict": "Labelled more than once, differently: left out",
    "no_known_diagnosis": "Without one of the seven diagnoses: left out",
    "found_twice": "Found more than once with the same bytes: counted once",
    "images_contradict": "Several different files of this name: left out",
    "unreadable": "Not taken as a photograph: left out",
    "masks_unreadable": "Outlines that could not be read: their maps are not judged",
}

#: Columns of the table on activation maps.
FOCUS: Final = (
    "lesion_share_of_frame",
    "malignant_map_energy_inside",
    "malignant_map_pointing_game",
    "decision_map_energy_inside",
    "decision_map_pointing_game",
)

#: So many names of a kind are spelled out in the page; report.json holds them all.
_NAMED: Final = 40


def figure(values: dict[str, Any], name: str) -> str:
    """One figure with its interval, for a table: "0.690 (0.629 to 0.757)"; a dash where there is none."""
    value: Any = values
    interval: Any = values.get("intervals", {})
    for step in name.split("."):
        value, interval = (value or {}).get(step), (interval or {}).get(step)
    return spelled(value, interval)


def spelled(value: Any, interval: Any) -> str:
    """A figure and its interval in words; a dash where there is none."""
    if value is None:
        return "–"
    if not interval or interval[0] is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def render_page(report: dict[str, Any], mistakes: list[Judged], examples: list[Judged], network: Network) -> str:
    """The page for `report`. Of `mistakes` and `examples` (rightly named) the pictures are shown with their maps."""
    answered = report["answered_only"]
    return render_to_string(
        "training/evaluation.html",
        {
            "report": report,
            "headlines": [(label, figure(report, name), figure(answered, name)) for label, name in HEADLINES],
            "per_class": [
                (
                    code,
                    NAMES[code],
                    report["per_class"][code]["images"],
                    [figure(report, f"per_class.{code}.{what}") for what in ("recall", "precision", "f1", "auc")],
                )
                for code in CLASSES
            ],
            "confusion": [
                (code, [(count, _shade(count, row)) for count in row], sum(row))
                for code, row in zip(CLASSES, report["confusion"], strict=True)
            ],
            "roc": _roc_chart(report),
            "reliability": _reliability_chart(report),
            "subgroups": _subgroups(report),
            "map_focus": [
                (kind, row["images"], [_mean(row[name]) for name in FOCUS]) for kind, row in report["map_focus"].items()
            ],
            "problems": [
                (text, len(report["problems"][kind]), _named(report["problems"][kind]))
                for kind, text in _PROBLEMS.items()
                if report["problems"][kind]
            ],
            "more_than_named": _NAMED,
            "mistakes": _pictures(mistakes, network),
            "examples": _pictures(examples, network),
        },
    )


def _mean(figure: dict[str, float]) -> str:
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def _shade(count: int, row: list[int]) -> int:
    """0 to 8: how much of the row lies here."""
    return round(8 * count / sum(row)) if sum(row) else 0


def _roc_chart(report: dict[str, Any]) -> str:
    lines = [
        Line(f"{name}, AUC {report[name]['auc']:.3f}", [(x, y) for x, y in points])
        for name, points in report["roc"].items()
        if points
    ]
    if not lines:
        return ""
    return unit_chart(
        "roc",
        "ROC curves",
        "Share of the sought lesions found against share of the others flagged: " + "; ".join(x.name for x in lines),
        "others flagged (1 − specificity)",
        "sought lesions found (sensitivity)",
        lines,
    )


def _reliability_chart(report: dict[str, Any]) -> str:
    return unit_chart(
        "reliability",
        "Reliability",
        "How often what was stated came true, by stated chance; on the diagonal, as often as stated",
        "stated chance",
        "came true",
        [
            Line(name.replace("_", " "), [(row["stated"], row["happened"]) for row in rows], marked=True)
            for name, rows in report["reliability"].items()
        ],
    )


def _subgroups(report: dict[str, Any]) -> list[tuple[str, int, int, list[str]]]:
    rows = []
    for kind, groups in report["subgroups"].items():
        for name, group in groups.items():
            shown = [
                f"{each['value']:.2f} ({each['low']:.2f} to {each['high']:.2f})" if (each := group.get(what)) else "–"
                for what in ("malignant_auc", "sensitivity", "specificity")
            ]
            rows.append((f"{kind}: {name}", group["images"], group["malignant"], shown))
    return rows


def _named(found: list[str] | dict[str, str]) -> list[str]:
    names = [f"{name}: {why}" for name, why in found.items()] if isinstance(found, dict) else found
    return names[:_NAMED]


def _pictures(judged: list[Judged], network: Network) -> list[dict[str, Any]]:
    shown = []
    for each in judged:
        try:
            view, reading = look_again(network, each)
        except PhotographRefused:
            continue
        out = io.BytesIO()
        Image.fromarray(view).resize((_SHOWN, _SHOWN * 3 // 4), Image.Resampling.LANCZOS).save(out, "JPEG", quality=85)
        heat = maps.malignant_share(reading.map, network.bundle.temperature)
        shown.append(
            {
                "judged": each,
                "truth": NAMES[each.record.diagnosis],
                "predicted": NAMES[each.predicted],
                "malignant": each.record.diagnosis in MALIGNANT,
                "probability": f"{each.probabilities[CLASSES.index(each.predicted)]:.0%}",
                "risk": f"{each.risk:.0%}",
                "picture": _data("jpeg", out.getvalue()),
                "map": _data("png", maps.render(heat, view, _SHOWN, _SHOWN * 3 // 4)),
            }
        )
    return shown


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
