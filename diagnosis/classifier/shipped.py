"""The bundle that ships with the product, those that shipped before, and the digests of their manifests."""

from typing import Final

SHIPPED_BUNDLE: Final = "mobilenetv2-ham10000-3"
SHIPPED_MANIFEST_SHA256: Final = "46cc6d01f8137053f866bd3123a33e537837aacfc8a763de62344b4c4d00b963"
EARLIER: Final[dict[str, str]] = {
    "mobilenetv2-ham10000-1": "76f59132bc6600a1da847bc84a66665b8368d4a32546725ae5f1f559740262b6",
    "mobilenetv2-ham10000-2": "ab4195f5d993c44d2ca3a087cdf04d44c2a764b887151ea6288088dfc1ec83f1",
}
