"""A second factor where it is required: nothing opens without, by page, session or token, and a code is good once."""

from datetime import timedelta
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from skincare.accounts import second_factor
from skincare.accounts.models import ApiToken, Organisation, Role, User
from skincare.audit.models import AuditEvent
from skincare.encryption import MasterKeyMissing
from tests import codes, factories
from tests.diagnosis.api.requests import ApiClient, new_case, token_for

pytestmark = pytest.mark.django_db
ME = "/api/v1/me/"
TOKEN = "/api/v1/auth/token/"


@pytest.fixture
def clinic() -> Organisation:
    return factories.organisation()


@pytest.fixture
def clinician(clinic: Organisation) -> User:
    return factories.clinician(clinic)


def require(clinic: Organisation, *, in_days: float = 0) -> None:
    second_factor.set_requirement(
        clinic,
        timezone.now() + timedelta(days=in_days),
        by=factories.member(Role.ADMINISTRATOR, clinic),
    )


def log_in(user: User, **more: str) -> tuple[int, str]:
    answer = ApiClient().send(TOKEN, {"email": user.email, "password": factories.PASSWORD, **more})
    return answer.status_code, answer.json().get("code") or answer.json().get("token")


def test_the_tests_own_app_shows_the_codes_of_rfc_6238(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes.time, "time", lambda: 1111111109)
    assert codes.code_of("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") == "081804"


def test_without_the_requirement_a_password_is_enough(clinician: User) -> None:
    assert log_in(clinician)[0] == 201
    assert codes.sign_in(clinician).get("/account/").status_code == 200


def test_whoever_has_a_factor_is_asked_for_it_also_where_none_is_required(clinician: User) -> None:
    secret = codes.give_app(clinician)
    browser = codes.sign_in(clinician)
    assert browser.get("/account/")["Location"].startswith("/sign-in/")
    assert browser.post("/sign-in/code/", {"code": "000000"}).status_code == 200
    assert browser.get("/account/").status_code == 302

    assert browser.post("/sign-in/code/", {"code": codes.code_of(secret)})["Location"] == "/start/"

    assert browser.get("/account/").status_code == 200
    started = AuditEvent.objects.get(action="session.started", actor=clinician)
    assert started.details == {"second_factor": True}
    refused = AuditEvent.objects.get(action="session.refused", object_id=str(clinician.pk))
    assert (refused.actor, refused.details) == (None, {"step": "code"})


def test_a_token_takes_a_code_too_and_each_code_works_once(clinician: User) -> None:
    secret = codes.give_app(clinician)
    (recovery, *_) = codes.give_recovery_codes(clinician)
    code = codes.code_of(secret)

    assert log_in(clinician) == (401, "second_factor_needed")
    assert log_in(clinician, code="000000") == (401, "code_wrong")
    assert log_in(clinician, code=f" {code[:3]} {code[3:]} ")[0] == 201
    assert log_in(clinician, code=code) == (401, "code_wrong")
    assert log_in(clinician, code=recovery)[0] == 201
    assert log_in(clinician, code=recovery) == (401, "code_wrong")

    assert set(ApiToken.objects.values_list("second_factor", flat=True)) == {True}
    assert second_factor.recovery_codes_left(clinician) == 9


def test_a_code_of_the_last_or_the_next_half_minute_is_taken_and_an_older_one_is_not(clinician: User) -> None:
    secret = codes.give_app(clinician)
    assert log_in(clinician, code=codes.code_of(secret, ahead=-3))[0] == 401
    assert log_in(clinician, code=codes.code_of(secret, ahead=3))[0] == 401
    assert log_in(clinician, code=codes.code_of(secret, ahead=1))[0] == 201
    # What came before a code that was used is over, even if nobody used it.
    assert log_in(clinician, code=codes.code_of(secret))[0] == 401


def test_a_member_without_a_factor_gets_no_token_and_is_told_why(clinic: Organisation, clinician: User) -> None:
    require(clinic)
    assert log_in(clinician) == (403, "second_factor_missing")
    assert not ApiToken.objects.exists()


def test_a_requirement_that_begins_later_does_not_bind_yet(clinic: Organisation, clinician: User) -> None:
    require(clinic, in_days=2)
    assert log_in(clinician)[0] == 201
    page = codes.sign_in(clinician).get("/account/")
    assert "requires a second factor from" in page.content.decode()


