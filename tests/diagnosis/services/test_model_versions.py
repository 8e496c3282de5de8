"""What serves is either pinned in the source or signed at its release."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, BundleRefused
from diagnosis.classifier.signature import public_key_of
from diagnosis.models import ModelVersion, VersionState
from diagnosis.services import model_versions
from diagnosis.services.model_versions import ReleaseKeyMissing, open_bundle, register_shipped, sign_again, sign_release
from tests import factories

pytestmark = pytest.mark.django_db
NAME = "trained-here"


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> ModelVersion:
    """A challenger with sound files, not released yet."""
    monkeypatch.setattr(model_versions, "BUNDLES", tmp_path)
    settings.BUNDLES_ROOT = tmp_path
    shutil.copytree(BUNDLES / shipped.SHIPPED_BUNDLE, tmp_path / NAME)
    digest = hashlib.sha256((tmp_path / NAME / "bundle.json").read_bytes()).hexdigest()
    return ModelVersion(name=NAME, state=VersionState.CHALLENGER, manifest_sha256=digest, manifest={})


def test_what_ships_is_pinned_in_the_source_and_needs_no_signature() -> None:
    assert open_bundle(register_shipped()).name == shipped.SHIPPED_BUNDLE


def test_a_challenger_opens_to_be_judged_but_serves_only_when_it_was_signed(trained: ModelVersion) -> None:
    open_bundle(trained)
    trained.state = VersionState.CHAMPION
    with pytest.raises(BundleRefused, match="not signed"):
        open_bundle(trained)
    trained.state = VersionState.CHALLENGER
    sign_release(trained)
    trained.state = VersionState.CHAMPION
    open_bundle(trained)
    trained.state = VersionState.RETIRED
    open_bundle(trained)


def test_a_row_that_names_another_manifest_does_not_pass_for_what_ships(trained: ModelVersion) -> None:
    (model_versions.BUNDLES / NAME).rename(model_versions.BUNDLES / shipped.SHIPPED_BUNDLE)
    trained.name = shipped.SHIPPED_BUNDLE
    manifest = model_versions.BUNDLES / trained.name / "bundle.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    trained.manifest_sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest()
    trained.state = VersionState.CHAMPION
    with pytest.raises(BundleRefused, match="not signed"):
        open_bundle(trained)


def test_another_platforms_release_is_foreign_here(trained: ModelVersion, settings: Any) -> None:
    sign_release(trained)
    trained.state = VersionState.CHAMPION
    settings.SKINCARE_RELEASE_PUBLIC_KEYS = [public_key_of(bytes(32))]
    with pytest.raises(BundleRefused, match="not made for this manifest"):
        open_bundle(trained)


def test_without_a_key_nothing_is_released_and_the_way_out_is_named(trained: ModelVersion, settings: Any) -> None:
    settings.SKINCARE_RELEASE_KEY = None
    with pytest.raises(ReleaseKeyMissing, match="SKINCARE_RELEASE_KEY"):
        sign_release(trained)


def test_after_a_change_of_keys_what_was_released_is_signed_again_and_nothing_else(
    trained: ModelVersion, settings: Any
) -> None:
    old = settings.SKINCARE_RELEASE_KEY
    sign_release(trained)
    trained.state = VersionState.RETIRED
    trained.proposed_by, trained.approved_by = (factories.user(is_model_steward=True) for _ in range(2))
    trained.gates_passed, trained.proposed_at = True, timezone.now()
    trained.released_at = trained.proposed_at
    trained.save()
    new = bytes(range(32))
    settings.SKINCARE_RELEASE_KEY = new
    settings.SKINCARE_RELEASE_PUBLIC_KEYS = [public_key_of(new), public_key_of(old)]
    assert sign_again() == [NAME]
    settings.SKINCARE_RELEASE_PUBLIC_KEYS = [public_key_of(new)]
    open_bundle(trained)
    assert sign_again() == [NAME]

    settings.SKINCARE_RELEASE_PUBLIC_KEYS = [public_key_of(old)]
    with pytest.raises(BundleRefused, match="not made for this manifest"):
        sign_again()
