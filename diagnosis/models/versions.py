"""Versions of the network: which one serves, and which served before."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import F, Q

from skincare.accounts.models import User


class VersionState(models.TextChoices):
    """The life of a version."""

    CHALLENGER = "challenger", "Challenger: trained, not in service"
    CHAMPION = "champion", "Champion: in service"
    RETIRED = "retired", "Retired"


class VersionOrigin(models.TextChoices):
    """Who vouches for a version before it serves."""

    SHIPPED = "shipped", "Shipped with the program: its manifest is pinned in the source"
    TRAINED = "trained", "Trained here: released by two model stewards"


class ModelVersion(models.Model):
    """One bundle of the network, known by its name and trusted by its manifest's digest."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=100, unique=True)
    state = models.CharField(max_length=12, choices=VersionState)
    #: SHA-256 of ``bundle.json``, pinned at release; a bundle with any other is refused.
    manifest_sha256 = models.CharField(max_length=64)
    #: A copy of ``bundle.json`` for reading: taxonomy, thresholds, metrics with intervals, data and licence.
    manifest = models.JSONField()
    origin = models.CharField(max_length=8, choices=VersionOrigin, default=VersionOrigin.TRAINED)
    created_at = models.DateTimeField(auto_now_add=True)
    #: When it went into service for the first time.
    released_at = models.DateTimeField(null=True)

    #: Whether it passed every gate when it was last judged against the champion of that moment; null: not judged.
    gates_passed = models.BooleanField(null=True)
    #: One steward proposes the release, another approves it.
    proposed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    #: Since when it reads live cases unseen, beside the champion; at most one does.
    shadow_since = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="champion"), name="one_version_serves"),
            models.CheckConstraint(condition=Q(state__in=VersionState.values), name="version_state_is_known"),
            models.CheckConstraint(
                condition=Q(state="challenger") | Q(released_at__isnull=False), name="version_serves_after_release"
            ),
            models.CheckConstraint(condition=Q(origin__in=VersionOrigin.values), name="version_origin_is_known"),
            models.CheckConstraint(
                condition=Q(state="challenger")
                | Q(origin="shipped")
                | (
                    Q(gates_passed__isnull=False, gates_passed=True)  # a CHECK lets an unknown pass
                    & Q(proposed_by__isnull=False, proposed_at__isnull=False, approved_by__isnull=False)
                ),
                name="version_serves_after_gates_and_two_people",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | Q(proposed_by__isnull=False) & ~Q(approved_by=F("proposed_by")),
                name="version_is_approved_by_another_than_who_proposed",
            ),
            models.CheckConstraint(
                condition=Q(proposed_by__isnull=True, proposed_at__isnull=True)
                | Q(proposed_by__isnull=False, proposed_at__isnull=False),
                name="version_is_proposed_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(shadow_since__isnull=True) | Q(state="challenger"), name="version_in_shadow_is_a_challenger"
            ),
            models.UniqueConstraint(
                fields=["state"], condition=Q(shadow_since__isnull=False), name="one_version_reads_in_shadow"
            ),
        ]

    def __str__(self) -> str:
        return self.name
