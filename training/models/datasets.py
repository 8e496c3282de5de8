"""Datasets: which labelled images there are, where they come from, and how they are split for good."""

from typing import ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import Q

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models import CaseImage


class DatasetKind(models.TextChoices):
    """Where a dataset's images come from."""

    IMPORTED = "imported", "Imported: a published collection or a folder"
    CONFIRMED_CASES = "confirmed_cases", "Confirmed cases of this platform"


class DatasetQuerySet(models.QuerySet["Dataset"]):
    """Reads of datasets."""

    def with_frozen_test(self) -> Self:
        """Those that hold a frozen test, which releases are judged on."""
        return self.filter(frozen_test=True)

    def current(self) -> Self:
        """Those that a new run may learn from."""
        return self.filter(replaced_by__isnull=True)


class Dataset(models.Model):
    """A fixed set of labelled images: changing one image, label or split makes another dataset.

    The manifest itself (image, group, label, split and provenance of each image) is ``manifest.json`` in ``folder``;
    its SHA-256 is ``fingerprint``. For confirmed cases the rows of ``DatasetImage`` name the photographs as well.
    """

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=DatasetKind)
    #: Of the manifest: names exactly this set of images, labels and splits.
    fingerprint = models.CharField(max_length=64, unique=True)
    #: Below ``settings.DATASETS_ROOT``, on the machine of the training worker.
    folder = models.CharField(max_length=200)
    images = models.PositiveIntegerField()
    lesions = models.PositiveIntegerField()
    #: ``{"training": {"mel": 12, …}, "validation": {…}, "test": {…}}``: images by split and class.
    counts = models.JSONField(default=dict)
    licence = models.CharField(max_length=100)
    attribution = models.TextField(blank=True)
    #: Whether the split ``test`` is a frozen, lesion-disjoint test that releases may be judged on.
    frozen_test = models.BooleanField(default=False)
    #: SHA-256 over which image belongs to which split.
    split_fingerprint = models.CharField(max_length=64, blank=True)
    #: What the import found and left out: ``{"duplicates": …, "artefacts": …, …}``.
    findings = models.JSONField(default=dict)
    #: The manifest of the same source that took its place, without what was withdrawn since.
    replaced_by = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="replaces")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=DatasetKind.values), name="dataset_kind_is_known"),
            models.CheckConstraint(condition=Q(images__gt=0), name="dataset_holds_images"),
            models.CheckConstraint(
                condition=Q(fingerprint__regex=r"^[0-9a-f]{64}$"), name="dataset_fingerprint_is_sha256"
            ),
            models.CheckConstraint(
                condition=Q(frozen_test=False) | ~Q(split_fingerprint=""), name="dataset_frozen_test_has_a_fingerprint"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.images} images, {self.fingerprint[:8]})"


class DatasetImage(models.Model):
    """One photograph of this platform in one dataset, so that it can be told which versions have seen it.

    Kept when the patient is erased or consent is withdrawn: it holds no more than ids.
    """

    id = models.BigAutoField(primary_key=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="platform_images")
    image = models.ForeignKey(CaseImage, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=5, choices=[(code, code) for code in CLASSES])

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["dataset", "image"], name="dataset_holds_an_image_once"),
            models.CheckConstraint(condition=Q(label__in=CLASSES), name="dataset_label_is_known"),
        ]

    def __str__(self) -> str:
        return f"photograph {self.image_id} in dataset {self.dataset_id}"
