"""What every answer carries, at every address and for everybody; what files are called and made of; forged requests."""

import io
import re
import zipfile
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from PIL import Image

from skincare.accounts.models import User
from skincare.browser import PERMISSIONS
from tests import factories
from tests.diagnosis.api import permission_world
from tests.diagnosis.api.permission_table import API, TABLE
from tests.diagnosis.api.permission_world import World
from tests.diagnosis.api.requests import PHOTOGRAPH
from tests.fuzz.judge import markers

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
world = permission_world.world

KINDS = {
    "text/html", "application/json", "application/problem+json", "application/vnd.oai.openapi", "text/javascript",
    "application/manifest+json", "image/jpeg", "image/png", "application/pdf", "application/zip", "text/csv",
    "text/plain", "",
}  # fmt: skip
FILES = {"image/jpeg", "image/png", "application/pdf", "application/zip", "text/csv"}
#: Answers without anything of a person, of which a browser may keep a copy.
MAY_BE_KEPT = ("capture/service-worker.js", "healthz", "readyz", "metrics")
#: Probes pass every other part of the site by; they answer numbers.
PROBES = ("healthz", "readyz", "metrics")


def content_of(answer: Any) -> bytes:
    """Whole."""
    return b"".join(answer.streaming_content) if answer.streaming else bytes(answer.content)


@pytest.mark.parametrize("route", sorted({route for _, route in TABLE}))
def test_every_answer_tells_the_browser_what_it_may_do_with_it(route: str, world: World) -> None:
    for method in ("GET", "POST", "DELETE"):
        if (method, route) not in TABLE:
            continue
        for person in ("anonymous", "own", "dermatologist", "administrator", "steward"):
            answer = permission_world.ask(method, route, world, person)
            what = f"{method} {route} by {person}"
            content = content_of(answer)
            kind = answer.get("Content-Type", "").partition(";")[0]
            assert kind in KINDS, what
            if route.startswith(PROBES):
                continue
            assert answer["X-Content-Type-Options"] == "nosniff", what
            assert answer["X-Frame-Options"] == "DENY", what
            assert answer["Referrer-Policy"] == "same-origin", what
            assert answer["Cross-Origin-Opener-Policy"] == "same-origin", what
            assert answer["Cross-Origin-Resource-Policy"] == "same-origin", what
            assert answer["Permissions-Policy"] == PERMISSIONS, what
            policy = answer["Content-Security-Policy"]
            assert "default-src 'none'" in policy, what
            assert "frame-ancestors 'none'" in policy, what
            assert "unsafe" not in policy, what
            assert not re.search(r"https?:|\*", policy), what
            cached = answer["Cache-Control"]
            if route not in MAY_BE_KEPT:
                polled = "no-cache" in cached and "private" in cached and "ETag" in answer
                assert "no-store" in cached or polled, (what, cached)
            if kind in FILES and answer.status_code == 200:
                check_file(answer, kind, content, world, what)


def check_file(answer: Any, kind: str, content: bytes, world: World, what: str) -> None:
    """A file is kept by nobody, named for nobody, and holds nothing beside what it shows."""
    assert "no-store" in answer["Cache-Control"], what
    assert re.fullmatch(
        r'(inline|attachment); filename="[a-z0-9-]+\.(jpg|png|pdf|zip|csv)"', answer["Content-Disposition"]
    )
    patient = world.case.patient
    for secret in (patient.record_number, patient.name, str(patient.pk), str(world.case.pk)):
        assert not secret or secret not in answer["Content-Disposition"], what
    if kind == "image/jpeg":
        assert markers(content) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}, what
    elif kind == "image/png":
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            image.load()
            assert not image.getexif(), what
            assert not image.text, what  # type: ignore[attr-defined]
    elif kind == "application/pdf":
        assert content.startswith(b"%PDF-"), what
    elif kind == "application/zip":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            assert not any(name.startswith(("/", "..")) or "\\" in name for name in archive.namelist())


def test_a_photograph_comes_back_without_what_the_phone_wrote_into_it(world: World) -> None:
    from tests.diagnosis.classifier import images

    api = world.client("own")
    stored = api.submit(images=[images.jpeg_with_metadata()])
    assert stored.status_code == 201, stored.content
    link = next(value for value in stored.json()["images"][0].values() if "/content/" in str(value))
    content = api.get(link).content
    for trace in (images.MAKER.encode(), images.COMMENT, b"Exif", b"photo 0"):
        assert trace not in content
    assert markers(content) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}
    assert content != PHOTOGRAPH


# --- Forged requests --------------------------------------------------------------------------------------------------
UNSAFE = [key for key in TABLE if key[0] != "GET"]
#: Answers POSTs that bear their own proof: a password, or the token that is asked for.
WITH_A_PROOF_OF_ITS_OWN = {("POST", f"{API}auth/token/")}


@pytest.mark.parametrize(("method", "route"), UNSAFE, ids=[" ".join(key) for key in UNSAFE])
def test_a_request_forged_by_another_site_changes_nothing(method: str, route: str, world: World) -> None:
    for person in ("own", "dermatologist", "administrator", "steward"):
        user = world.users[person]
        assert user is not None
        address = permission_world.address_of(route, world, user)
        if person == "dermatologist" and world.referral:
            user = factories.dermatologist(world.referral.service)
        browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
        browser.force_login(user)
        for kind, body in (
            ("application/x-www-form-urlencoded", "action=withdraw&text=x"),
            ("application/json", '{"action": "withdraw"}'),
            ("text/plain", '{"action": "withdraw"}'),
            ("multipart/form-data; boundary=x", "--x--"),
        ):
            answer = browser.generic(method, address, body, kind, headers={"Origin": "https://evil.example"})
            if (method, route) in WITH_A_PROOF_OF_ITS_OWN:
                assert answer.status_code in (400, 401, 403, 415), kind
                continue
            assert answer.status_code == 403, (person, kind, answer.status_code)


def test_a_form_of_the_admin_is_protected_too() -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("operator@clinic.example", factories.PASSWORD))
    for address in ("/admin/accounts/user/add/", "/admin/accounts/organisation/add/", "/admin/login/"):
        assert browser.post(address, {"name": "x"}).status_code == 403


def test_cookies_of_a_session_are_for_this_site_alone(world: World) -> None:
    browser = Client()
    page = browser.get("/sign-in/")
    assert page.cookies["csrftoken"]["samesite"] == "Lax"
    browser.post("/sign-in/", {"username": world.own.email, "password": factories.PASSWORD})
    cookie = browser.cookies["sessionid"]
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert not cookie["domain"]


@pytest.mark.parametrize("host", ["evil.example", "clinic.example:80@evil.example", "127.0.0.1.evil.example"])
def test_another_host_name_is_refused_without_repeating_it(host: str) -> None:
    answer = Client(raise_request_exception=False).get("/", headers={"host": host})
    assert answer.status_code == 400
    assert b"evil" not in answer.content


def test_sessions_keep_nothing_that_runs() -> None:
    assert settings.SESSION_ENGINE == "django.contrib.sessions.backends.db"
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"
