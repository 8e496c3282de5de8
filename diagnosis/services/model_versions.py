"""Which version of the network serves, and how a version comes into the register."""

from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, MANIFEST, Bundle
from diagnosis.classifier.signature import sign
from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from skincare.audit.record import record


class ReleaseKeyMissing(LookupError):
    """This process cannot sign what is to be released."""


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

    What ships with the project is vouched for by the digest in the source. Whatever else serves or has served must be
    signed with this platform's release key, which is not in the database. A challenger has not been released yet.

    Raises:
        BundleRefused: a file is missing or differs from what was pinned, or what was released is not signed.
    """
    released = version.state != VersionState.CHALLENGER
    return Bundle.open(
        folder_of(version),
        version.manifest_sha256,
        signed_by=settings.SKINCARE_RELEASE_PUBLIC_KEYS if released and not vouched_for(version) else None,
    )


def vouched_for(version: ModelVersion) -> bool:
    """Whether the source itself names the version's manifest, so that it needs no signature."""
    pinned = {**shipped.EARLIER, shipped.SHIPPED_BUNDLE: shipped.SHIPPED_MANIFEST_SHA256}
    return pinned.get(version.name) == version.manifest_sha256


def sign_release(version: ModelVersion) -> None:
    """Sign the bundle of a version that is about to be released; part of what two people's approval does.

    What ships with the project is only checked: the source vouches for it.

    Raises:
        ReleaseKeyMissing: this process has no release key.
        BundleRefused: the files are not those that were judged.
    """
    bundle = open_bundle(version)
    if vouched_for(version):
        return
    if settings.SKINCARE_RELEASE_KEY is None:
        raise ReleaseKeyMissing(
            "no version can be released here: set SKINCARE_RELEASE_KEY to 32 random bytes in base64, see "
            "docs/operations.md"
        )
    sign(bundle.folder, (bundle.folder / MANIFEST).read_bytes(), settings.SKINCARE_RELEASE_KEY)


@transaction.atomic
def sign_again() -> list[str]:
    """Sign what was released here with the present release key, as when that was changed; done again, it does no harm.

    Only what carries a sound signature by a key that is still trusted is signed: this vouches for nothing new.

    Returns:
        Names of the versions that were signed.

    Raises:
        ReleaseKeyMissing: this process has no release key.
        BundleRefused: one of them is damaged or signed by nobody who is trusted; none was signed then.
    """
    released = ModelVersion.objects.filter(state__in=[VersionState.CHAMPION, VersionState.RETIRED])
    ours = [version for version in released.select_for_update().order_by("name") if not vouched_for(version)]
    for version in ours:
        open_bundle(version)
    for version in ours:
        sign_release(version)
        record("model_version.signed_again", version, actor=None)
    return [version.name for version in ours]


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
