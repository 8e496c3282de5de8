"""/account/: sessions and tokens listed and ended, passwords that are hard to guess, fresh proofs, requirements."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.contrib.auth.hashers import check_password
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from diagnosis.api.throttles import counters
from skincare.accounts.models import ApiToken, BrowserSession, Organisation, Role, User
from skincare.accounts.sessions import device_of
from skincare.audit.models import AuditEvent
from tests import codes, factories
from tests.diagnosis.api.requests import ApiClient

pytestmark = pytest.mark.django_db
ME = "/api/v1/me/"


@pytest.fixture
def clinician() -> User:
    return factories.clinician()


def later(browser: Client, seconds: int) -> None:
    """As if the browser's proofs of who uses it were so much older."""
    session = browser.session
    session["account_authentication_methods"] = [
        {**proof, "at": proof["at"] - seconds} for proof in session["account_authentication_methods"]
    ]
    session.save()


# --- Sessions -----------------------------------------------------------------------------------------------------


def test_sessions_are_listed_by_device_and_ended_one_by_one(clinician: User) -> None:
    here, there = codes.sign_in(clinician), codes.sign_in(clinician)
    page = here.get("/account/").content.decode()
    assert page.count("Firefox on Linux</strong>") == 2
    assert page.count("this one") == 1
    assert "127.0.0.1" in page
    other = BrowserSession.objects.get(session_key=there.session.session_key)

    assert here.post(f"/account/sessions/{other.pk}/end/")["Location"] == "/account/"

    assert there.get("/account/").status_code == 302
    assert here.get("/account/").content.decode().count("Firefox on Linux</strong>") == 1
    revoked = AuditEvent.objects.get(action="session.revoked")
    assert (revoked.actor, revoked.details) == (clinician, {"session": str(other.pk)})


def test_all_other_sessions_end_at_once_and_the_own_one_stays(clinician: User) -> None:
    here, *others = (codes.sign_in(clinician) for _ in range(3))
    here.post("/account/sessions/end-others/")
    assert [browser.get(ME).status_code for browser in (here, *others)] == [200, 401, 401]


def test_nobody_ends_the_session_of_somebody_else(clinician: User) -> None:
    stranger = codes.sign_in(factories.clinician())
    mine = codes.sign_in(clinician)
    row = BrowserSession.objects.get(session_key=mine.session.session_key)
    assert stranger.post(f"/account/sessions/{row.pk}/end/").status_code == 404
    assert mine.get(ME).status_code == 200


def test_what_a_session_came_from_is_forgotten_when_it_ends(clinician: User) -> None:
    codes.sign_in(clinician).post("/sign-out/")
    assert not BrowserSession.objects.exists()
    assert AuditEvent.objects.filter(action="session.ended", actor=clinician).count() == 1
    codes.sign_in(clinician)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    codes.sign_in(clinician)
    assert BrowserSession.objects.count() == 1
    clinician.sign_out_everywhere()
    assert not BrowserSession.objects.exists()


def test_last_used_is_noted_every_few_minutes_and_not_at_each_request(clinician: User) -> None:
    browser = codes.sign_in(clinician)
    rows = BrowserSession.objects.filter(user=clinician)
    for minutes, noted in ((4, False), (6, True)):
        before = timezone.now() - timedelta(minutes=minutes)
        rows.update(last_used_at=before)
        browser.get(ME)
        assert (rows.get().last_used_at > before) is noted


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
            "Chrome on Windows",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/141 Safari/537.36 Edg/141", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 16; Pixel 9) Chrome/141.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)
def test_a_device_is_named_as_its_owner_would_and_no_closer(user_agent: str, device: str) -> None:
    assert device_of(user_agent) == device


# --- Tokens -------------------------------------------------------------------------------------------------------


def test_a_token_is_made_shown_once_listed_and_ended(clinician: User) -> None:
    browser = codes.sign_in(clinician)
    form = {"name": "practice software", "scopes": ["read"], "hours": "168"}
    page = browser.post("/account/tokens/", form).content.decode()
    plain = page.split('value="skincare_')[1].split('"')[0]
    program = ApiClient(f"skincare_{plain}")
    assert program.get(ME).status_code == 200
    assert program.submit().status_code == 403
    token = ApiToken.objects.get()
    assert timezone.now() + timedelta(days=6) < token.expiry < timezone.now() + timedelta(days=8)
    listed = browser.get("/account/").content.decode()
    assert "practice software" in listed
    assert plain not in listed
    assert codes.sign_in(factories.clinician()).post(f"/account/tokens/{token.digest[:16]}/end/").status_code == 404

    browser.post(f"/account/tokens/{token.digest[:16]}/end/")

    assert program.get(ME).status_code == 401
    assert list(
        AuditEvent.objects.filter(action__startswith="token.").order_by("id").values_list("action", flat=True)
    ) == ["token.created", "token.ended"]


