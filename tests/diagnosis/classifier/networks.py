"""The network that ships, and the real images it is tried on."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, Bundle
from diagnosis.classifier.network import Network
from diagnosis.classifier.quality import assess
from diagnosis.classifier.view import View, make_view

SAMPLES = sorted((Path(__file__).parents[2] / "data" / "ham10000").glob("ISIC_*.jpg"))


@cache
def shipped_bundle() -> Bundle:
    """Opened once."""
    return Bundle.open(BUNDLES / shipped.SHIPPED_BUNDLE, shipped.SHIPPED_MANIFEST_SHA256)


@cache
def shipped_network() -> Network:
    """On LiteRT, loaded once."""
    return Network.open(shipped_bundle())


@cache
def sample_views() -> View:
    """Real images: uint8 [n, 224, 224, 3]. Do not change them."""
    return np.stack([make_view(Image.open(path).convert("RGB")) for path in SAMPLES])


@cache
def readable_samples() -> list[Path]:
    """Those of the samples about which the network has something to say: good enough, and like its training data."""
    return [
        path
        for path, view, reading in zip(SAMPLES, sample_views(), shipped_network().read(sample_views()), strict=True)
        if assess(view, 600, 450).acceptable and not reading.novel
    ]
