"""What the history asks, each with a sentence that tells when the answer is yes."""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.models.cases import CHECKLIST_POINTS


@dataclass(frozen=True)
class Question:
    """One question; ``points`` of the weighted 7-point checklist, 0 for a sign that stands beside it."""

    code: str
    name: Promise
    help: Promise | str = ""

    @property
    def points(self) -> int:
        """0, 1 or 2."""
        return CHECKLIST_POINTS.get(self.code, 0)


QUESTIONS: Final = (
    Question("change_in_size", _("Change in size"), _("It has grown or spread within weeks or months.")),
    Question("irregular_shape", _("Irregular shape"), _("The edge is notched, or one half differs from the other.")),
    Question("irregular_colour", _("Irregular colour"), _("Several colours: brown, black, red, blue or white.")),
    Question("diameter_7_mm_or_more", _("7 mm or more across"), _("Wider than a pencil.")),
    Question("inflammation", _("Inflammation"), _("A red or swollen rim.")),
    Question("oozing", _("Oozing or crusting"), _("Wet, crusted, or a sore that does not heal.")),
    Question("change_in_sensation", _("Change in sensation"), _("It itches, hurts or feels numb.")),
    Question("bleeding", _("Bleeding"), _("It bleeds by itself or when touched lightly.")),
    Question("growth", _("A lump that grows"), _("Raised, firm, and growing over a month.")),
)
BACKGROUND: Final = (
    Question("personal_hx_mm", _("Melanoma before")),
    Question("personal_hx_skin_cancer", _("Other skin cancer before, such as a basal cell carcinoma")),
    Question("family_hx_mm", _("Melanoma in a parent, sibling or child")),
    Question("sun_damage", _("Much sun: sunburns as a child, outdoor work or sunbeds")),
    Question("immunosuppression", _("Weakened immune system, for example after a transplant")),
)