@pytest.mark.parametrize("wrong", [{"name": ""}, {"scopes": ["admin"]}, {"scopes": []}, {"hours": "99999"}])
def test_a_token_that_cannot_be_is_refused(clinician: User, wrong: dict[str, object]) -> None:
    form = {"name": "x", "scopes": ["read"], "hours": "12", **wrong}
    assert codes.sign_in(clinician).post("/account/tokens/", form).status_code == 422
    assert not ApiToken.objects.exists()


def test_a_token_made_in_a_session_with_a_second_factor_has_it_too(clinician: User) -> None:
    browser = codes.sign_in(clinician, codes.give_app(clinician))
    browser.post("/account/tokens/", {"name": "x", "scopes": ["read"], "hours": "12"})
    assert ApiToken.objects.get().second_factor


# --- Passwords ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short1!", "too short"),
        ("qwertyqwerty", "too common"),
        ("123456789012345", "entirely numeric"),
        ("ada.lindqvist@clinic", "too similar"),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused_with_the_reason(password: str, why: str) -> None:
    person = factories.user("ada.lindqvist@clinic.example")
    form = {"oldpassword": factories.PASSWORD, "password1": password, "password2": password}
    page = codes.sign_in(person).post("/account/password/", form)
    assert why in page.content.decode()
    person.refresh_from_db()
    assert check_password(factories.PASSWORD, person.password)


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(clinician: User) -> None:
    here, there = codes.sign_in(clinician), codes.sign_in(clinician)
    new = "seven herons over the weir"
    form = {"oldpassword": factories.PASSWORD, "password1": new, "password2": new}

    assert here.post("/account/password/", form)["Location"] == "/account/"

    assert [browser.get(ME).status_code for browser in (here, there)] == [200, 401]
    assert here.get("/account/").content.decode().count("Firefox on Linux</strong>") == 1
    assert AuditEvent.objects.filter(action="password.changed", actor=clinician).exists()
    clinician.refresh_from_db()
    assert check_password(new, clinician.password)


def test_the_old_password_cannot_be_guessed_there_either(clinician: User) -> None:
    browser = codes.sign_in(clinician)
    form = {"oldpassword": "guess", "password1": "x", "password2": "x"}
    pages = [browser.post("/account/password/", form).content.decode() for _ in range(11)]
    assert "This is not your password." in pages[9]
    assert "Too many failed attempts" in pages[10]


def test_passwords_cannot_be_guessed_while_the_counters_do_not_answer(
    clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "silent_until", float("inf"))
    browser = codes.sign_in(clinician)
    form = {"oldpassword": "guess", "password1": "x", "password2": "x"}
    pages = [browser.post("/account/password/", form).content.decode() for _ in range(11)]
    assert "This is not your password." in pages[9]
    assert "Too many failed attempts" in pages[10]
    right = {"username": clinician.email, "password": factories.PASSWORD}
    assert Client().post("/sign-in/", right).status_code == 429
    token = {"email": clinician.email, "password": factories.PASSWORD, "name": "x"}
    assert Client().post("/api/v1/auth/token/", token, content_type="application/json").status_code == 429
    # Somebody else, from the same place, signs in.
    assert codes.sign_in(factories.clinician()).get("/account/").status_code == 200


# --- Fresh proofs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["/account/tokens/", "/account/app/", "/account/passkeys/"])
def test_what_is_sensitive_asks_who_it_is_after_ten_minutes_and_leads_back(clinician: User, page: str) -> None:
    browser = codes.sign_in(clinician)
    assert browser.get(page).status_code == 200
    later(browser, 601)
    assert browser.get(page)["Location"] == f"/account/confirm/?next={quote(page, safe='')}"

    assert browser.post("/account/confirm/", {"password": "wrong", "next": page}).status_code == 200
    assert browser.post("/account/confirm/", {"password": factories.PASSWORD, "next": page})["Location"] == page

    assert browser.get(page).status_code == 200


def test_confirming_leads_to_no_other_site(clinician: User) -> None:
    browser = codes.sign_in(clinician)
    form = {"password": factories.PASSWORD, "next": "https://elsewhere.example/"}
    assert browser.post("/account/confirm/", form)["Location"] == "/start/"


