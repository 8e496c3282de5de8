"""Second factors as a browser holds them: an app's codes, recovery codes, and passkeys by a virtual authenticator."""

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, CDPSession, Page, expect
from pytest_django.live_server_helper import LiveServer

from skincare.accounts import second_factor
from skincare.accounts.models import Role, User
from skincare.audit.models import AuditEvent
from tests import codes, factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def shoot(page: Page, name: str) -> None:
    """Keep a picture, where a folder is named to look at them."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def fits(page: Page) -> None:
    """Nothing is wider than a small phone, and no script or style stands in the page itself."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    inline = page.evaluate(
        "[...document.scripts].filter(s => !s.src && s.type !== 'application/json').length"
        " + document.querySelectorAll('style, [style], [onclick], [onload], [onsubmit]').length"
    )
    assert inline == 0


@pytest.fixture
def page(browser_context: BrowserContext) -> Page:
    page = browser_context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    return page


@pytest.fixture
def authenticator(page: Page) -> Iterator[CDPSession]:
    """A phone that unlocks with a fingerprint, as Chromium pretends to have one."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    yield session
    session.detach()


def give_password(page: Page, live_server: LiveServer, person: User) -> None:
    page.goto(f"{live_server.url}/sign-in/?next=/account/")
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page, live_server: LiveServer) -> None:
    page.goto(f"{live_server.url}/account/")
    page.locator(".app-menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{live_server.url}/")


def test_an_app_is_set_up_under_duress_of_the_organisation_and_signs_in(live_server: LiveServer, page: Page) -> None:
    person = factories.clinician()
    clinic = factories.organisation_of(person)
    second_factor.set_requirement(clinic, clinic.created_at, by=factories.member(Role.ADMINISTRATOR, clinic))

    give_password(page, live_server, person)
    page.get_by_role("heading", name="A second factor is needed").wait_for()
    fits(page)
    shoot(page, "missing")
    page.get_by_role("link", name="Set up an app").click()
    secret = page.get_by_label("Key", exact=True).input_value()
    expect(page.get_by_role("img", name="The key as a QR code")).to_be_visible()
    fits(page)
    shoot(page, "new_app")
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("alert")).to_contain_text("Incorrect code")
    page.get_by_label("Code").fill(codes.code_of(secret))
    page.get_by_role("button", name="Set up").click()

    page.get_by_role("heading", name="Recovery codes").wait_for()
    expect(page.locator(".codes code")).to_have_count(10)
    recovery = page.locator(".codes code").all_inner_texts()
    assert len(set(recovery)) == 10
    fits(page)
    shoot(page, "recovery_codes")
    page.get_by_role("link", name="I have written them down").click()
    expect(page.get_by_text("On: a password alone does not open this account")).to_be_visible()
    fits(page)
    shoot(page, "account")
    page.goto(f"{live_server.url}/account/recovery-codes/")
    assert all(code not in page.content() for code in recovery)
    assert AuditEvent.objects.filter(action="second_factor.added", actor=person).count() == 1
    assert AuditEvent.objects.filter(action="recovery_codes.generated", actor=person).count() == 1

    sign_out(page, live_server)
    give_password(page, live_server, person)
    page.get_by_role("heading", name="Second factor").wait_for()
    fits(page)
    shoot(page, "code")
    page.get_by_label("Code").fill(codes.code_of(secret, ahead=1))
    page.get_by_role("button", name="Go on").click()
    page.wait_for_url(f"{live_server.url}/account/")

    sign_out(page, live_server)
    give_password(page, live_server, person)
    page.get_by_label("Code").fill(recovery[3])
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("9 are left")).to_be_visible()


def test_a_passkey_is_added_and_signs_in_alone_after_the_password_and_to_confirm(
    live_server: LiveServer, page: Page, authenticator: CDPSession
) -> None:
    person = factories.clinician()
    give_password(page, live_server, person)
    page.get_by_role("link", name="Add a passkey").click()
    fits(page)
    shoot(page, "new_passkey")
    page.get_by_label("Name, to tell it from others").fill("My phone")
    page.wait_for_load_state()  # the button is a script's, here and below
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    page.get_by_role("link", name="I have written them down").click()
    expect(page.get_by_text("My phone")).to_be_visible()

    # Alone: neither address nor password.
    sign_out(page, live_server)
    page.goto(f"{live_server.url}/sign-in/?next=/account/")
    fits(page)
    shoot(page, "sign_in")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{live_server.url}/account/")
    expect(page.get_by_role("main").get_by_text(person.email)).to_be_visible()
    started = AuditEvent.objects.filter(action="session.started", actor=person).latest("id")
    assert started.details == {"second_factor": True}

    # As a second factor after the password.
    sign_out(page, live_server)
    give_password(page, live_server, person)
    page.wait_for_load_state()
    page.get_by_role("button", name="Use a passkey or security key").click()
    page.wait_for_url(f"{live_server.url}/account/")

    # To confirm.
    page.goto(f"{live_server.url}/account/confirm/passkey/?next=/account/tokens/")
    fits(page)
    page.get_by_role("button", name="Use a passkey or security key").click()
    page.get_by_role("heading", name="A token for a program").wait_for()
    fits(page)
    shoot(page, "new_token")

    # And away with it.
    page.goto(f"{live_server.url}/account/")
    page.get_by_role("link", name="Remove My phone").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Off: whoever has your password can sign in")).to_be_visible()
    assert codes.factors_of(person) == []


def test_a_passkey_of_nobody_here_is_refused_in_words(
    live_server: LiveServer, page: Page, authenticator: CDPSession
) -> None:
    person = factories.clinician()
    give_password(page, live_server, person)
    page.get_by_role("link", name="Add a passkey").click()
    page.wait_for_load_state()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    sign_out(page, live_server)
    for factor in list(person.authenticator_set.all()):
        factor.delete()

    page.goto(f"{live_server.url}/sign-in/")
    page.get_by_role("button", name="Use a passkey").click()

    expect(page.get_by_text("This passkey does not open any account here.")).to_be_visible()


def test_a_browser_without_passkeys_says_so(live_server: LiveServer, page: Page) -> None:
    page.goto(re.sub("localhost", "127.0.0.1", live_server.url) + "/sign-in/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("They need https, or the name localhost")


def test_the_organisations_page_fits_a_phone(live_server: LiveServer, page: Page) -> None:
    administrator = factories.member(Role.ADMINISTRATOR)
    give_password(page, live_server, administrator)
    page.get_by_role("link", name=re.compile("requires")).click()
    page.get_by_label("Members need a second factor to sign in").wait_for()
    fits(page)
    shoot(page, "requirement")
