"""Putting a version into service and taking it out again: gates, two people, one click back."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from diagnosis.classifier.bundle import BundleRefused
from diagnosis.models import ModelVersion, VersionState
from diagnosis.services.bell import ring_for_inference
from diagnosis.services.errors import Conflict
from diagnosis.services.model_versions import ReleaseKeyMissing, open_bundle, sign_release
from skincare.accounts.models import User
from skincare.audit.record import record
from training.models import Dataset, TrainingRun
from training.services.people import require_steward


def why_not_releasable(version: ModelVersion) -> str:
    """Why a challenger may not be proposed or approved now; empty where it may.

    A verdict holds for the champion and the frozen tests that it was made with: when either has changed, be it one
    image, label or split of a dataset, the challenger is judged again first.
    """
    if version.state != VersionState.CHALLENGER:
        return f"{version} is {version.get_state_display().lower()}; only a challenger can be released."
    tests = sorted(Dataset.objects.current().with_frozen_test().values_list("fingerprint", flat=True))
    if not tests:
        return (
            "No frozen test has been imported, so nothing can be said of this version: import one "
            "(manage.py import_ham10000 PATH) and have the version judged."
        )
    run = TrainingRun.objects.filter(model_version=version).first()
    judgement = run.metrics.get("judgement") if run is not None else None
    if run is not None and run.active:
        return "It is being judged; wait for the verdict."
    if not judgement or version.gates_passed is None:
        return "It has not been judged on the frozen tests yet: have it judged."
    champion = ModelVersion.objects.filter(state=VersionState.CHAMPION).first()
    if judgement.get("champion", {}).get("id") != (str(champion.pk) if champion else None):
        return "Another version serves since it was judged: have it judged against that one."
    if judgement.get("tests") != tests:
        return "The frozen tests have changed since it was judged: have it judged on those."
    if not version.gates_passed:
        failed = [gate["title"] for gate in judgement["gates"] if not gate["passed"]]
        return f"It did not pass: {'; '.join(failed)}."
    return ""


def _locked(version_id: UUID) -> ModelVersion:
    """The version, with every other that could change place with it locked as well, in one order."""
    rows = {row.pk: row for row in ModelVersion.objects.select_for_update(of=("self",)).order_by("pk")}
    if version_id not in rows:
        raise ModelVersion.DoesNotExist(f"no version {version_id}")
    return rows[version_id]


@transaction.atomic
def propose_release(*, user: User, version_id: UUID) -> ModelVersion:
    """The first of two people: says that a challenger should serve.

    Raises:
        Conflict: it may not be released now, or is proposed already.
    """
    require_steward(user)
    version = _locked(version_id)
    if reason := why_not_releasable(version):
        raise Conflict("not_releasable", reason)
    if version.proposed_by_id is not None:
        raise Conflict("already_proposed", f"the release of {version} is proposed already; another steward approves it")
    version.proposed_by, version.proposed_at = user, timezone.now()
    version.save(update_fields=["proposed_by", "proposed_at"])
    record("model_version.release_proposed", version, actor=user)
    return version


@transaction.atomic
def withdraw_proposal(*, user: User, version_id: UUID) -> ModelVersion:
    """Take a proposal back, one's own or another's.

    Raises:
        Conflict: there is none.
    """
    require_steward(user)
    version = _locked(version_id)
    if version.proposed_by_id is None or version.state != VersionState.CHALLENGER:
        raise Conflict("not_proposed", f"no release of {version} is proposed")
    version.proposed_by = version.proposed_at = None
    version.save(update_fields=["proposed_by", "proposed_at"])
    record("model_version.proposal_withdrawn", version, actor=user)
    return version


@transaction.atomic
def approve_release(*, user: User, version_id: UUID) -> ModelVersion:
    """The second of two people: puts the challenger into service and retires the champion.

    Raises:
        Conflict: nobody has proposed it, the same person has, it may not be released now, its files are not those
            that were judged, or this process has no key to sign it with.
    """
    require_steward(user)
    version = _locked(version_id)
    if version.state == VersionState.CHALLENGER and version.proposed_by_id is None:
        raise Conflict(
            "not_proposed", f"no release of {version} is proposed; propose it, then another steward approves"
        )
    if version.proposed_by_id == user.pk:
        raise Conflict("same_person", "you proposed this release; another model steward has to approve it")
    if reason := why_not_releasable(version):
        raise Conflict("not_releasable", reason)
    _sign(version)
    version.approved_by = user
    _put_into_service(version)
    record("model_version.released", version, actor=user, details={"proposed_by": str(version.proposed_by_id)})
    return version


@transaction.atomic
def roll_back(*, user: User, version_id: UUID) -> ModelVersion:
    """Put a retired version back into service; the champion retires. One steward may do so: it has been released.

    Raises:
        Conflict: it is not a retired version, or its files are not those that were released.
    """
    require_steward(user)
    version = _locked(version_id)
    if version.state != VersionState.RETIRED:
        raise Conflict(
            "not_retired", f"{version} is {version.get_state_display().lower()}: only a retired one comes back"
        )
    _refuse_damaged(version)
    _put_into_service(version)
    record("model_version.rolled_back_to", version, actor=user)
    return version


def _refuse_damaged(version: ModelVersion) -> None:
    try:
        open_bundle(version)
    except BundleRefused as error:
        raise Conflict("bundle_damaged", f"{version} cannot serve: {error}") from error


def _sign(version: ModelVersion) -> None:
    try:
        sign_release(version)
    except BundleRefused as error:
        raise Conflict("bundle_damaged", f"{version} cannot serve: {error}") from error
    except ReleaseKeyMissing as error:
        raise Conflict("release_key_missing", str(error)) from error


def _put_into_service(version: ModelVersion) -> None:
    now = timezone.now()
    for champion in ModelVersion.objects.filter(state=VersionState.CHAMPION):
        champion.state = VersionState.RETIRED
        champion.save(update_fields=["state"])
        record("model_version.retired", champion, actor=None, details={"for": str(version.pk)})
    version.state = VersionState.CHAMPION
    version.released_at = version.released_at or now
    version.shadow_since = None
    version.save(update_fields=["state", "released_at", "approved_by", "shadow_since"])
    # Workers look at each turn which version serves; the ring makes an idle one look at once.
    transaction.on_commit(ring_for_inference, robust=True)


@transaction.atomic
def set_shadow(*, user: User, version_id: UUID, on: bool) -> ModelVersion:
    """Let a challenger read live cases unseen, or stop it; another that did so stops.

    Raises:
        Conflict: it is no challenger, or its files are not those that were judged.
    """
    require_steward(user)
    version = _locked(version_id)
    if version.state != VersionState.CHALLENGER:
        raise Conflict(
            "no_challenger", f"{version} is {version.get_state_display().lower()}; only a challenger reads in shadow"
        )
    if on == (version.shadow_since is not None):
        return version
    if on:
        _refuse_damaged(version)
        for other in ModelVersion.objects.filter(shadow_since__isnull=False):
            other.shadow_since = None
            other.save(update_fields=["shadow_since"])
            record("model_version.shadow_stopped", other, actor=user)
    version.shadow_since = timezone.now() if on else None
    version.save(update_fields=["shadow_since"])
    record("model_version.shadow_started" if on else "model_version.shadow_stopped", version, actor=user)
    return version
