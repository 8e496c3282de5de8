"""Which version of the network to judge: the one that ships, one that lies beside it, or any bundle's folder."""

import hashlib
from pathlib import Path

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, MANIFEST, Bundle, BundleRefused


def open_version(name: str | None, bundles: Path = BUNDLES) -> tuple[Bundle, str]:
    """Open the version called `name` (None: the shipped one), or the bundle in the folder of that path.

    Returns it with the sha256 of its manifest. Only the shipped one is pinned in the source: of any other, whoever
    names it vouches for its manifest, and the digest in the report says which one it was.

    Raises `BundleRefused` when there is none, or its files are not those that its manifest lists.
    """
    if name is None or name == shipped.SHIPPED_BUNDLE:
        digest = shipped.SHIPPED_MANIFEST_SHA256
        return Bundle.open(bundles / shipped.SHIPPED_BUNDLE, digest), digest
    folder = next((each for each in (bundles / name, Path(name)) if (each / MANIFEST).is_file()), None)
    if folder is None:
        known = ", ".join(sorted(path.parent.name for path in bundles.glob(f"*/{MANIFEST}")))
        raise BundleRefused(f"there is no version {name!r}: known are {known}, or give the folder of a bundle")
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    return Bundle.open(folder, digest), digest
