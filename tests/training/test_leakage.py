"""Ways to split, what each leaks, and whether maps look at the lesion: on small data that were made up."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagnosis.classifier.taxonomy import CLASSES
from training.baselines import svm
from training.evaluation.leakage import by_image, by_lesion, compare_ways, oversampled_first
from training.evaluation.map_focus import MaskUnreadable, find_masks, focus_of, focus_table, read_mask
from training.management.commands.leakage import render_page


def family(count: int = 420) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that tell lesions apart much better than classes: what a split by image can learn by heart."""
    rng = np.random.default_rng(2)
    lesion = np.arange(count) // 3
    labels = (lesion % 7).astype(np.int64)
    features = rng.normal(size=(count // 3, 60))[lesion] * 2.0 + 0.05 * rng.normal(size=(count, 60))
    features[np.arange(count), labels] += 1.0
    return features, labels, np.array([f"L{each}" for each in lesion])


def test_a_lesion_stays_together_only_where_the_split_is_by_lesion() -> None:
    _, labels, groups = family()

    training, test = by_lesion(labels, groups, np.random.default_rng(0))
    assert not set(groups[training > 0]) & set(groups[test > 0])
    assert 0.65 < training.sum() / len(labels) < 0.75

    training, test = by_image(labels, groups, np.random.default_rng(0))
    assert set(groups[training > 0]) & set(groups[test > 0])
    assert not np.any((training > 0) & (test > 0))


def test_copies_made_before_the_split_end_on_both_sides() -> None:
    labels = np.repeat([5, 4], [300, 20])

    training, test = oversampled_first(labels, labels.astype(str), np.random.default_rng(0))

    assert training.sum() + test.sum() == pytest.approx(0.85 * 600, abs=2)
    assert np.mean((training > 0) & (test > 0) & (labels == 4)) * 320 > 10


def test_what_is_leaked_shows_above_the_split_by_lesion() -> None:
    report = compare_ways(*family(), splits=3)
    ways = report["ways"]

    assert ways["by_lesion"]["mean"]["with_sibling_in_training"] == 0
    assert ways["by_image"]["mean"]["with_sibling_in_training"] > 30
    assert ways["by_image"]["above_by_lesion"]["balanced_accuracy"] > 0.2
    assert len(ways["by_image"]["each"]) == 3
    page = render_page(report | {"made": "today", "features": "made up", "dataset": {"name": "none"}})
    assert page.count("<svg") == 3
    assert "by lesion" in page


def peaked(row: int, column: int) -> np.ndarray:
    activation = np.zeros((7, 7, 7), dtype=np.float32)
    activation[..., CLASSES.index("nv")] = 8.0
    activation[row, column, CLASSES.index("mel")] = 16.0
    return activation


def test_a_map_that_peaks_inside_the_outline_hits_and_one_outside_misses() -> None:
    mask = np.zeros((224, 224), dtype=np.bool_)
    mask[64:160, 64:160] = True

    inside, outside = focus_of(peaked(3, 3), 1.0, "mel", mask), focus_of(peaked(0, 6), 1.0, "mel", mask)

    assert inside is not None
    assert outside is not None
    assert (inside.malignant_hit, inside.decision_hit, outside.malignant_hit) == (True, True, False)
    assert inside.malignant_energy > 0.95 > 0.05 > outside.malignant_energy
    assert inside.lesion == pytest.approx(96 * 96 / 224 / 224)
    assert focus_of(peaked(3, 3), 1.0, "mel", np.zeros((224, 224), dtype=np.bool_)) is None
    table = focus_table([inside, outside], ["mel", "nv"], np.array(["a", "b"]), draws=50)
    assert table["all"]["malignant_map_pointing_game"]["value"] == 0.5
    assert table["malignant"]["images"] == 1


def test_masks_are_found_by_their_image_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(np.repeat(np.arange(600)[None] < 300, 450, axis=0)).save(out, "PNG")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.writestr("ISIC_1_segmentation.png", out.getvalue())
        archive.writestr("ISIC_2_segmentation.png", b"no picture")

    masks = find_masks([tmp_path / "masks.zip"])

    assert set(masks) == {"ISIC_1", "ISIC_2"}
    assert read_mask(masks["ISIC_1"]).mean() == pytest.approx(0.5, abs=0.01)
    with pytest.raises(MaskUnreadable, match="ISIC_2_segmentation"):
        read_mask(masks["ISIC_2"])


def test_the_machines_features_have_one_length_whatever_the_view() -> None:
    rng = np.random.default_rng(0)
    views = [rng.integers(0, 256, size=(64, 64, 3), dtype=np.uint8), np.full((64, 64, 3), 120, dtype=np.uint8)]

    for view in views:
        features = svm.features_of(view)
        assert features.shape == (svm.FEATURES,)
        assert np.isfinite(features).all()


def test_the_machine_learns_colours_apart() -> None:
    rng = np.random.default_rng(3)
    views = [
        np.clip(np.array(colour) + rng.normal(scale=20, size=(32, 32, 3)), 0, 255).astype(np.uint8)
        for colour in ((150, 90, 70), (90, 60, 120))
        for _ in range(8)
    ]
    features = np.stack([svm.features_of(view) for view in views])
    labels = np.repeat([0, 1], 8)

    assert (svm.learner().fit(features[::2], labels[::2]).predict(features[1::2]) == labels[1::2]).all()
