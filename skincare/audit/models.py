"""The append-only record of who did what with whose data (ids only, no content), and the chain that seals it."""

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
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
    #: PostgreSQL's number of the transaction that wrote the row; tells the sealer what can no longer change.
    transaction = models.BigIntegerField(
        editable=False,
        db_default=models.Func(
            function="pg_current_xact_id",
            template="(%(function)s()::text::bigint)",
            output_field=models.BigIntegerField(),
        ),
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["patient_id", "at"], name="audit_by_patient"),
            models.Index(fields=["object_type", "object_id"], name="audit_by_object"),
            models.Index(fields=["transaction", "id"], name="audit_in_order_of_commit"),
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


class AuditSeal(models.Model):
    """A link of the chain: the events that it covers, each by its digest, and the hash of the seal before.

    A stretch is what was sealed in one database server. After a restore into another one, where transaction numbers
    begin anew, the next seal gathers whatever is left and opens a new stretch above all ids known until then.
    """

    number = models.BigIntegerField(primary_key=True)
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32, unique=True)
    at = models.DateTimeField()
    #: The server's system identifier.
    cluster = models.CharField(max_length=20)
    #: Events of this stretch have ids above it.
    floor = models.BigIntegerField()
    #: Up to this transaction, and in it up to this id, everything of the stretch is sealed.
    horizon_transaction = models.BigIntegerField()
    horizon_event = models.BigIntegerField()
    #: Every transaction number that had been given out by then is smaller.
    next_transaction = models.BigIntegerField()
    #: The largest id sealed so far.
    highest_event = models.BigIntegerField()
    #: Ids in the order in which they were sealed, and SHA-256 of each row's content, 32 bytes each.
    events = ArrayField(models.BigIntegerField())
    digests = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(number__gte=1), name="audit_seals_count_from_one"),
        ]

    def __str__(self) -> str:
        return f"seal {self.number} of {len(self.events)} events"