def test_a_session_exports_and_erases_only_with_a_fresh_proof() -> None:
    by = factories.clinician()
    clinic = factories.organisation_of(by)
    patient = factories.case(by).patient
    officer = factories.member(Role.ADMINISTRATOR, clinic)
    browser = codes.sign_in(officer)
    export, erase = (f"/api/v1/patients/{patient.pk}/{what}/" for what in ("export", "erase"))
    body = {"reason": "patient_request", "record_number": patient.record_number}
    later(browser, 601)

    for address in (export, erase):
        refused = browser.post(address, body, content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (403, "confirmation_needed")

    browser.post("/account/confirm/", {"password": factories.PASSWORD})
    exported = browser.post(export, content_type="application/json")
    assert exported.status_code == 200
    b"".join(exported.streaming_content)  # type: ignore[attr-defined]
    assert browser.post(erase, body, content_type="application/json").status_code == 200


# --- What an organisation requires --------------------------------------------------------------------------------


def set_requirement(browser: Client, clinic: Organisation, **form: str) -> int:
    return browser.post(f"/account/organisations/{clinic.pk}/", form).status_code


def test_an_administrator_requires_a_second_factor_and_takes_it_back() -> None:
    clinic = factories.organisation()
    administrator, member = factories.member(Role.ADMINISTRATOR, clinic), factories.clinician(clinic)
    browser = codes.sign_in(administrator)
    page = browser.get(f"/account/organisations/{clinic.pk}/").content.decode()
    assert member.email in page
    today = timezone.now().date().isoformat()

    assert set_requirement(browser, clinic, required="on", required_from=today) == 302

    clinic.refresh_from_db()
    assert clinic.second_factor_required_from is not None
    assert clinic.second_factor_required_from <= timezone.now()
    assert browser.get("/account/")["Location"] == "/account/second-factor/"  # it binds who decided it, too
    event = AuditEvent.objects.get(action="organisation.second_factor_set")
    assert (event.actor, event.organisation_id) == (administrator, clinic.pk)
    assert event.details["required_from"].startswith(today)

    browser = codes.sign_in(administrator, codes.give_app(administrator))
    assert set_requirement(browser, clinic) == 302
    clinic.refresh_from_db()
    assert clinic.second_factor_required_from is None


def test_a_requirement_needs_a_day_and_a_fresh_proof() -> None:
    clinic = factories.organisation()
    browser = codes.sign_in(factories.member(Role.ADMINISTRATOR, clinic))
    assert set_requirement(browser, clinic, required="on") == 422
    assert set_requirement(browser, clinic, required="on", required_from="yesterday") == 422
    later(browser, 601)
    assert set_requirement(browser, clinic, required="on", required_from="2030-01-01") == 302
    clinic.refresh_from_db()
    assert clinic.second_factor_required_from is None


def test_the_model_steward_decides_for_no_organisation_and_no_administrator_is_a_steward(settings: Settings) -> None:
    clinic = factories.organisation()
    steward = factories.user(is_model_steward=True)
    administrator = factories.member(Role.ADMINISTRATOR, clinic)
    assert codes.sign_in(steward).get(f"/account/organisations/{clinic.pk}/").status_code == 403
    shown = codes.sign_in(administrator).get(ME).json()
    assert shown["is_model_steward"] is False
    # Nor does the role that the one has let the other's requirement pass.
    settings.SECOND_FACTOR_FOR_STAFF = True
    assert codes.sign_in(steward).get("/account/").status_code == 302
    assert codes.sign_in(administrator).get("/account/").status_code == 200


def test_another_organisations_administrator_finds_nothing() -> None:
    clinic = factories.organisation()
    stranger = codes.sign_in(factories.member(Role.ADMINISTRATOR))
    assert stranger.get(f"/account/organisations/{clinic.pk}/").status_code == 404
    assert set_requirement(stranger, clinic, required="on", required_from="2030-01-01") == 404


def test_the_operator_changes_it_in_the_administration_and_it_is_recorded() -> None:
    clinic = factories.organisation()
    operator = User.objects.create_superuser("operator@clinic.example", factories.PASSWORD)
    browser = codes.sign_in(operator)
    form = {
        "name": clinic.name,
        "kind": clinic.kind,
        "second_factor_required_from_0": "2030-01-01",
        "second_factor_required_from_1": "00:00:00",
    }
    answer = browser.post(f"/admin/accounts/organisation/{clinic.pk}/change/", form)
    assert answer.status_code == 302, answer.content
    event = AuditEvent.objects.get(action="organisation.second_factor_set")
    assert (event.actor, event.details) == (operator, {"required_from": "2030-01-01T00:00:00+00:00"})


# --- The administration's log-in ----------------------------------------------------------------------------------


def test_the_administration_has_no_log_in_of_its_own() -> None:
    operator = User.objects.create_superuser("operator@clinic.example", factories.PASSWORD)
    browser = Client()
    asked = browser.get("/admin/accounts/user/", follow=True)
    assert asked.redirect_chain[-1][0] == f"/sign-in/?next={quote('/admin/accounts/user/', safe='')}"
    for method in (browser.get, browser.post):
        answer = method("/admin/login/?next=https://elsewhere.example/")
        assert answer["Location"] == f"/sign-in/?next={quote('/admin/', safe='')}"
    assert codes.sign_in(operator).get("/admin/login/")["Location"] == "/admin/"
    assert codes.sign_in(factories.clinician()).get("/admin/login/").status_code == 403


def test_a_failed_sign_in_is_recorded_by_account_and_keeps_nothing_that_was_typed(clinician: User) -> None:
    for email in (clinician.email, "nobody.knows@clinic.example"):
        Client().post("/sign-in/", {"username": email, "password": "secret guess"})
    events = AuditEvent.objects.filter(action="session.refused").order_by("id")
    assert [event.object_id for event in events] == [str(clinician.pk), "00000000-0000-0000-0000-000000000000"]
    written = str(list(events.values()))
    assert "nobody" not in written
    assert "guess" not in written
