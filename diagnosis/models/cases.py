"""Cases: a lesion seen on a day, with its photographs, and the state that follows from its analysis."""

from typing import TYPE_CHECKING, ClassVar, Self
from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models.diagnosis_names import CLASS_NAMES
from diagnosis.models.patients import (
    AnatomicalSite,
    FitzpatrickSkinType,
    Lesion,
    Patient,
    Sex,
    organisations_of_clinician,
)
from diagnosis.models.referrals import Referral
from diagnosis.models.sealed import SealedText
from skincare.accounts.models import Organisation, User

if TYPE_CHECKING:
    from diagnosis.models.analyses import Analysis


class CaseState(models.TextChoices):
    """Where a case stands, derived from its analysis (see ``STATE_OF_ANALYSIS``)."""

    STORED = "stored", "Stored, not to be read by the network"
    WAITING = "waiting", "Waiting for the network"
    ANSWERED = "answered", "Answered by the network"
    HUMAN_REVIEW = "human_review", "No AI result: human review"
    FAILED = "failed", "Could not be read: human review"


#: The one place where a case's state is derived.
STATE_OF_ANALYSIS: dict[str, CaseState] = {
    "not_requested": CaseState.STORED,
    "waiting": CaseState.WAITING,
    "running": CaseState.WAITING,
    "answered": CaseState.ANSWERED,
    "abstained": CaseState.HUMAN_REVIEW,
    "failed": CaseState.FAILED,
}


class Suspicion(models.TextChoices):
    """What the clinician thinks before seeing the network's answer."""

    MALIGNANT = "malignant", _("Probably malignant")
    UNSURE = "unsure", _("Not sure")
    BENIGN = "benign", _("Probably benign")


class CaseQuerySet(models.QuerySet["Case"]):
    """Reads of cases."""

    def for_user(self, user: User) -> Self:
        """Those of the organisations where this user is a clinician. Lists and details both start here."""
        return self.filter(organisation__in=organisations_of_clinician(user))

    def referred_to(self, user: User) -> Self:
        """Those before this user as a dermatologist: referred, and all others of the same lesion beside them.

        Whether the network's answers to them may be shown is another question: see ``services.first_reads``.
        """
        # Asked of each case, not as a list of lesions: that would be of all referrals of a service.
        return self.filter(Exists(Referral.objects.for_reader(user).filter(case__lesion=OuterRef("lesion"))))

    def in_state(self, state: CaseState) -> Self:
        """Those whose analysis puts them into ``state``."""
        return self.filter(
            analysis__state__in=[analysis for analysis, case in STATE_OF_ANALYSIS.items() if case == state]
        )

    def with_everything(self) -> Self:
        """With all that a page or an answer shows of a case, in a fixed number of queries."""
        return self.select_related(
            "organisation", "patient__data_key_row", "lesion", "submitted_by", "analysis__model_version"
        ).prefetch_related("images")


#: Weighted 7-point checklist, field and points (NICE guideline NG12: 3 points or more is a suspected cancer referral).
CHECKLIST_POINTS: dict[str, int] = {
    "change_in_size": 2,
    "irregular_shape": 2,
    "irregular_colour": 2,
    "diameter_7_mm_or_more": 1,
    "inflammation": 1,
    "oozing": 1,
    "change_in_sensation": 1,
}


def _seven_point_item(name: str, text: str) -> "models.BooleanField[bool, bool]":
    points = CHECKLIST_POINTS[name]
    return models.BooleanField(default=False, help_text=f"{text} ({points} point{'s' if points > 1 else ''})")


