"""Whether a challenger and the champion differ by more than chance, in words."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext


def differences_in_words(found: Mapping[str, Any]) -> list[str]:
    """McNemar's and DeLong's tests of a verdict (``judging.tests_of_difference``) in a sentence each."""
    if not found:
        return []

    def chance(p: float) -> str:
        return gettext("p below 0.001") if p < 0.001 else f"p = {p:.3f}"

    alone = found["mcnemar"]
    said = [
        gettext(
            "McNemar’s exact test on the decisions: only the challenger is right on %(challenger)s images, only the "
            "champion on %(champion)s; %(p)s."
        )
        % {
            "challenger": alone["only_first_right"],
            "champion": alone["only_second_right"],
            "p": chance(alone["p_exact"]),
        }
    ]
    areas = {"malignant": gettext("Malignant AUC"), "melanoma": gettext("Melanoma AUC")}
    said += [
        gettext("DeLong’s test, %(figure)s: the challenger %(challenger)s, the champion %(champion)s; %(p)s.")
        % {
            "figure": areas[name],
            "challenger": f"{area['first_auc']:.3f}",
            "champion": f"{area['second_auc']:.3f}",
            "p": chance(area["p"]),
        }
        for name, area in found["delong"].items()
    ]
    return [
        *said,
        gettext(
            "These tests take images for independent, which several images of one lesion are not; the intervals in the "
            "table draw whole lesions."
        ),
    ]
