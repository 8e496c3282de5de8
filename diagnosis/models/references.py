"""Public reference sets: photographs with confirmed diagnoses that came with a licence, and no patient of ours."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.models.diagnosis_names import CLASS_NAMES
from diagnosis.models.versions import ModelVersion


class Confirmation(models.TextChoices):
    """How a diagnosis is known, with the values of HAM10000's ``dx_type``."""

    HISTOLOGY = "histo", "Histology"
    FOLLOW_UP = "follow_up", "Follow-up"
    CONSENSUS = "consensus", "Consensus of experts"
    CONFOCAL = "confocal", "Confocal microscopy"


class ReferenceSet(models.Model):
    """A collection as it was imported, with whom to thank and what may be done with it."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=80, unique=True)
    licence = models.CharField(max_length=80)
    licence_address = models.URLField(max_length=200)
    attribution = models.TextField(max_length=1000)
    imported_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class ReferenceImage(models.Model):
    """One photograph of a set. It is public and lies in the store as it is."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    set = models.ForeignKey(ReferenceSet, on_delete=models.CASCADE, related_name="images")
    #: As the collection names it.
    name = models.CharField(max_length=80)
    network_class = models.CharField(max_length=5, choices=list(CLASS_NAMES.items()))
    confirmed_by = models.CharField(max_length=10, choices=Confirmation)
    photograph_file = models.CharField(max_length=200)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["set", "name"], name="reference_image_once"),
            models.CheckConstraint(condition=Q(network_class__in=CLASSES), name="reference_class_is_known"),
            models.CheckConstraint(condition=Q(confirmed_by__in=Confirmation.values), name="reference_is_confirmed"),
        ]

    def __str__(self) -> str:
        return self.name


class ReferenceEmbeddings(models.Model):
    """What one version of the network sees in a set: embeddings of two versions cannot be compared."""

    id = models.BigAutoField(primary_key=True)
    set = models.ForeignKey(ReferenceSet, on_delete=models.CASCADE, related_name="embeddings")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="+")
    #: float16 [images, 1280], each of length 1, in the order of the images' names; of as many as were seen yet.
    matrix = models.BinaryField()
    seen = models.PositiveIntegerField()
    #: Cosine distances below which lie one, five and twenty-five in a hundred of the pairs of the set; empty until all
    #: of it was seen.
    near = models.FloatField(null=True)
    close = models.FloatField(null=True)
    alike = models.FloatField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["set", "model_version"], name="reference_embeddings_once_a_version")
        ]

    def __str__(self) -> str:
        return f"{self.set} as seen by {self.model_version}"
