"""The paper's support vector machine on colour and texture. It does not name its features; these are the usual ones.

For each view: mean, deviation and skewness of the three channels in RGB, HSV and L*a*b* (27 numbers); histograms of
hue, saturation and value in 8 bins each (24); grey-level co-occurrence at 1, 3 and 7 pixels, mean of four directions:
contrast, dissimilarity, homogeneity, energy, correlation (15; Haralick, 1973); and rotation-invariant uniform local
binary patterns of 8 neighbours at 1 pixel and 16 at 2 (28; Ojala et al., 2002). 94 numbers, standardised.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import skew
from skimage.color import rgb2gray, rgb2hsv, rgb2lab
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

FEATURES: Final = 94

_PROPERTIES: Final = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
_PATTERNS: Final = ((8, 1.0), (16, 2.0))


def features_of(view: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The features of one view, uint8 [h, w, 3]: float32 [94], finite."""
    hsv = rgb2hsv(view)
    parts: list[NDArray[np.floating]] = []
    for space in (view / 255.0, hsv, rgb2lab(view)):
        flat = space.reshape(-1, 3)
        parts += [flat.mean(axis=0), flat.std(axis=0), np.nan_to_num(skew(flat, axis=0))]
    parts += [np.histogram(hsv[..., channel], bins=8, range=(0, 1))[0] / hsv[..., 0].size for channel in range(3)]
    grey = np.rint(rgb2gray(view) * 31).astype(np.uint8)
    together = graycomatrix(
        grey, [1, 3, 7], [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4], levels=32, symmetric=True, normed=True
    )
    parts += [graycoprops(together, name).mean(axis=1) for name in _PROPERTIES]
    full = np.rint(rgb2gray(view) * 255).astype(np.uint8)
    for points, radius in _PATTERNS:
        codes = local_binary_pattern(full, points, radius, method="uniform")
        parts.append(np.histogram(codes, bins=points + 2, range=(0, points + 2))[0] / codes.size)
    return np.nan_to_num(np.concatenate(parts)).astype(np.float32)


def learner(seed: int = 0) -> Pipeline:
    """A fresh machine: standardised features, radial kernel, classes weighted alike."""
    return make_pipeline(StandardScaler(), SVC(C=10.0, gamma="scale", class_weight="balanced", random_state=seed))
