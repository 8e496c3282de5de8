"""Imported datasets as rows, so that a run can be started from them."""

from pathlib import Path

from django.conf import settings
from django.db import transaction

from skincare.audit.record import record
from training.datasets.manifest import Manifest
from training.models import Dataset, DatasetKind


@transaction.atomic
def register_imported(*, folder: Path) -> Dataset:
    """Register the dataset that was imported into `folder`, below ``settings.DATASETS_ROOT``; once.

    It takes the place of the current one of its name. Raises `ManifestUnusable`.
    """
    manifest = Manifest.load(folder)
    known = Dataset.objects.filter(fingerprint=manifest.identity).first()
    if known is not None:
        return known
    counts = manifest.counts()
    dataset = Dataset(
        name=manifest.name,
        kind=DatasetKind.IMPORTED,
        fingerprint=manifest.identity,
        folder=str(folder.resolve().relative_to(Path(settings.DATASETS_ROOT).resolve())),
        images=len(manifest.entries),
        lesions=manifest.lesions,
        counts=counts,
        licence=manifest.licence,
        attribution=manifest.attribution,
        frozen_test=any(counts["test"].values()),
        split_fingerprint=manifest.split_fingerprint("lesion"),
        findings={
            "identical": len(manifest.findings.identical),
            "near_duplicates": len(manifest.findings.near_duplicates),
            "left_out": len(manifest.findings.left_out),
            "notes": list(manifest.findings.notes),
        },
    )
    dataset.full_clean(exclude=["replaced_by"])
    dataset.save(force_insert=True)
    earlier = Dataset.objects.current().filter(name=manifest.name, kind=DatasetKind.IMPORTED).exclude(pk=dataset.pk)
    earlier.update(replaced_by=dataset)
    record("dataset.imported", dataset, actor=None, details={"fingerprint": dataset.fingerprint})
    return dataset