class Case(models.Model):
    """A lesion seen on a day, as one clinician submitted it. Its id is the submission's idempotency key."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="cases")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="cases")
    lesion = models.ForeignKey(Lesion, on_delete=models.PROTECT, related_name="cases")
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(auto_now_add=True)
    #: When the patient was seen; earlier than ``submitted_at`` for what was made offline.
    seen_at = models.DateTimeField()
    #: SHA-256 over the submission's sorted fields and the files' digests: tells a repeated request from another one.
    submission_digest = models.BinaryField(max_length=32)

    # A plain snapshot for statistics, which survives the patient's erasure.
    #: Lower end of a five-year band, at most 85 (which stands for 85 and older), as HAM10000 gives ages.
    age_approx = models.PositiveSmallIntegerField(null=True, validators=[MaxValueValidator(85)])
    sex = models.CharField(max_length=10, choices=Sex, blank=True)
    anatom_site_general = models.CharField(max_length=20, choices=AnatomicalSite)
    fitzpatrick_skin_type = models.CharField(max_length=3, choices=FitzpatrickSkinType, blank=True)

    change_in_size = _seven_point_item("change_in_size", "Change in size")
    irregular_shape = _seven_point_item("irregular_shape", "Irregular shape")
    irregular_colour = _seven_point_item("irregular_colour", "Irregular colour")
    diameter_7_mm_or_more = _seven_point_item("diameter_7_mm_or_more", "Largest diameter 7 mm or more")
    inflammation = _seven_point_item("inflammation", "Inflammation")
    oozing = _seven_point_item("oozing", "Oozing")
    change_in_sensation = _seven_point_item("change_in_sensation", "Change in sensation")

    bleeding = models.BooleanField(default=False)
    growth = models.BooleanField(default=False)
    personal_hx_mm = models.BooleanField("previous melanoma", null=True)
    family_hx_mm = models.BooleanField("melanoma in the family", null=True)
    personal_hx_skin_cancer = models.BooleanField("previous skin cancer other than melanoma", null=True)
    sun_damage = models.BooleanField("sunburns, outdoor work or sunbeds", null=True)
    immunosuppression = models.BooleanField(null=True)

    suspicion = models.CharField(max_length=10, choices=Suspicion)
    impression = models.CharField(
        max_length=5, choices=list(CLASS_NAMES.items()), blank=True, help_text="Empty: no opinion."
    )
    sealed_note = models.BinaryField(null=True)

    note = SealedText("note")

    objects = CaseQuerySet.as_manager()

    if TYPE_CHECKING:
        analysis: Analysis

    class Meta:
        ordering: ClassVar = ["-submitted_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "-submitted_at", "-id"], name="case_newest_first"),
            models.Index(fields=["patient", "-submitted_at", "-id"], name="case_of_patient_newest_first"),
            models.Index(
                fields=["organisation", "anatom_site_general", "-submitted_at", "-id"], name="case_of_site_newest_first"
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(suspicion__in=Suspicion.values), name="case_suspicion_is_known"),
            models.CheckConstraint(condition=Q(impression__in=["", *CLASSES]), name="case_impression_is_known"),
            models.CheckConstraint(
                condition=Q(anatom_site_general__in=AnatomicalSite.values), name="case_site_is_known"
            ),
            models.CheckConstraint(
                condition=Q(age_approx__isnull=True) | Q(age_approx__in=range(0, 90, 5)), name="case_age_is_a_band"
            ),
        ]

    def __str__(self) -> str:
        return f"case {self.pk}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.patient.data_key()

    @property
    def state(self) -> CaseState:
        """Where the case stands."""
        return STATE_OF_ANALYSIS[self.analysis.state]

    @property
    def checklist_score(self) -> int:
        """Points of the weighted 7-point checklist, 0 to 10."""
        return sum(points for item, points in CHECKLIST_POINTS.items() if getattr(self, item))


class ImageKind(models.TextChoices):
    """How a photograph was taken."""

    OVERVIEW = "overview", _("Overview, with a landmark")
    CLOSE_UP = "close_up", _("Close-up, plain")
    DERMOSCOPIC = "dermoscopic", _("Dermoscopic")


class CaseImage(models.Model):
    """One photograph of a case, encrypted in the store, with the network's view of it beside it."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="images")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=12, choices=ImageKind)
    #: Of the stored photograph before encryption.
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    received_format = models.CharField(max_length=4)
    quality = models.JSONField()
    quality_problems = ArrayField(models.CharField(max_length=40), default=list)
    #: Names in the store of the encrypted photograph and of the encrypted 224x224 view.
    photograph_file = models.CharField(max_length=200)
    view_file = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["case", "position"], name="image_position_once"),
            models.CheckConstraint(condition=Q(position__range=(1, 10)), name="image_one_to_ten"),
            models.CheckConstraint(condition=Q(kind__in=ImageKind.values), name="image_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"photograph {self.position} of case {self.case_id}"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.case.patient.data_key()
