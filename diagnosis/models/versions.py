"""Versions of the network: which one serves, and which served before."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q


class VersionState(models.TextChoices):
    """The life of a version."""

    CHALLENGER = "challenger", "Challenger: trained, not in service"
    CHAMPION = "champion", "Champion: in service"
    RETIRED = "retired", "Retired"


class ModelVersion(models.Model):
    """One bundle of the network, known by its name and trusted by its manifest's digest."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=100, unique=True)
    state = models.CharField(max_length=12, choices=VersionState)
    #: SHA-256 of ``bundle.json``, pinned at release; a bundle with any other is refused.
    manifest_sha256 = models.CharField(max_length=64)
    #: A copy of ``bundle.json`` for reading: taxonomy, thresholds, metrics with intervals, data and licence.
    manifest = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    released_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="champion"), name="one_version_serves"),
            models.CheckConstraint(condition=Q(state__in=VersionState.values), name="version_state_is_known"),
            models.CheckConstraint(
                condition=Q(state="challenger") | Q(released_at__isnull=False), name="version_serves_after_release"
            ),
        ]

    def __str__(self) -> str:
        return self.name
