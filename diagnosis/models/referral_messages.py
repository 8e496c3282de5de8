"""What clinician and dermatologist write to one another about a referral, with photographs."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.models.referrals import Referral
from diagnosis.models.sealed import SealedText
from skincare.accounts.models import User


class MessageKind(models.TextChoices):
    """What a message does."""

    NOTE = "note", _("Message")
    QUESTION = "question", _("Question to the clinician")
    REPLY = "reply", _("Reply to the question")


class Message(models.Model):
    """One message. The database refuses to change or delete it."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    referral = models.ForeignKey(Referral, on_delete=models.PROTECT, related_name="messages")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    #: Whether it was written for the clinic; otherwise for the service.
    from_clinic = models.BooleanField()
    kind = models.CharField(max_length=10, choices=MessageKind)
    sent_at = models.DateTimeField()
    sealed_text = models.BinaryField(null=True)

    text = SealedText("text")

    class Meta:
        ordering: ClassVar = ["sent_at", "id"]
        indexes: ClassVar = [models.Index(fields=["referral", "sent_at", "id"], name="message_of_referral")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=MessageKind.values), name="message_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} on referral {self.referral_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.referral.data_key()


class MessageImage(models.Model):
    """A photograph sent with a message, encrypted in the store. The network does not read it."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    message = models.ForeignKey(Message, on_delete=models.PROTECT, related_name="images")
    position = models.PositiveSmallIntegerField()
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    quality = models.JSONField()
    photograph_file = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["message", "position"], name="message_image_position_once"),
            models.CheckConstraint(condition=Q(position__range=(1, 5)), name="message_image_one_to_five"),
        ]

    def __str__(self) -> str:
        return f"photograph {self.position} of message {self.message_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.message.data_key()


class MessagesSeen(models.Model):
    """Up to when somebody has seen a referral's messages."""

    id = models.BigAutoField(primary_key=True)
    referral = models.ForeignKey(Referral, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["referral", "user"], name="messages_seen_once_for_each_reader")
        ]

    def __str__(self) -> str:
        return f"messages of referral {self.referral_id} seen"
