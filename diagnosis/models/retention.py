"""How long an organisation keeps patients after it has last seen them."""

from typing import ClassVar, Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from skincare.accounts.models import Organisation

#: A shorter period would erase patients between two yearly visits; a longer one is none.
SHORTEST_MONTHS: Final = 12
LONGEST_MONTHS: Final = 600


class RetentionPolicy(models.Model):
    """One organisation's period. Without one, its patients are kept until they are erased by hand."""

    organisation = models.OneToOneField(
        Organisation, primary_key=True, on_delete=models.PROTECT, related_name="retention_policy"
    )
    months_after_last_case = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(SHORTEST_MONTHS), MaxValueValidator(LONGEST_MONTHS)],
        help_text="12 to 600. Patients without a case: after they were recorded.",
    )
    #: A shorter period erases nobody before this, so that a slip can be noticed and taken back.
    applies_from = models.DateTimeField(editable=False)

    class Meta:
        verbose_name_plural = "retention policies"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(months_after_last_case__range=(SHORTEST_MONTHS, LONGEST_MONTHS)),
                name="retention_is_1_to_50_years",
            )
        ]

    def __str__(self) -> str:
        return f"{self.organisation}: {self.months_after_last_case} months after the last case"
