"""Referrals: a case brought before a dermatology service, and the further readers that it asks."""

from typing import TYPE_CHECKING, ClassVar, Final, Self
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.models.patients import AnatomicalSite, organisations_of_clinician
from diagnosis.models.sealed import SealedText
from diagnosis.models.service_policies import Urgency, services_of_dermatologist
from skincare.accounts.models import Organisation, User

if TYPE_CHECKING:
    from diagnosis.models.cases import Case


class ReferralState(models.TextChoices):
    """The life of a referral. What leads from one to the next is in ``services.referral_states``."""

    SENT = "sent", _("Sent")
    ACCEPTED = "accepted", _("Accepted")
    MORE_INFORMATION_ASKED = "more_information_asked", _("More information asked")
    ANSWERED = "answered", _("Answered")
    CLOSED = "closed", _("Closed")
    DECLINED = "declined", _("Declined")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    EXPIRED = "expired", _("Expired")


#: Work for the service, or for the clinic that was asked something.
OPEN_STATES: Final = (ReferralState.SENT, ReferralState.ACCEPTED, ReferralState.MORE_INFORMATION_ASKED)
#: What a service sees; one that was declined, withdrawn or has expired is no longer its business.
SHOWN_TO_SERVICE: Final = (*OPEN_STATES, ReferralState.ANSWERED, ReferralState.CLOSED)


class DeclineReason(models.TextChoices):
    """Why a service declines."""

    NOT_OURS = "not_ours", _("Not a question for this service")
    POOR_PHOTOGRAPHS = "poor_photographs", _("The photographs cannot be assessed")
    SEE_IN_PERSON = "see_in_person", _("The patient must be seen in person")
    NO_CAPACITY = "no_capacity", _("No capacity")


class ReferralQuerySet(models.QuerySet["Referral"]):
    """Reads of referrals."""

    def for_clinician(self, user: User) -> Self:
        """Those that the user's clinics sent.

        The clinics are asked for first and stand in the query by their ids: only then does PostgreSQL walk the index
        of a clinic's referrals, newest first, instead of sorting all that the clinic ever sent.
        """
        return self.filter(clinic__in=list(organisations_of_clinician(user).values_list("pk", flat=True)))

    def for_dermatologist(self, user: User) -> Self:
        """Those before the user's services, and no longer once consent has ended."""
        services = services_of_dermatologist(user)
        return self.under_consent().filter(service__in=services, state__in=SHOWN_TO_SERVICE)

    def under_consent(self) -> Self:
        """Those whose patients' consent to teledermatology was neither withdrawn nor has come to its end."""
        return self.filter(Q(consent_ends_at__isnull=True) | Q(consent_ends_at__gt=Now()), stopped_at__isnull=True)

    def for_second_reader(self, user: User) -> Self:
        """Those about which the user, or a service of theirs, was asked."""
        asked = SecondOpinion.objects.for_reader(user).values("referral")
        return self.under_consent().filter(pk__in=asked, state__in=SHOWN_TO_SERVICE)

    def for_reader(self, user: User) -> Self:
        """Those that the user may see as a dermatologist, asked first or second."""
        # Conditions on the row itself, not lists of all that somebody may see: one among a million is then looked up
        # by its key.
        return self.for_dermatologist(user) | self.for_second_reader(user)

    def for_user(self, user: User) -> Self:
        """Those that the user may see at all, as clinician or as dermatologist."""
        return self.for_clinician(user) | self.for_reader(user)

    def open(self) -> Self:
        """Those still to be answered."""
        return self.filter(state__in=OPEN_STATES)

    def overdue(self) -> Self:
        """Open, and past the due time."""
        return self.open().filter(due_at__lt=timezone.now())

    def with_everything(self) -> Self:
        """With what a page or an answer shows, in a fixed number of queries."""
        return self.select_related(
            "service", "referred_by", "claimed_by", "case__organisation", "case__patient__data_key_row", "case__lesion"
        )


