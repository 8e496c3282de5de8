"""The body map: regions of a drawn figure, and the anatomical sites that they belong to."""

import re
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.models import AnatomicalSite as Site


@dataclass(frozen=True)
class Region:
    """A place that can be tapped, or is in the list only (without a path).

    Args:
        ham10000: what HAM10000's ``localization`` calls it.
        front, back: outline on the figure of 100x220, empty where it is not seen from there.
    """

    code: str
    name: Promise
    site: Site
    ham10000: str
    front: str = ""
    back: str = ""


def _both(left: str) -> str:
    """The left half of a figure of 100 across, and the same mirrored. The outline names absolute points only."""
    mirrored = re.sub(r"([\d.]+) ([\d.]+)", lambda point: f"{100 - float(point[1]):g} {point[2]}", left)
    return f"{left} {mirrored}"


_NECK: Final = "M44.5 35 C47.5 36.6 52.5 36.6 55.5 35 L56.2 40 Q50 43.6 43.8 40Z"
_CHEST: Final = (
    "M42.5 41 Q50 45.6 57.5 41 C63 43 66.4 44 68.5 47.5 C68.2 51 67.4 53.5 66.8 55.8 L61.6 56.4 C60.8 61 60.2 65.5 60 70 "
    "Q50 73.2 40 70 C39.8 65.5 39.2 61 38.4 56.4 L33.2 55.8 C32.6 53.5 31.8 51 31.5 47.5 C33.6 44 37 43 42.5 41Z"
)
_ABDOMEN: Final = "M40 71.6 Q50 74.8 60 71.6 C60 80 60.6 88 61.6 96 Q50 100 38.4 96 C39.4 88 40 80 40 71.6Z"
_BUTTOCKS: Final = (
    "M34.4 97.2 L37.6 97.6 Q50 101.6 62.4 97.6 L65.6 97.2 C67 103 67.4 108 66.8 112 Q58.6 117.8 50 112.6 "
    "Q41.4 117.8 33.2 112 C32.6 108 33 103 34.4 97.2Z"
)
_FLANKS: Final = _both(
    "M33.6 57.4 L37 57.9 C37.8 63 38.4 69 38.4 75 C38.4 83 37.7 90 36.9 96.2 L33.4 94.8 C34.4 88 34.9 82 34.8 75 "
    "C34.7 68.5 34.2 63 33.6 57.4Z"
)
_ARMS: Final = _both(
    "M30.4 47.6 C25.6 48 23.6 51.5 22.8 57 C21.4 68 18 80 15 94 C14.2 98.5 13.4 103 12.8 107.5 L19.3 109 "
    "C21.6 101.5 24.6 93 26.6 84 C28.4 76 29.4 67 31.8 57.5 C31.6 53.6 31 50.6 30.4 47.6Z"
)
_HANDS: Final = _both(
    "M12.4 109.4 L18.9 110.9 C20.4 114.4 21.6 117.4 20.4 121.4 C19.2 125 17 128.6 14.6 127.4 C11 125.4 9.4 116 12.4 109.4Z"
)
_SHINS: Final = "C49.6 130 48.8 140 47.6 151 C47.6 166 46.8 181 46 196 L38.8 196 C37.6 184 35 176 35.6 163 C36 156 36.4 150 35.6 144 "
_LEGS: Final = _both(f"M34 98.6 Q42.6 102.4 49.2 110 {_SHINS}C33.6 130 32.4 113 34 98.6Z")
_LEGS_BEHIND: Final = _both(f"M33.2 114.6 Q41.6 119.4 49.2 115.4 {_SHINS}C34.4 134 33.4 124 33.2 114.6Z")
_FEET: Final = _both(
    "M38.6 198 L46.2 198 C46.8 203 47.8 207 47.4 211 C44 213.6 36.4 213.6 32.8 211.6 C33 207.6 37 203 38.6 198Z"
)

REGIONS: Final = (
    Region(
        "scalp",
        _("Scalp"),
        Site.HEAD_NECK,
        "scalp",
        "M38.6 15 C37 1.6 63 1.6 61.4 15 C57 11.6 43 11.6 38.6 15Z",
        "M38.6 22 C36.6 0 63.4 0 61.4 22 C59.6 33.6 40.4 33.6 38.6 22Z",
    ),
    Region(
        "face",
        _("Face"),
        Site.HEAD_NECK,
        "face",
        "M38.7 16.6 C43 13.4 57 13.4 61.3 16.6 C62.2 26 57.5 34.4 50 34.4 C42.5 34.4 37.8 26 38.7 16.6Z",
    ),
    Region("ear", _("Ear"), Site.HEAD_NECK, "ear"),
    Region("neck", _("Neck"), Site.HEAD_NECK, "neck", _NECK, _NECK),
    Region("chest", _("Chest"), Site.ANTERIOR_TORSO, "chest", _CHEST),
    Region("abdomen", _("Abdomen"), Site.ANTERIOR_TORSO, "abdomen", _ABDOMEN),
    Region("upper-back", _("Upper back"), Site.POSTERIOR_TORSO, "back", "", _CHEST),
    Region("lower-back", _("Lower back"), Site.POSTERIOR_TORSO, "back", "", _ABDOMEN),
    Region("buttocks", _("Buttocks"), Site.POSTERIOR_TORSO, "trunk", "", _BUTTOCKS),
    Region("flank", _("Flank"), Site.LATERAL_TORSO, "trunk", _FLANKS, _FLANKS),
    Region("arm", _("Arm"), Site.UPPER_EXTREMITY, "upper extremity", _ARMS, _ARMS),
    Region("hand", _("Back of the hand"), Site.UPPER_EXTREMITY, "hand", "", _HANDS),
    Region("palm", _("Palm"), Site.PALMS_SOLES, "acral", _HANDS),
    Region("leg", _("Leg"), Site.LOWER_EXTREMITY, "lower extremity", _LEGS, _LEGS_BEHIND),
    Region("foot", _("Foot"), Site.LOWER_EXTREMITY, "foot", _FEET),
    Region("sole", _("Sole"), Site.PALMS_SOLES, "acral", "", _FEET),
    Region(
        "genital",
        _("Genital area"),
        Site.ORAL_GENITAL,
        "genital",
        "M41.4 99.6 Q50 102.6 58.6 99.6 L52 107.6 Q50 109.6 48 107.6Z",
    ),
    Region("mouth", _("Mouth"), Site.ORAL_GENITAL, "unknown"),
)
SIDES: Final = (("front", _("Front")), ("back", _("Back")))


def figures() -> list[dict[str, object]]:
    """What the template draws: both sides, each with its regions."""
    return [
        {
            "code": side,
            "name": name,
            "regions": [
                {"code": region.code, "name": region.name, "path": getattr(region, side)}
                for region in REGIONS
                if getattr(region, side)
            ],
        }
        for side, name in SIDES
    ]
