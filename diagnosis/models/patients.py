"""Patients, the keys that protect them, and their lesions."""

from collections.abc import Iterable
from datetime import date
from functools import cached_property
from typing import ClassVar, Self
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.models.sealed import PatientErased, SealedText
from skincare.accounts.models import Organisation, Role, User
from skincare.encryption import (
    WrappedKey,
    index_key_id,
    key_ring,
    name_indexes,
    new_data_key,
    record_number_indexes,
)


class DataKey(models.Model):
    """A patient's data key, wrapped by a master key. Deleting the row makes the patient unreadable.

    A table of its own, so that it can be backed up apart and kept shortly.
    """

    #: The patient's id. Not a foreign key: the key is made before the patient and dies before it.
    id = models.UUIDField(primary_key=True)
    master_key_id = models.CharField(max_length=60)
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"data key of patient {self.id}"

    @classmethod
    def generate(cls, patient_id: UUID) -> "DataKey":
        """A new key for a patient, not yet saved."""
        wrapped = key_ring().wrap(new_data_key(), owner=patient_id)
        return cls(id=patient_id, master_key_id=wrapped.master_key_id, wrapped=wrapped.sealed)

    @cached_property
    def plain(self) -> bytes:
        """The key itself, 32 bytes."""
        return key_ring().unwrap(WrappedKey(self.master_key_id, bytes(self.wrapped)), owner=self.id)


class Sex(models.TextChoices):
    """As in the ISIC dictionary, which knows these two and an empty value."""

    FEMALE = "female", _("Female")
    MALE = "male", _("Male")


class FitzpatrickSkinType(models.TextChoices):
    """How skin answers to sun, from I (always burns) to VI (never burns), as the ISIC dictionary writes it."""

    I = "I", "I"  # noqa: E741 (a Roman numeral)
    II = "II", "II"
    III = "III", "III"
    IV = "IV", "IV"
    V = "V", "V"
    VI = "VI", "VI"


def organisations_of_clinician(user: User) -> models.QuerySet[Organisation]:
    """Where the user works as a clinician: whose patients they may see and treat."""
    return Organisation.objects.filter(memberships__user=user, memberships__role=Role.CLINICIAN)


def organisations_of_administrator(user: User) -> models.QuerySet[Organisation]:
    """Which the user administers."""
    return Organisation.objects.filter(memberships__user=user, memberships__role=Role.ADMINISTRATOR)


class PatientQuerySet(models.QuerySet["Patient"]):
    """Reads of patients."""

    def for_user(self, user: User) -> Self:
        """Those whom this user may see: of the organisations where the user is a clinician."""
        return self.filter(organisation__in=organisations_of_clinician(user))

    def for_administrator(self, user: User) -> Self:
        """Those whose rights this user answers for: of the organisations that the user administers."""
        return self.filter(organisation__in=organisations_of_administrator(user))

    def with_record_number(self, record_number: str, organisations: Iterable[Organisation]) -> Self:
        """Those with this record number, compared through the keyed index, under whichever index key they stand."""
        digests = [
            digest
            for organisation in organisations
            for digest in record_number_indexes(record_number, salt=organisation.pk)
        ]
        return self.filter(record_number_index__in=digests)

    def with_name(self, name: str, birth_date: date, organisations: Iterable[Organisation]) -> Self:
        """Those of this name, as ``encryption.folded_name`` compares names, born on this day."""
        digests = [
            digest
            for organisation in organisations
            for digest in name_indexes(name, birth_date.isoformat(), salt=organisation.pk)
        ]
        return self.filter(name_index__in=digests)