class Referral(models.Model):
    """A case before a dermatology service. The database keeps its states, its consent and its identity."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    case: "models.ForeignKey[Case, Case]" = models.ForeignKey(
        "diagnosis.Case", on_delete=models.PROTECT, related_name="referrals"
    )
    service = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="referrals_received")
    #: The case's own; written by the database from the case, so that lists need not look there.
    clinic = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+", editable=False)
    anatom_site_general = models.CharField(max_length=20, choices=AnatomicalSite, editable=False)
    referred_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    urgency = models.CharField(max_length=30, choices=Urgency)
    state = models.CharField(max_length=30, choices=ReferralState, default=ReferralState.SENT)
    sent_at = models.DateTimeField()
    due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    #: When it came into its state, and by whom; empty for the platform itself.
    state_since = models.DateTimeField()
    changed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    claimed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    claimed_at = models.DateTimeField(null=True)
    #: When the first answer was signed.
    answered_at = models.DateTimeField(null=True)
    reminded_at = models.DateTimeField(null=True)
    escalated_at = models.DateTimeField(null=True)
    #: When consent ended or the patient was erased: from then on no dermatologist sees anything of it.
    stopped_at = models.DateTimeField(null=True)
    #: Until when the consent that it rests on allows it; for ever, where empty. The database copies it from there, so
    #: that a service sees nothing from that instant on, whether or not the end was noted.
    consent_ends_at = models.DateTimeField(null=True, editable=False)
    decline_reason = models.CharField(max_length=20, choices=DeclineReason, blank=True)
    #: When the histology or the next look that the plan asks for should be there; empty if none is awaited.
    outcome_due_at = models.DateTimeField(null=True)
    outcome_reminded_at = models.DateTimeField(null=True)
    #: Place in the worklist, the smallest first; see ``services.worklist``.
    sort_key = models.BigIntegerField()
    #: Counts every change that somebody who polls should see.
    revision = models.PositiveIntegerField(default=1)
    sealed_question = models.BinaryField(null=True)
    #: Why it was declined or withdrawn, in the person's words.
    sealed_explanation = models.BinaryField(null=True)

    question = SealedText("question")
    explanation = SealedText("explanation")

    objects = ReferralQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-sent_at", "-id"]
        indexes: ClassVar = [
            models.Index(
                fields=["service", "sort_key", "id"],
                condition=Q(state__in=["sent", "accepted", "more_information_asked"]),
                name="referral_worklist",
            ),
            models.Index(
                fields=["service", "claimed_by", "sort_key", "id"],
                condition=Q(state__in=["sent", "accepted", "more_information_asked"]),
                name="referral_worklist_by_claim",
            ),
            models.Index(
                fields=["service", "state", "sort_key", "id"],
                condition=Q(state__in=["sent", "accepted", "more_information_asked"]),
                name="referral_worklist_by_state",
            ),
            models.Index(
                fields=["service", "urgency", "sort_key", "id"],
                condition=Q(state__in=["sent", "accepted", "more_information_asked"]),
                name="referral_worklist_by_urgency",
            ),
            models.Index(
                fields=["service", "anatom_site_general", "sort_key", "id"],
                condition=Q(state__in=["sent", "accepted", "more_information_asked"]),
                name="referral_worklist_by_site",
            ),
            models.Index(
                fields=["service", "clinic", "sort_key", "id"],
                condition=Q(state__in=["sent", "accepted", "more_information_asked"]),
                name="referral_worklist_by_clinic",
            ),
            models.Index(
                fields=["service", "due_at"],
                condition=Q(state__in=["sent", "accepted", "more_information_asked"]),
                name="referral_open_by_due_time",
            ),
            models.Index(fields=["service", "-sent_at", "-id"], name="referral_of_service"),
            models.Index(fields=["clinic", "-sent_at", "-id"], name="referral_of_clinic"),
            models.Index(
                fields=["service", "-answered_at"], condition=Q(answered_at__isnull=False), name="referral_answered"
            ),
            models.Index(fields=["case", "-sent_at"], name="referral_of_case"),
            models.Index(fields=["outcome_due_at"], condition=Q(outcome_due_at__isnull=False), name="referral_outcome"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["case"],
                condition=Q(state__in=["sent", "accepted", "more_information_asked"]),
                name="referral_one_open_for_a_case",
            ),
            models.CheckConstraint(condition=Q(state__in=ReferralState.values), name="referral_state_is_known"),
            models.CheckConstraint(condition=Q(urgency__in=Urgency.values), name="referral_urgency_is_known"),
            models.CheckConstraint(
                condition=~Q(state__in=["accepted", "more_information_asked", "answered"])
                | Q(claimed_by__isnull=False, claimed_at__isnull=False),
                name="referral_accepted_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="sent") | Q(claimed_by__isnull=True, claimed_at__isnull=True),
                name="referral_sent_waits_for_anybody",
            ),
            models.CheckConstraint(
                condition=~Q(state="declined") | Q(decline_reason__in=DeclineReason.values),
                name="referral_declined_for_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"referral {self.pk} ({self.state})"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.case.patient.data_key()

    @property
    def open(self) -> bool:
        """Whether it is still to be answered."""
        return self.state in OPEN_STATES

    @property
    def consent_has_ended(self) -> bool:
        """Whether the consent that it rests on has come to its end by the clock."""
        return self.consent_ends_at is not None and self.consent_ends_at <= timezone.now()


class OpinionKind(models.TextChoices):
    """What a further reader was asked for."""

    SECOND = "second", _("Second opinion")
    THIRD = "third", _("To settle a disagreement")


class OpinionState(models.TextChoices):
    """The life of a request for an opinion."""

    ASKED = "asked", _("Asked")
    GIVEN = "given", _("Given")
    DECLINED = "declined", _("Declined")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class SecondOpinionQuerySet(models.QuerySet["SecondOpinion"]):
    """Reads of requests for an opinion."""

    def for_reader(self, user: User) -> Self:
        """Those put to this user, or to a service of theirs as a whole; to nobody who has left that service."""
        return self.filter(
            Q(reader=user) | Q(reader__isnull=True),
            service__in=services_of_dermatologist(user),
            state__in=[OpinionState.ASKED, OpinionState.GIVEN],
        )


class SecondOpinion(models.Model):
    """A request to a colleague or another service to read a referral, blind to what was read before."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    referral = models.ForeignKey(Referral, on_delete=models.PROTECT, related_name="opinions")
    kind = models.CharField(max_length=10, choices=OpinionKind)
    state = models.CharField(max_length=10, choices=OpinionState, default=OpinionState.ASKED)
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    service = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    #: Who is asked; empty as long as nobody of the service has taken it up.
    reader = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    sealed_question = models.BinaryField(null=True)

    question = SealedText("question")

    objects = SecondOpinionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["asked_at", "id"]
        indexes: ClassVar = [
            models.Index(fields=["service", "state"], name="opinion_of_service"),
            models.Index(fields=["reader", "state"], name="opinion_of_reader"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=OpinionKind.values), name="opinion_kind_is_known"),
            models.CheckConstraint(condition=Q(state__in=OpinionState.values), name="opinion_state_is_known"),
            models.CheckConstraint(
                condition=~Q(state="given") | Q(reader__isnull=False), name="opinion_given_by_somebody"
            ),
            models.UniqueConstraint(
                fields=["referral", "kind"], condition=Q(state="asked"), name="opinion_one_asked_of_a_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} opinion on referral {self.referral_id}: {self.state}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.referral.data_key()
