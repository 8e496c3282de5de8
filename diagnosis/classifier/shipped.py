"""The bundle that ships with the product, and the digest that its manifest must have."""

from typing import Final

SHIPPED_BUNDLE: Final = "mobilenetv2-ham10000-2"
SHIPPED_MANIFEST_SHA256: Final = "ab4195f5d993c44d2ca3a087cdf04d44c2a764b887151ea6288088dfc1ec83f1"
