"""The distance from what was trained on: small inside the cloud, great outside, the same after being stored."""

from pathlib import Path

import numpy as np
import pytest

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES
from diagnosis.classifier.bundle import NOVELTY as FILE
from diagnosis.classifier.novelty import Novelty, NoveltyUnreadable
from training import novelty as teaching

SPREAD = np.array([4.0, 2.0, 1.0, 0.5], dtype=np.float32)


def cloud(count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(6)
    return (rng.normal(size=(count, 4)) * SPREAD + 10.0).astype(np.float32)


def test_with_all_directions_it_is_the_mahalanobis_distance() -> None:
    known = cloud()
    novelty = Novelty.learn(known, directions=4, shrinkage=1e-3)
    asked = known[:5] + 1.0

    away = asked - known.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", away, np.linalg.inv(np.cov(known.T)), away) / 4)

    np.testing.assert_allclose(novelty.distance(asked), expected, rtol=0.02)


def test_a_step_weighs_more_where_training_images_hardly_differ() -> None:
    novelty = Novelty.learn(cloud(), directions=2, shrinkage=0.01)
    centre = np.full((1, 4), 10.0, dtype=np.float32)
    step = 3.0 * np.eye(4, dtype=np.float32)

    distances = novelty.distance(centre + step)

    assert novelty.distance(centre)[0] < 0.1
    assert distances[0] < distances[1] < distances[2] == pytest.approx(distances[3], rel=0.1)


def test_it_is_unchanged_by_being_stored(tmp_path: Path) -> None:
    novelty = Novelty.learn(cloud(), directions=2, shrinkage=0.01)
    novelty.save(tmp_path / "novelty.npz")

    loaded = Novelty.load(tmp_path / "novelty.npz")

    np.testing.assert_array_equal(loaded.distance(cloud(20)), novelty.distance(cloud(20)))


def test_what_looks_foreign_inside_the_cloud_is_as_far_away_as_it_looks(tmp_path: Path) -> None:
    known = cloud()
    direction = np.array([0.0, 0.0, 2.0, 0.0], dtype=np.float32)
    novelty = Novelty.learn(known, directions=2, shrinkage=0.01).with_foreign(direction, -20.0)
    asked = np.array([[10, 10, 10, 10], [10, 10, 11.5, 10], [90, 10, 10, 10]], dtype=np.float32)

    novelty.save(tmp_path / "novelty.npz")
    distances = Novelty.load(tmp_path / "novelty.npz").distance(asked)

    assert distances[0] == novelty.cloud_distance(asked)[0] < 0.1
    assert distances[1] == pytest.approx(3.0)
    assert novelty.cloud_distance(asked)[1] < 1.5
    assert distances[2] == novelty.cloud_distance(asked)[2] > 5.0


def test_taught_by_foreign_pictures_it_turns_them_away_and_keeps_most_lesions() -> None:
    rng = np.random.default_rng(9)
    lesions, enlarged, validation = (rng.normal(size=(n, 40)).astype(np.float32) for n in (2000, 300, 500))
    # Well inside the cloud along every axis, but in one corner of it.
    strangers = (0.6 + 0.2 * rng.normal(size=(700, 40))).astype(np.float32)
    alone = Novelty.learn(lesions, teaching.DIRECTIONS, teaching.SHRINKAGE)

    novelty, threshold = teaching.learn(lesions, enlarged, strangers[:400], validation)

    assert np.mean(novelty.distance(validation) > threshold) < 0.055
    assert np.mean(novelty.distance(strangers[400:]) > threshold) > 0.9
    assert np.mean(alone.distance(strangers[400:]) > threshold) < 0.1


def test_a_bundle_made_before_anything_foreign_was_learned_still_loads() -> None:
    first = Novelty.load(BUNDLES / "mobilenetv2-ham10000-1" / FILE)
    embedding = np.zeros((1, 1280), dtype=np.float32)

    assert first.foreign is None
    assert first.distance(embedding) == first.cloud_distance(embedding)
    assert Novelty.load(BUNDLES / shipped.SHIPPED_BUNDLE / FILE).distance(embedding)[0] >= 0


@pytest.mark.parametrize("content", ["text", "lacking", "pickled", "misshapen", "flat", "foreign"])
def test_a_file_without_usable_statistics_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "novelty.npz"
    good = {"mean": np.zeros(4), "axes": np.eye(4)[:, :2], "variances": np.ones(2), "rest": np.array(1.0)}
    match content:
        case "text":
            path.write_text("no statistics")
        case "lacking":
            np.savez(path, **{name: value for name, value in good.items() if name != "axes"})
        case "pickled":
            np.savez(path, **{**good, "mean": np.array([object()])})
        case "misshapen":
            np.savez(path, **{**good, "axes": np.eye(3)})
        case "foreign":
            np.savez(path, **good, foreign=np.ones(3), offset=np.array(0.0))
        case "flat":
            np.savez(path, **{**good, "variances": np.zeros(2)})

    with pytest.raises(NoveltyUnreadable, match=r"novelty\.npz"):
        Novelty.load(path)