class Patient(models.Model):
    """A person whose lesions are looked after by one organisation."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="patients")
    data_key_row = models.OneToOneField(
        DataKey, null=True, on_delete=models.SET_NULL, related_name="patient", db_column="data_key_id"
    )
    record_number_index = models.BinaryField(max_length=32, null=True)
    #: Of name and birth date together; empty where either is missing, see ``encryption.name_indexes``.
    name_index = models.BinaryField(max_length=32, null=True)
    #: Under which index key the two were made; empty where that was not noted yet.
    index_key_id = models.CharField(max_length=16, blank=True)
    sealed_record_number = models.BinaryField(null=True)
    sealed_name = models.BinaryField(null=True)
    sealed_birth_date = models.BinaryField(null=True)
    sex = models.CharField(max_length=10, choices=Sex, blank=True)
    fitzpatrick_skin_type = models.CharField(max_length=3, choices=FitzpatrickSkinType, blank=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    record_number = SealedText("record_number")
    name = SealedText("name")
    #: ISO 8601, ``YYYY-MM-DD``.
    birth_date = SealedText("birth_date")

    objects = PatientQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "id"]
        indexes: ClassVar = [
            models.Index(fields=["organisation", "-created_at", "id"], name="patient_newest_first"),
            models.Index(fields=["name_index"], name="patient_by_name", condition=Q(name_index__isnull=False)),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organisation", "record_number_index"], name="patient_record_number_once"),
            models.UniqueConstraint(fields=["id", "organisation"], name="patient_and_organisation"),
            models.CheckConstraint(condition=Q(sex__in=["", *Sex.values]), name="patient_sex_is_known"),
            models.CheckConstraint(
                condition=Q(fitzpatrick_skin_type__in=["", *FitzpatrickSkinType.values]),
                name="patient_skin_type_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"patient {self.pk}"

    def index(self) -> None:
        """Make the patient findable, under the current index key, by record number, name and birth date as they are
        now; call it whenever one of them has changed.
        """
        self.record_number_index = record_number_indexes(self.record_number, salt=self.organisation_id)[0]
        names = name_indexes(self.name, self.birth_date, salt=self.organisation_id)
        self.name_index = names[0] if names else None
        self.index_key_id = index_key_id()

    def data_key(self) -> bytes:
        """The key that opens what is sealed for this patient, 32 bytes.

        Raises:
            PatientErased: the key was destroyed.
        """
        if self.data_key_row is None:
            raise PatientErased(f"patient {self.pk} was erased")
        return self.data_key_row.plain

    @property
    def erased(self) -> bool:
        """Whether the patient's data key was destroyed."""
        return self.data_key_row_id is None


class AnatomicalSite(models.TextChoices):
    """General anatomical site, with the values of the ISIC dictionary's ``anatom_site_general``."""

    ANTERIOR_TORSO = "anterior torso", _("Anterior torso (chest, abdomen)")
    POSTERIOR_TORSO = "posterior torso", _("Posterior torso (back)")
    LATERAL_TORSO = "lateral torso", _("Lateral torso (flank)")
    HEAD_NECK = "head/neck", _("Head or neck")
    UPPER_EXTREMITY = "upper extremity", _("Upper extremity")
    LOWER_EXTREMITY = "lower extremity", _("Lower extremity")
    PALMS_SOLES = "palms/soles", _("Palms or soles")
    ORAL_GENITAL = "oral/genital", _("Oral or genital (mucosa)")


class LesionQuerySet(models.QuerySet["Lesion"]):
    """Reads of lesions."""

    def for_user(self, user: User) -> Self:
        """Those of the patients whom this user may see."""
        return self.filter(patient__in=Patient.objects.for_user(user))


class Lesion(models.Model):
    """One spot on one patient's skin, followed over time."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="lesions")
    anatom_site_general = models.CharField(max_length=20, choices=AnatomicalSite)
    #: Where on the body map, as fractions of the figure's width and height.
    body_map_side = models.CharField(max_length=5, choices=[("front", "Front"), ("back", "Back")], blank=True)
    body_map_x = models.FloatField(null=True, blank=True)
    body_map_y = models.FloatField(null=True, blank=True)
    sealed_description = models.BinaryField(null=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    description = SealedText("description")

    objects = LesionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "id"]
        indexes: ClassVar = [models.Index(fields=["patient", "-created_at", "id"], name="lesion_newest_first")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["id", "patient"], name="lesion_and_patient"),
            models.CheckConstraint(
                condition=Q(anatom_site_general__in=AnatomicalSite.values), name="lesion_site_is_known"
            ),
            models.CheckConstraint(
                condition=Q(body_map_side="", body_map_x__isnull=True, body_map_y__isnull=True)
                | Q(body_map_side__in=["front", "back"], body_map_x__range=(0, 1), body_map_y__range=(0, 1)),
                name="lesion_point_is_whole_and_on_the_map",
            ),
        ]

    def __str__(self) -> str:
        return f"lesion {self.pk} ({self.anatom_site_general})"

    def data_key(self) -> bytes:
        """The patient's data key; see ``Patient.data_key``."""
        return self.patient.data_key()
