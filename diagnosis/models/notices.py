"""What people and integrators are told about referrals: notices, how they want them, webhooks and their deliveries."""

from typing import ClassVar
from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.models.cases import Case
from diagnosis.models.emergency import EmergencyAccess
from diagnosis.models.referrals import Referral
from skincare.accounts.models import Organisation, User


class Notification(models.Model):
    """What one person is told: of a referral, a case or an emergency access. It holds nothing of the patient."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notifications")
    #: What it is about: one of the three.
    referral = models.ForeignKey(Referral, null=True, on_delete=models.CASCADE, related_name="+")
    case = models.ForeignKey(Case, null=True, on_delete=models.CASCADE, related_name="+")
    emergency = models.ForeignKey(EmergencyAccess, null=True, on_delete=models.CASCADE, related_name="notices")
    #: What happened: an action of ``services.notifications.SENTENCES``.
    kind = models.CharField(max_length=30)
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True)
    #: When it went out by e-mail, or was found not to be wanted there.
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-created_at", "-id"], name="notification_newest_first"),
            models.Index(fields=["user"], condition=Q(seen_at__isnull=True), name="notification_unseen"),
            models.Index(fields=["created_at"], condition=Q(mailed_at__isnull=True), name="notification_unmailed"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(referral__isnull=False, case__isnull=True, emergency__isnull=True)
                | Q(referral__isnull=True, case__isnull=False, emergency__isnull=True)
                | Q(referral__isnull=True, case__isnull=True, emergency__isnull=False),
                name="notification_is_about_one_thing",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.user_id}"


class MailWanted(models.TextChoices):
    """How somebody wants to be told by e-mail."""

    AT_ONCE = "at_once", _("At once")
    DAILY = "daily", _("Once a day, together")
    NEVER = "never", _("Never")


class NotificationPreference(models.Model):
    """One person's wish. Without a row: at once."""

    user = models.OneToOneField(
        User, primary_key=True, on_delete=models.CASCADE, related_name="notification_preference"
    )
    mail = models.CharField(max_length=10, choices=MailWanted, default=MailWanted.AT_ONCE)
    last_digest_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(mail__in=MailWanted.values), name="notification_mail_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.mail}"


class Webhook(models.Model):
    """An address of an integrator that is told what happens to an organisation's referrals, by ids only."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="webhooks")
    url = models.URLField(max_length=500)
    #: Which events; empty for all.
    events = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    active = models.BooleanField(default=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    #: What deliveries are signed with, sealed under a master key as ``encryption.seal_text`` does.
    sealed_secret = models.TextField()

    class Meta:
        ordering: ClassVar = ["created_at", "id"]

    def __str__(self) -> str:
        return f"webhook {self.pk}"


class DeliveryState(models.TextChoices):
    """The life of a delivery."""

    WAITING = "waiting", _("Waiting")
    DELIVERED = "delivered", _("Delivered")
    GIVEN_UP = "given_up", _("Given up")


class WebhookDelivery(models.Model):
    """One event for one webhook: the queue and the log in one row."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=30)
    #: Ids, states and times; never anything of the patient.
    payload = models.JSONField()
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.WAITING)
    created_at = models.DateTimeField()
    not_before = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    #: Of the last attempt: the answer's status, or 0, and what went wrong.
    status = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        verbose_name_plural = "webhook deliveries"
        indexes: ClassVar = [
            models.Index(fields=["not_before"], condition=Q(state="waiting"), name="delivery_queue"),
            models.Index(fields=["webhook", "-created_at", "-id"], name="delivery_newest_first"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_is_known")
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook_id}: {self.state}"


class SavedView(models.Model):
    """A worklist's filters under a name, of one dermatologist at one service."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    service = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    #: As ``services.worklist.Filters`` has them; never a record number.
    filters = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "service", "name"], name="saved_view_name_once")
        ]

    def __str__(self) -> str:
        return self.name
