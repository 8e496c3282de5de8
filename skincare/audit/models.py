"""The append-only record of who did what with whose data: ids only, no content."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class AuditEvent(models.Model):
    """One thing that somebody (or the platform itself, where ``actor`` is empty) did.

    The database refuses to change or delete a row (see the migration). Ids are kept without foreign keys to what
    they name, so that erasing a patient does not reach into the record.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=60)
    organisation_id = models.UUIDField(null=True)
    patient_id = models.UUIDField(null=True)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=64)
    details = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.GenericIPAddressField(null=True)
    #: Start of the quarter of an hour, for reads: one event per user, patient and quarter of an hour is kept.
    read_quarter = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["patient_id", "at"], name="audit_by_patient"),
            models.Index(fields=["object_type", "object_id"], name="audit_by_object"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["actor", "patient_id", "read_quarter"],
                condition=Q(read_quarter__isnull=False),
                name="audit_one_read_a_quarter_hour",
            )
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.action} {self.object_type} {self.object_id}"
