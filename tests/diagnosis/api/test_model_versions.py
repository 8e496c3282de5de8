"""What is known of the networks that answer is shown to whoever signed in; challengers to stewards only."""

import pytest
from django.utils import timezone

from diagnosis.models import ModelVersion, VersionOrigin, VersionState
from diagnosis.services.model_versions import register_shipped
from tests import factories
from tests.diagnosis.api.requests import ApiClient, token_for

VERSIONS = "/api/v1/model-versions/"


def test_the_version_in_service_shows_how_good_it_is_on_which_data(api: ApiClient) -> None:
    shipped = register_shipped()

    shown = api.get(f"{VERSIONS}{shipped.pk}/").json()

    assert (shown["name"], shown["state"], shown["manifest_sha256"]) == (
        shipped.name,
        "champion",
        shipped.manifest_sha256,
    )
    for name in ("metrics", "thresholds", "dataset", "class_priors", "preprocessing", "decision_rule"):
        assert shown[name] == shipped.manifest[name]
    assert "CC BY-NC 4.0" in shown["dataset"]["licence"]
    assert "files" not in shown
    assert [version["id"] for version in api.get(VERSIONS).json()["results"]] == [str(shipped.pk)]


@pytest.mark.parametrize(("is_steward", "seen"), [(False, {"old", "serving"}), (True, {"old", "serving", "new"})])
def test_a_challenger_is_the_stewards_business(db: None, is_steward: bool, seen: set[str]) -> None:
    for name, state in (("old", VersionState.RETIRED), ("serving", VersionState.CHAMPION), ("new", "challenger")):
        ModelVersion.objects.create(
            name=name,
            origin=VersionOrigin.SHIPPED,
            state=state,
            manifest_sha256="0" * 64,
            manifest={},
            released_at=timezone.now(),
        )
    client = ApiClient(token_for(factories.user(is_model_steward=is_steward)))

    listed = client.get(VERSIONS).json()["results"]

    assert {version["name"] for version in listed} == seen
    new = ModelVersion.objects.get(name="new")
    assert client.get(f"{VERSIONS}{new.pk}/").status_code == (200 if is_steward else 404)
