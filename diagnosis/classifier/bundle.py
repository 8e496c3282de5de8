"""A version of the network on disk: a folder whose every byte is vouched for by the pinned digest of its manifest.

A bundle that was released on the platform is signed as well, see `signature`.

Nothing in it can run code when it is opened: LiteRT and HDF5 files hold numbers, `.npz` files are read without pickles,
and a `.keras` file is refused.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from diagnosis.classifier import signature
from diagnosis.classifier.recommendation import Thresholds
from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import PREPROCESSING

#: Where bundles that ship with the project lie, one folder each, named as the version.
BUNDLES: Final = Path(__file__).resolve().parent / "bundles"

MANIFEST: Final = "bundle.json"
MODEL: Final = "model.tflite"
WEIGHTS: Final = "model.weights.h5"
NOVELTY: Final = "novelty.npz"
REQUIRED: Final = frozenset({MODEL, WEIGHTS, NOVELTY})

#: Kinds of file that a bundle may hold.
_SUFFIXES: Final = frozenset({".tflite", ".h5", ".npz", ".json", ".md"})

#: The only decision rule that `network.Network` knows.
DECISION_RULE: Final = "argmax(log p - log prior)"

_RETRIEVE: Final = "fetch the bundle again from where it was released"


class BundleRefused(ValueError):
    """The bundle is not the one that was released, or is not one for this program. Names the file and the reason."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle. Every file was compared with the manifest, and the manifest with the pinned digest."""

    folder: Path
    manifest: dict[str, Any]
    """All of bundle.json."""
    name: str
    created: datetime
    architecture: str
    class_priors: npt.NDArray[np.float64]
    """[7], in the order of `taxonomy.CLASSES`, summing to 1."""
    temperature: float
    thresholds: Thresholds
    novelty_threshold: float
    """Distance in embedding space above which a view is unlike the training data."""
    preprocessing: str

    @classmethod
    def open(cls, folder: Path, manifest_sha256: str, *, signed_by: Sequence[bytes] | None = None) -> "Bundle":
        """Open `folder`, trusting nothing but `manifest_sha256` (64 hexadecimal digits) and the keys named.

        Args:
            signed_by: public release keys, 32 bytes each, one of which must have signed the manifest. None where the
                digest comes from the source itself, or from before the release.

        Raises:
            BundleRefused: a file is missing, altered, cut short, or not named in the manifest; or the manifest is not
                the pinned one, is not signed, or describes a network that this program does not know.
        """
        path = folder / MANIFEST
        content = _read(path)
        digest = hashlib.sha256(content).hexdigest()
        if digest != manifest_sha256:
            raise BundleRefused(
                f"{path}: its sha256 is {digest}, but {manifest_sha256} was pinned at release; {_RETRIEVE}"
            )
        try:
            if signed_by is not None:
                signature.check(folder, content, signed_by)
        except signature.NotSigned as error:
            raise BundleRefused(f"{error}; have it released again") from error
        try:
            manifest = json.loads(content)
            _check_files(folder, manifest["files"])
            return cls(folder=folder, manifest=manifest, **_understand(manifest))
        except BundleRefused:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleRefused(f"{path}: not a manifest that this program understands: {error!r}") from error

    def content(self, name: str) -> bytes:
        """The bytes of one file, compared with the manifest once more as they are read.

        Raises:
            BundleRefused: as `open`.
        """
        return _verified(self.folder / name, self.manifest["files"][name])


def _understand(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a Bundle, each checked. Raises ValueError, KeyError or TypeError."""
    taxonomy, priors = tuple(manifest["taxonomy"]), np.array(manifest["class_priors"], dtype=np.float64)
    temperature, novelty = float(manifest["temperature"]), float(manifest["novelty"]["threshold"])
    if taxonomy != CLASSES:
        raise ValueError(f"taxonomy {taxonomy}, where this program has {CLASSES}")
    if priors.shape != (len(CLASSES),) or not (priors > 0).all() or not math.isclose(priors.sum(), 1, abs_tol=1e-6):
        raise ValueError(f"class_priors {priors.tolist()}: seven positive shares that sum to 1 are needed")
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature {temperature}: a positive number is needed")
    if not (math.isfinite(novelty) and novelty > 0):
        raise ValueError(f"novelty threshold {novelty}: a positive number is needed")
    if manifest["preprocessing"] != PREPROCESSING:
        raise ValueError(f"preprocessing {manifest['preprocessing']!r}, where this program does {PREPROCESSING!r}")
    if manifest["decision_rule"] != DECISION_RULE:
        raise ValueError(f"decision rule {manifest['decision_rule']!r}, where this program knows {DECISION_RULE!r}")
    thresholds = manifest["thresholds"]
    return {
        "name": str(manifest["name"]),
        "created": datetime.fromisoformat(manifest["created"]),
        "architecture": str(manifest["architecture"]),
        "class_priors": priors,
        "temperature": temperature,
        "thresholds": Thresholds(
            refer=float(thresholds["refer"]["risk"]), refer_urgently=float(thresholds["refer_urgently"]["risk"])
        ),
        "novelty_threshold": novelty,
        "preprocessing": PREPROCESSING,
    }


def _check_files(folder: Path, listed: Mapping[str, str]) -> None:
    for name in sorted(REQUIRED - listed.keys()):
        raise BundleRefused(f"{folder / MANIFEST}: does not list {name}, which every bundle has")
    for name, sha256 in listed.items():
        if Path(name).name != name or name in ("", MANIFEST, signature.SIGNATURE):
            raise BundleRefused(f"{folder / MANIFEST}: lists {name!r}, which is not the name of a file beside it")
        if Path(name).suffix not in _SUFFIXES:
            raise BundleRefused(f"{folder / name}: a bundle holds no {Path(name).suffix or 'such'} files")
        _verified(folder / name, sha256)
    for path in sorted(folder.iterdir()):
        if path.name not in (MANIFEST, signature.SIGNATURE) and path.name not in listed:
            raise BundleRefused(f"{path}: not named in {MANIFEST}; a bundle holds nothing else, remove it")


def _verified(path: Path, sha256: str) -> bytes:
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise BundleRefused(f"{path}: its sha256 is {digest}, but {MANIFEST} says {sha256}; {_RETRIEVE}")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleRefused(f"{path}: cannot be read ({error.strerror}); {_RETRIEVE}") from error
