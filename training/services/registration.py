"""Datasets as rows, so that a run can be started from them; one of each source is current."""

from pathlib import Path

from django.conf import settings
from django.db import transaction

from skincare.accounts.models import User
from skincare.audit.record import record
from training.datasets.manifest import Manifest
from training.models import Dataset, DatasetKind


@transaction.atomic
def register_imported(*, folder: Path) -> Dataset:
    """Register the dataset that was imported into `folder`, below ``settings.DATASETS_ROOT``; once.

    It takes the place of the current one of its name, also where it had been replaced itself. Raises
    `ManifestUnusable`.
    """
    manifest = Manifest.load(folder)
    known = Dataset.objects.filter(fingerprint=manifest.identity).first()
    if known is not None:
        return_to(known, user=None)
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
    replace_others(dataset)
    record("dataset.imported", dataset, actor=None, details={"fingerprint": dataset.fingerprint})
    return dataset


def replace_others(dataset: Dataset) -> None:
    """Let the dataset take the place of the current one of its source: of the same kind and name."""
    same = Dataset.objects.current().filter(kind=dataset.kind, name=dataset.name)
    same.exclude(pk=dataset.pk).update(replaced_by=dataset)


def return_to(dataset: Dataset, *, user: User | None) -> bool:
    """Let a dataset whose very content was made again be the current one again.

    Returns whether it had been replaced; otherwise nothing changes. Belongs into the caller's transaction.
    """
    if dataset.replaced_by_id is None:
        return False
    dataset.replaced_by = None
    dataset.save(update_fields=["replaced_by"])
    replace_others(dataset)
    record("dataset.returned", dataset, actor=user, details={"fingerprint": dataset.fingerprint})
    return True
