"""The model card: made from the manifest, whole for the version that ships, and not to be typed over."""

import json
from decimal import ROUND_HALF_UP, Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, MANIFEST
from training.evaluation import model_card
from training.evaluation.statistics import share_interval

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def manifest() -> dict:
    return json.loads((BUNDLES / shipped.SHIPPED_BUNDLE / MANIFEST).read_text())


def shown(figure: dict) -> str:
    """A measured figure as the documents write it: three decimals of those in the manifest, a half rounded up."""
    value, low, high = (
        Decimal(str(figure[name])).quantize(Decimal("0.001"), ROUND_HALF_UP) for name in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"


def test_the_card_in_the_docs_is_what_the_command_makes_of_the_shipped_bundle(tmp_path: Path) -> None:
    call_command("model_card", "--output", str(tmp_path), stdout=StringIO())

    for name in ("model-card.md", "model-card.html"):
        assert (DOCS / name).read_text() == (tmp_path / name).read_text(), "run: python manage.py model_card"


def test_its_figures_are_the_measured_ones_with_their_intervals() -> None:
    known = manifest()
    measured = dict(known["metrics"]["frozen_test"]["balanced_accuracy"])
    known["metrics"]["frozen_test"]["balanced_accuracy"] = {"value": 0.1234, "low": 0.1111, "high": 0.1357}

    text = model_card.card(manifest(), "d" * 64)
    changed = model_card.card(known, "d" * 64)

    assert f"| {shown(measured)} |" in text
    assert "0.123 (0.111 to 0.136)" in changed
    for part in (
        "Intended use",
        "CC BY-NC 4.0",
        "Subgroups",
        "Skin types",
        "How often the frozen test was read",
        "Limits",
    ):
        assert part in text


def test_a_half_in_the_last_decimal_is_rounded_up_although_as_a_binary_number_it_is_less() -> None:
    known = manifest()
    known["metrics"]["frozen_test"]["balanced_accuracy"] = {"value": 0.7244, "low": 0.6665, "high": 0.7855}
    known["metrics"]["frozen_test"]["rejected_as_novel"] = 0.0425

    text = model_card.card(known, "d" * 64)

    assert "| 0.724 (0.667 to 0.786) |" in text
    assert "frozen test 4.3%" in text


def test_the_figures_of_the_readme_are_those_of_the_card() -> None:
    test = manifest()["metrics"]["frozen_test"]
    readme, card = ((folder / name).read_text() for folder, name in ((ROOT, "README.md"), (DOCS, "model-card.md")))

    for name, label in {
        "malignant_auc": "AUC, malignant against benign",
        "balanced_accuracy": "balanced accuracy, seven classes",
        "melanoma_auc": "AUC, melanoma against all others",
    }.items():
        assert f"| {label} | {shown(test[name])} |" in readme
        assert f"| {shown(test[name])} |" in card
    sensitivity, specificity = (shown(test[f"{name}_refer"]) for name in ("sensitivity", "specificity"))
    assert f"| {sensitivity} and {specificity} |" in readme
    for each in (sensitivity, specificity):
        assert f"| {each} |" in card
    assert f"({test['images']} images of {test['lesion_groups']} lesions," in readme


def test_a_version_that_was_split_by_image_is_not_said_to_be_strange_to_its_test() -> None:
    known = manifest()
    del known["metrics"]["frozen_test"]
    known["dataset"]["split"] |= {"by": "image", "rule": "by image: the frozen test was trained on"}

    data = model_card.card(known, "d" * 64).split("## Data")[1].split("## Training")[0]

    assert "Split by image: the frozen test was trained on: training 8,079 images" in data
    assert "frozen test only reports" not in data
    assert "its own test\n982" in data
    assert "that test only reports, partly on lesions that were trained on" in data


def test_a_version_without_a_frozen_test_has_a_card_that_leaves_those_parts_out() -> None:
    known = manifest()
    del known["metrics"]["frozen_test"]
    known["training"] = {}

    text = model_card.card(known, "d" * 64)

    assert "### By class" not in text
    assert "balanced accuracy" in text


def test_counts_stand_with_their_intervals_and_notes_cannot_bring_markup_along() -> None:
    known = manifest()
    low, high = share_interval(95, 100)
    known["metrics"]["validation"]["rejected_foreign"]["photographs"] = {
        "rejected": 95, "images": 100, "low": low, "high": high,
    }  # fmt: skip
    known["training"]["note"] = "<script>alert(1)</script>"

    text = model_card.card(known, "d" * 64)
    page = model_card.as_page(text, known["name"])

    assert "95.0% of 100 (88.8% to 97.8%)" in text
    assert "<script" not in page
    assert "<table>" in page


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I: 81 of 263, and 0 of 20.
    assert share_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert share_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert share_interval(0, 0) == (0.0, 1.0)


def an_evaluation(digest: str) -> dict:
    estimate = {"value": 0.25, "low": 0.2, "high": 0.3}
    names = (
        "lesion_share_of_frame",
        "malignant_map_energy_inside",
        "malignant_map_pointing_game",
        "decision_map_energy_inside",
        "decision_map_pointing_game",
    )
    return {
        "made": "2026-11-26T12:00:00+00:00",
        "model": {"name": "some version", "manifest_sha256": digest},
        "images": 10015,
        "lesions": 7466,
        "known_to_the_training": {"training": 8079, "validation": 954, "test": 982, "unknown": 0},
        "map_focus": {"all": {"images": 10015, **dict.fromkeys(names, estimate)}},
    }


def test_where_its_maps_look_stands_in_the_card_from_an_evaluation_of_this_version_only(tmp_path: Path) -> None:
    text = model_card.card(manifest(), "d" * 64, an_evaluation("d" * 64))

    assert "it was trained on 8,079 of them" in text
    assert "| all | 10015 | 0.25 (0.20 to 0.30) |" in text
    assert "activation maps look" not in model_card.card(manifest(), "d" * 64)
    (tmp_path / "report.json").write_text(json.dumps(an_evaluation("e" * 64)))
    with pytest.raises(CommandError, match=r"report\.json: cannot be used: it is an evaluation of some version"):
        call_command("model_card", "--evaluation", str(tmp_path / "report.json"), "--output", str(tmp_path))


def test_the_shipped_versions_maps_were_measured() -> None:
    assert model_card.measured_since(shipped.SHIPPED_MANIFEST_SHA256)["images"] == 10015
