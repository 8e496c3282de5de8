"""What is written down must be what the code does: migrations, the API's description, the content policy."""

from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client


@pytest.mark.django_db
def test_every_change_of_a_model_has_its_migration() -> None:
    said = StringIO()

    try:
        call_command("makemigrations", check=True, dry_run=True, stdout=said)
    except SystemExit:
        pytest.fail(f"run `manage.py makemigrations`:\n{said.getvalue()}")


def test_the_committed_description_of_the_api_is_the_one_that_the_code_gives(tmp_path: Path) -> None:
    fresh = tmp_path / "openapi.yaml"

    call_command("spectacular", file=str(fresh), validate=True, fail_on_warn=True)

    committed = settings.BASE_DIR / "docs" / "openapi.yaml"
    assert fresh.read_text() == committed.read_text(), "run `manage.py spectacular --file docs/openapi.yaml`"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/api/docs/", "/admin/login/", "/nowhere"])
def test_no_page_lets_a_browser_run_what_the_server_did_not_send_as_a_file(path: str) -> None:
    policy = Client().get(path).headers["Content-Security-Policy"]

    directives = {name: values for name, *values in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == directives["style-src"] == ["'self'"]
    assert "unsafe" not in policy


@pytest.mark.django_db
def test_the_first_page_says_what_this_is_not_and_leads_to_what_there_is() -> None:
    page = Client().get("/").content.decode()

    assert "not a diagnosis" in page
    assert "CC BY-NC 4.0" in page
    for address in ("/api/docs/", "/admin/", "/readyz"):
        assert f'href="{address}"' in page
        assert Client().get(address, follow=True).status_code in (200, 503)