@pytest.mark.parametrize("page", ["/", "/account/", "/account/tokens/", "/account/password/", "/privacy/", "/admin/"])
def test_a_member_without_a_factor_is_led_to_set_one_up_and_can_do_nothing_else(
    clinic: Organisation, clinician: User, page: str
) -> None:
    browser = codes.sign_in(clinician)
    require(clinic)

    assert browser.get(page)["Location"] == "/account/second-factor/"

    assert "A second factor is needed" in browser.get("/account/second-factor/").content.decode()
    answer = browser.get(ME)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_needed")


def test_sessions_and_tokens_from_before_stop_working_and_new_ones_with_a_factor_work(
    clinic: Organisation, clinician: User
) -> None:
    colleague = factories.clinician()
    before, elsewhere = ApiClient(token_for(clinician)), ApiClient(token_for(colleague))
    browser = codes.sign_in(clinician)
    secret = codes.give_app(clinician)
    require(clinic)

    refused = before.get(ME)
    assert (refused.status_code, refused.json()["code"]) == (401, "second_factor_needed")
    assert browser.get("/account/")["Location"] == "/account/confirm/code/?next=%2Faccount%2F"
    assert elsewhere.get(ME).status_code == 200

    confirmed = browser.post("/account/confirm/code/?next=/account/", {"code": codes.code_of(secret)})
    assert confirmed["Location"] == "/account/"
    assert browser.get("/account/").status_code == 200
    assert browser.get(ME).status_code == 200
    token = log_in(clinician, code=codes.code_of(secret, ahead=1))[1]
    assert ApiClient(token).get(ME).status_code == 200


def test_the_password_again_is_no_second_factor(clinic: Organisation, clinician: User) -> None:
    browser = codes.sign_in(clinician)
    codes.give_app(clinician)
    require(clinic)
    browser.post("/account/confirm/?next=/account/", {"password": factories.PASSWORD})
    assert browser.get("/account/").status_code == 302


def test_a_token_dies_with_the_factor_that_it_was_issued_after(clinic: Organisation, clinician: User) -> None:
    secret = codes.give_app(clinician)
    require(clinic)
    client = ApiClient(log_in(clinician, code=codes.code_of(secret))[1])
    assert client.get(ME).status_code == 200
    Authenticator.objects.filter(user=clinician).delete()
    assert client.get(ME).status_code == 401


@pytest.mark.parametrize("power", ["is_staff", "is_model_steward", "is_superuser"])
def test_whoever_rules_the_platform_needs_one_in_production(power: str, settings: Settings) -> None:
    person = factories.user(**{power: True})
    assert log_in(person)[0] == 201
    settings.SECOND_FACTOR_FOR_STAFF = True
    assert log_in(person) == (403, "second_factor_missing")
    assert log_in(factories.clinician())[0] == 201


def test_a_token_is_checked_in_the_one_query_that_finds_it(clinic: Organisation, clinician: User) -> None:
    def queries(client: ApiClient) -> list[str]:
        client.get(ME)
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/api/v1/consent-policies/").status_code == 200
        return [query["sql"] for query in captured]

    free = queries(ApiClient(token_for(clinician)))
    secret = codes.give_app(clinician)
    require(clinic)
    bound = queries(ApiClient(log_in(clinician, code=codes.code_of(secret))[1]))

    assert len(bound) == len(free)
    assert sum("accounts_apitoken" in sql for sql in bound) == 1
    assert [sql for sql in bound if "mfa_authenticator" in sql and "accounts_apitoken" not in sql] == []


def test_submitting_asks_for_the_second_factor_in_no_query_of_its_own(clinic: Organisation, clinician: User) -> None:
    secret = codes.give_app(clinician)
    require(clinic)
    client = ApiClient(log_in(clinician, code=codes.code_of(secret))[1])
    with CaptureQueriesContext(connection) as captured:
        assert client.submit(new_case()).status_code == 201
    asking = [query["sql"] for query in captured if "mfa_authenticator" in query["sql"]]
    assert len(asking) == 1
    assert "accounts_apitoken" in asking[0]


