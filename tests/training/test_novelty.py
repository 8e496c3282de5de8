"""The distance from what was trained on: small inside the cloud, great outside, the same after being stored."""

from pathlib import Path

import numpy as np
import pytest

from diagnosis.classifier.novelty import Novelty, NoveltyUnreadable

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


@pytest.mark.parametrize("content", ["text", "lacking", "pickled", "misshapen", "flat"])
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
        case "flat":
            np.savez(path, **{**good, "variances": np.zeros(2)})

    with pytest.raises(NoveltyUnreadable, match=r"novelty\.npz"):
        Novelty.load(path)
