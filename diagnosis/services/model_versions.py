"""Which version of the network serves, and how a version comes into the register."""

from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, Bundle
from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from skincare.audit.record import record


class NoVersionServes(LookupError):
    """No version of the network has been released."""


def champion() -> ModelVersion:
    """The version in service.

    Raises:
        NoVersionServes: none was released; ``manage.py register_shipped_model`` registers the one that ships.
    """
    version = ModelVersion.objects.filter(state=VersionState.CHAMPION).first()
    if version is None:
        raise NoVersionServes("no version of the network is in service; run: python manage.py register_shipped_model")
    return version


def folder_of(version: ModelVersion) -> Path:
    """Where a version's files lie: in the source for one that ships, below ``BUNDLES_ROOT`` for one trained here."""
    root = BUNDLES if version.origin == VersionOrigin.SHIPPED else Path(settings.BUNDLES_ROOT)
    return root / version.name


def open_bundle(version: ModelVersion) -> Bundle:
    """The files of a version, after their digests were checked.

    Raises:
        BundleRefused: a file is missing or differs from what was pinned when the version was registered.
    """
    return Bundle.open(folder_of(version), version.manifest_sha256)


@transaction.atomic
def register_shipped() -> ModelVersion:
    """Put the bundle that ships with the project into the register, and into service where nothing else serves.

    Its manifest's digest is pinned in the source, which stands for the two people's release (DESIGN: invariant 8).
    """
    known = ModelVersion.objects.select_for_update().filter(name=shipped.SHIPPED_BUNDLE).first()
    bundle = Bundle.open(BUNDLES / shipped.SHIPPED_BUNDLE, shipped.SHIPPED_MANIFEST_SHA256)
    if known is not None:
        if known.manifest_sha256 != shipped.SHIPPED_MANIFEST_SHA256:
            raise ValueError(
                f"version {known.name} is registered with another manifest than the one shipped; "
                "a changed bundle needs a new name"
            )
        return known
    serving = ModelVersion.objects.filter(state=VersionState.CHAMPION).exists()
    version = ModelVersion.objects.create(
        name=bundle.name,
        origin=VersionOrigin.SHIPPED,
        state=VersionState.CHALLENGER if serving else VersionState.CHAMPION,
        manifest_sha256=shipped.SHIPPED_MANIFEST_SHA256,
        manifest=bundle.manifest,
        released_at=None if serving else timezone.now(),
    )
    record("model_version.registered", version, actor=None, details={"state": str(version.state)})
    return version