def test_secrets_are_sealed_and_open_under_an_older_master_key(clinician: User, settings: Settings) -> None:
    secret = codes.give_app(clinician)
    codes.give_recovery_codes(clinician)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    old, new = settings.SKINCARE_MASTER_KEYS[0], ("newer", bytes(range(32)))

    settings.SKINCARE_MASTER_KEYS = [new, old]
    assert second_factor.seal_anew() == 2
    assert second_factor.seal_anew() == 0
    settings.SKINCARE_MASTER_KEYS = [new]
    assert log_in(clinician, code=codes.code_of(secret))[0] == 201
    settings.SKINCARE_MASTER_KEYS = [old]
    with pytest.raises(MasterKeyMissing, match="newer"):
        second_factor.accept_code(clinician, "123456")


def test_too_many_wrong_codes_have_to_wait_by_every_way_in(clinician: User) -> None:
    secret = codes.give_app(clinician)
    browser = codes.sign_in(clinician)
    for _ in range(5):
        assert log_in(clinician, code="000000") == (401, "code_wrong")

    assert log_in(clinician, code=codes.code_of(secret)) == (429, "throttled")
    page = browser.post("/sign-in/code/", {"code": codes.code_of(secret)})
    assert "Too many failed attempts. Try again in" in page.content.decode()
    assert browser.get("/account/").status_code == 302


def test_recovery_codes_are_counted_like_any_code_and_right_ones_are_not(clinician: User) -> None:
    codes.give_app(clinician)
    mine = codes.give_recovery_codes(clinician)
    assert [log_in(clinician, code=code)[0] for code in mine] == [201] * 10
    assert [log_in(clinician, code=code)[0] for code in mine[:6]] == [401] * 5 + [429]


def test_from_many_addresses_codes_are_limited_for_the_account(clinician: User) -> None:
    codes.give_app(clinician)
    form = {"email": clinician.email, "password": factories.PASSWORD, "code": "000000"}
    statuses = [ApiClient().send(TOKEN, form, REMOTE_ADDR=f"192.0.2.{n}").status_code for n in range(21)]
    assert statuses == [401] * 20 + [429]


def test_codes_are_limited_by_the_record_where_the_counters_do_not_answer(
    clinician: User, settings: Settings, tmp_path: Path
) -> None:
    codes.give_app(clinician)
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": f"unix://{tmp_path}/nobody.sock"}}
    assert [log_in(clinician, code="000000")[0] for _ in range(21)] == [401] * 20 + [429]
    assert log_in(factories.clinician())[0] == 201


def test_the_last_factor_stays_while_one_is_required(clinic: Organisation, clinician: User) -> None:
    secret = codes.give_app(clinician)
    require(clinic)
    browser = codes.sign_in(clinician, secret)
    page = browser.post("/account/app/remove/")
    assert "You cannot deactivate" in page.content.decode()
    assert codes.factors_of(clinician) == ["totp"]


def test_a_factor_that_nobody_requires_can_go_and_the_recovery_codes_go_with_it(clinician: User) -> None:
    secret = codes.give_app(clinician)
    codes.give_recovery_codes(clinician)
    browser = codes.sign_in(clinician, secret)
    assert browser.post("/account/app/remove/")["Location"] == "/account/"
    assert codes.factors_of(clinician) == []
    removed = AuditEvent.objects.get(action="second_factor.removed")
    assert (removed.actor, removed.object_id, removed.details) == (clinician, str(clinician.pk), {"type": "totp"})


def test_the_operator_takes_a_lost_factor_away_and_it_is_recorded(clinician: User) -> None:
    codes.give_app(clinician)
    operator = User.objects.create_superuser("operator@clinic.example", factories.PASSWORD)
    browser = Client()
    browser.force_login(operator)
    factor = Authenticator.objects.get(user=clinician)
    assert "secret" not in browser.get(f"/admin/mfa/authenticator/{factor.pk}/change/").content.decode()

    browser.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"})

    assert codes.factors_of(clinician) == []
    removed = AuditEvent.objects.get(action="second_factor.removed")
    assert (removed.actor, removed.object_id) == (operator, str(clinician.pk))


def test_nobody_can_register_themselves() -> None:
    for address in ("/sign-up/", "/accounts/signup/", "/account/signup/"):
        assert Client().get(address).status_code == 404
