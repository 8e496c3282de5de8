"""The model card: made from the manifest, whole for the version that ships, and not to be typed over."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, MANIFEST
from training.evaluation import model_card
from training.evaluation.statistics import share_interval

DOCS = Path(__file__).resolve().parents[2] / "docs"


def manifest() -> dict:
    return json.loads((BUNDLES / shipped.SHIPPED_BUNDLE / MANIFEST).read_text())


def test_the_card_in_the_docs_is_what_the_command_makes_of_the_shipped_bundle(tmp_path: Path) -> None:
    call_command("model_card", "--output", str(tmp_path), stdout=StringIO())

    for name in ("model-card.md", "model-card.html"):
        assert (DOCS / name).read_text() == (tmp_path / name).read_text(), "run: python manage.py model_card"


def test_its_figures_are_the_measured_ones_with_their_intervals() -> None:
    known = manifest()
    measured = known["metrics"]["frozen_test"]["balanced_accuracy"]
    known["metrics"]["frozen_test"]["balanced_accuracy"] = {"value": 0.1234, "low": 0.1111, "high": 0.1357}

    text = model_card.card(manifest(), "d" * 64)
    changed = model_card.card(known, "d" * 64)

    assert f"{measured['value']:.3f} ({measured['low']:.3f} to {measured['high']:.3f})" in text
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
