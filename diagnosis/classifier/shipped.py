"""The bundle that ships with the product, those that shipped before, and the digests of their manifests."""

from typing import Final

SHIPPED_BUNDLE: Final = "mobilenetv2-ham10000-1"
SHIPPED_MANIFEST_SHA256: Final = "76f59132bc6600a1da847bc84a66665b8368d4a32546725ae5f1f559740262b6"
EARLIER: Final[dict[str, str]] = {}
