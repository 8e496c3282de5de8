"""How unlike the training images an image is, by its embedding: its distance from their cloud, or how foreign it looks.

The distance is Mahalanobis', as Lee et al. (NeurIPS 2018), with one cloud for all classes, whose covariance is
described by its main directions and one variance for all the others (Tipping & Bishop, 1999). Bare skin is what lesions
are surrounded by, and lies inside that cloud; so one direction, learned from lesions against pictures that are none,
speaks up beside it (outlier exposure: Hendrycks et al., ICLR 2019). NumPy only, so that a CPU worker needs no more.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class NoveltyUnreadable(ValueError):
    """The file does not hold the statistics that `Novelty.save` writes."""


@dataclass(frozen=True)
class Novelty:
    """What is known of the training images' embeddings, of length c (1280).

    `mean` float32 [c]; `axes` float32 [c, d], orthonormal main directions; `variances` float32 [d] along them, and
    `rest`, the variance along every other direction. Both are positive. `foreign` float32 [c] and `offset`: an
    embedding looks as foreign as its product with `foreign`, plus `offset`, on the scale of the distance; None in
    bundles made before that was learned.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    variances: NDArray[np.float32]
    rest: float
    foreign: NDArray[np.float32] | None = None
    offset: float = 0.0

    @classmethod
    def learn(cls, embeddings: NDArray[np.float32], directions: int, shrinkage: float) -> "Novelty":
        """From the training images' embeddings, float32 [m, c], keeping `directions` main directions.

        `shrinkage` (above 0) times the mean variance is added to every variance, so that a direction in which the
        training images hardly differ does not decide alone.
        """
        mean = embeddings.mean(axis=0)
        centred = (embeddings - mean).astype(np.float64)
        values, vectors = np.linalg.eigh(centred.T @ centred / max(len(embeddings) - 1, 1))
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        floor = shrinkage * float(values.mean())
        others = values[directions:]
        rest = (float(others.mean()) if len(others) else 0.0) + floor
        return cls(
            mean.astype(np.float32),
            vectors[:, :directions].astype(np.float32),
            (values[:directions] + floor).astype(np.float32),
            rest,
        )

    def with_foreign(self, foreign: NDArray[np.floating], offset: float) -> "Novelty":
        """The same cloud with the direction [c] in which pictures look foreign."""
        return replace(self, foreign=np.asarray(foreign, dtype=np.float32), offset=float(offset))

    @classmethod
    def load(cls, path: Path) -> "Novelty":
        """Read what `save` wrote. Raises `NoveltyUnreadable`, naming the file."""
        try:
            with np.load(path, allow_pickle=False) as saved:
                mean, axes, variances = (saved[name].astype(np.float32) for name in ("mean", "axes", "variances"))
                rest = float(saved["rest"])
                foreign = saved["foreign"].astype(np.float32) if "foreign" in saved else None
                offset = float(saved["offset"]) if "foreign" in saved else 0.0
        except (OSError, ValueError, KeyError) as problem:
            raise NoveltyUnreadable(f"{path} does not hold novelty statistics: {problem}") from problem
        if mean.ndim != 1 or variances.ndim != 1 or axes.shape != (len(mean), len(variances)):
            raise NoveltyUnreadable(f"{path} holds novelty statistics of shapes that do not fit together")
        if not (rest > 0.0 and (variances > 0.0).all()):
            raise NoveltyUnreadable(f"{path} holds novelty statistics with a variance that is not positive")
        if foreign is not None and not (foreign.shape == mean.shape and np.isfinite([*foreign, offset]).all()):
            raise NoveltyUnreadable(f"{path} holds a foreign direction that does not fit its embeddings")
        return cls(mean, axes, variances, rest, foreign, offset)

    def save(self, path: Path) -> None:
        """Write to an .npz file."""
        statistics = {"mean": self.mean, "axes": self.axes, "variances": self.variances, "rest": np.array(self.rest)}
        if self.foreign is not None:
            statistics |= {"foreign": self.foreign, "offset": np.array(self.offset)}
        np.savez_compressed(path, **statistics)  # type: ignore[arg-type]

    def distance(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """How unlike the training images each embedding [n, c] is: float64 [n], 0 or more.

        The greater of its distance from their cloud and of how foreign it looks, which one threshold therefore judges.
        """
        away = self.cloud_distance(embeddings)
        if self.foreign is None:
            return away
        return np.maximum(away, (embeddings @ self.foreign).astype(np.float64) + self.offset)

    def cloud_distance(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """The distance of each embedding [n, c] from the training images' cloud: float64 [n], 0 at its centre.

        In standard deviations, divided by the square root of c, so that it is below 1 for most of what was trained on.
        """
        centred = embeddings - self.mean
        along = centred @ self.axes
        inside = (along**2 / self.variances).sum(axis=1)
        outside = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0.0) / self.rest
        return np.asarray(np.sqrt((inside + outside) / len(self.mean)), dtype=np.float64)
