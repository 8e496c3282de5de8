"""The body map: regions of a drawn figure, and the anatomical sites that they belong to."""

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


_ARMS: Final = "M29 43 L21 46 L12 106 L20 108 L28 72Z M71 43 L79 46 L88 106 L80 108 L72 72Z"
_HANDS: Final = "M11 109 L20 111 L18 125 L8 123Z M89 109 L80 111 L82 125 L92 123Z"
_LEGS: Final = "M35 99 L42 99 L49 109 L47 195 L38 195 L33 140Z M65 99 L58 99 L51 109 L53 195 L62 195 L67 140Z"
_FEET: Final = "M37 198 L47 198 L48 211 L31 211Z M63 198 L53 198 L52 211 L69 211Z"
_FLANKS: Final = "M30 54 L35 54 L35 95 L31 95Z M70 54 L65 54 L65 95 L69 95Z"
_NECK: Final = "M44 34 L56 34 L58 41 L42 41Z"

REGIONS: Final = (
    Region(
        "scalp",
        _("Scalp"),
        Site.HEAD_NECK,
        "scalp",
        "M39 13 C40 1 60 1 61 13Z",
        "M39 25 C36 -3 64 -3 61 25 Q50 35 39 25Z",
    ),
    Region("face", _("Face"), Site.HEAD_NECK, "face", "M39 15 L61 15 C62 26 57 32 50 33 C43 32 38 26 39 15Z"),
    Region("ear", _("Ear"), Site.HEAD_NECK, "ear"),
    Region("neck", _("Neck"), Site.HEAD_NECK, "neck", _NECK, _NECK),
    Region("chest", _("Chest"), Site.ANTERIOR_TORSO, "chest", "M33 44 Q50 40 67 44 L63 69 L37 69Z"),
    Region("abdomen", _("Abdomen"), Site.ANTERIOR_TORSO, "abdomen", "M37 71 L63 71 L63 96 L37 96Z"),
    Region("upper-back", _("Upper back"), Site.POSTERIOR_TORSO, "back", "", "M33 44 Q50 40 67 44 L63 69 L37 69Z"),
    Region("lower-back", _("Lower back"), Site.POSTERIOR_TORSO, "back", "", "M37 71 L63 71 L63 92 L37 92Z"),
    Region("buttocks", _("Buttocks"), Site.POSTERIOR_TORSO, "trunk", "", "M36 95 L64 95 L66 112 L34 112Z"),
    Region("flank", _("Flank"), Site.LATERAL_TORSO, "trunk", _FLANKS, _FLANKS),
    Region("arm", _("Arm"), Site.UPPER_EXTREMITY, "upper extremity", _ARMS, _ARMS),
    Region("hand", _("Back of the hand"), Site.UPPER_EXTREMITY, "hand", "", _HANDS),
    Region("palm", _("Palm"), Site.PALMS_SOLES, "acral", _HANDS),
    Region(
        "leg",
        _("Leg"),
        Site.LOWER_EXTREMITY,
        "lower extremity",
        _LEGS,
        "M34 115 L49 115 L47 195 L38 195 L33 140Z M66 115 L51 115 L53 195 L62 195 L67 140Z",
    ),
    Region("foot", _("Foot"), Site.LOWER_EXTREMITY, "foot", _FEET),
    Region("sole", _("Sole"), Site.PALMS_SOLES, "acral", "", _FEET),
    Region("genital", _("Genital area"), Site.ORAL_GENITAL, "genital", "M44 98 L56 98 L52 107 L48 107Z"),
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
