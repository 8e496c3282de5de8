"""The phone itself: unlocking by fingerprint, signing out everywhere, finding patients, and what stays on its disk."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests
from playwright.sync_api import expect

from tests.diagnosis.web.capture.phone import Phone
from tests.diagnosis.web.capture.test_offline import wait_until_sent
from tests.factories import PHOTOGRAPH

pytestmark = pytest.mark.browser


@pytest.fixture
def finger(new_phone: Callable[..., Phone]) -> tuple[Phone, Callable[[bool], None]]:
    """A phone that unlocks by fingerprint, and a way to say whose finger it is."""
    phone = new_phone(host="localhost")
    session = phone.context.new_cdp_session(phone.page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal", "hasResidentKey": True,
        "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True, "hasPrf": True,
    }  # fmt: skip
    authenticator = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def verified(own: bool) -> None:
        session.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": own})

    return phone, verified


def test_a_fingerprint_opens_what_was_begun_and_a_strangers_does_not(
    finger: tuple[Phone, Callable[[bool], None]],
) -> None:
    phone, verified = finger
    phone.begin()
    page = phone.page
    phone.new_case()
    phone.new_patient()
    page.locator("#open-menu").click()
    page.locator("#passkey-setting").click()
    page.locator("#passkey-pin").fill("111111")
    page.locator("#set-passkey .primary").click()
    expect(page.locator("#passkey-error")).to_contain_text(": 9")
    page.locator("#passkey-pin").fill("730415")
    page.locator("#set-passkey .primary").click()
    expect(page.locator("#passkey-dialog")).to_be_hidden()

    phone.lock()
    assert "Lindqvist" not in page.content()
    phone.context.set_offline(True)  # it needs no server
    page.locator("#unlock-passkey").click()
    expect(page.locator("#patient-chosen-name, #consent-effect").locator("visible=true").first).to_be_visible()
    page.locator("#back").click()
    expect(page.locator("#patient-chosen-name")).to_have_text("Maria Lindqvist")
    phone.context.set_offline(False)

    phone.lock()
    verified(False)
    page.locator("#unlock-passkey").click()
    expect(page.locator("#unlock-error")).to_have_text("That did not work. Use the PIN.")
    expect(page.locator("#unlock")).to_be_visible()
    phone.unlock()
    expect(page.locator("#patient-chosen-name")).to_be_visible()
    page.locator("#open-menu").click()
    page.locator("#passkey-setting").click()  # and off again
    page.locator("#menu [data-close]").click()
    phone.lock()
    expect(page.locator("#unlock-passkey")).to_be_hidden()
    phone.unlock()
    expect(page.locator("#patient-chosen-name")).to_be_visible()


def test_signing_out_everywhere_ends_what_other_devices_have(new_phone: Callable[..., Phone], phone: Phone) -> None:
    other = new_phone()
    other.begin()
    platform = phone.platform
    token = platform.headers_of("clinician@demo.example")
    try:
        phone.context.set_offline(True)
        phone.page.locator("#open-menu").click()
        phone.page.locator("#sign-out-everywhere").click()
        expect(phone.page.locator("#menu-error")).to_contain_text("cannot be reached")
        phone.context.set_offline(False)
        phone.page.locator("#sign-out-everywhere").click()
        phone.signed_out()
        assert requests.get(platform.url("me/"), headers=token, timeout=10).status_code == 401
        other.page.reload()
        other.signed_out()
        assert "[device]" not in phone.memory()
    finally:
        platform.headers = platform.headers_of("clinician@demo.example")


def test_a_patient_is_found_by_number_or_by_name_and_birth_date(phone: Phone) -> None:
    page = phone.page
    name = f"Zdenka Ó{phone.folder.name.replace('phone', 'N')}-Smith"
    phone.new_case()
    number = phone.new_patient(name=name)
    phone.consent("analysis")
    phone.site()
    phone.photograph(PHOTOGRAPH)
    phone.next("photographs")
    phone.history()
    phone.impression()
    phone.submit()
    expect(page.locator("#verdict-words")).to_be_visible()

    page.evaluate("location.hash = '#/find'")
    page.locator("#look-up-number").fill(number.lower())
    page.locator("#look-up .primary").click()
    expect(page.locator("#looked-up .case")).to_contain_text(name)
    other = " ".join(reversed(name.replace("-", " ").replace("Ó", "o").upper().split()))
    page.locator("#look-up-name-field").fill(other)
    page.locator("#look-up-name button").click()
    expect(page.locator("#look-up-error")).to_contain_text("the whole name and the birth date")
    page.locator("#look-up-birth").fill("1961-04-18")
    page.locator("#look-up-name button").click()
    expect(page.locator("#look-up-error")).to_contain_text("no patient with this name")
    page.locator("#look-up-birth").fill("1961-04-17")
    page.locator("#look-up-name button").click()
    page.locator("#looked-up .case").click()
    expect(page.locator("#record-name")).to_have_text(name)
    expect(page.locator("#record-lesions .case")).to_have_count(1)

    # The same in a new case: chosen with what is in force.
    page.evaluate("location.hash = '#/new'")
    page.locator("#by-name summary").click()
    page.locator("#by-name-field").fill(other)
    page.locator("#by-name-birth").fill("1961-04-17")
    page.locator("#find-by-name button").click()
    page.locator("#patients-found .case").click()
    expect(page.locator("#consent-known-text")).to_contain_text("Analysis")


def test_behind_the_lock_the_page_holds_nothing_of_the_patient(phone: Phone) -> None:
    page = phone.page
    number = phone.to_review(PHOTOGRAPH, "analysis", "teledermatology")
    page.locator("#note").fill("Grandmother Xanthippe saw it first.")
    review = page.evaluate("location.hash")

    def lock_and_look(where: str) -> None:
        phone.lock()
        found = phone.held_in_the_page()
        assert [secret for secret in (number, "Lindqvist", "1961-04-17", "Xanthippe") if secret in found] == [], where
        assert page.locator("img[src^='blob:']").count() == 0, where
        phone.unlock()

    for step in ("patient", "consent", "site", "photographs", "history", "impression", "review"):
        page.evaluate("(place) => { location.hash = place; }", review.replace("review", step))
        shown = page.locator(f"[data-screen={step}]")
        expect(shown).to_be_visible()
        lock_and_look(step)
        expect(shown).to_be_visible()
    expect(page.locator("#note")).to_have_value("Grandmother Xanthippe saw it first.")
    phone.submit()
    phone.until("document.querySelector('#photograph').naturalWidth > 0")
    lock_and_look("answer")
    page.get_by_role("link", name="Refer to dermatology").click()
    page.locator("#refer-question").fill("Is Xanthippe right?")
    lock_and_look("refer")
    page.locator("#refer-question").fill("Is Xanthippe right?")
    page.locator("#refer .primary").click()
    expect(page.locator("#referral-facts")).to_contain_text("Xanthippe")
    lock_and_look("referral")


#: How a phone that slept comes back to the app. While it sleeps no timer runs, and its clock goes on.
WAKINGS: dict[str, Callable[[Phone], object]] = {
    "it is looked at": lambda phone: phone.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))"),
    "it is touched": lambda phone: phone.page.locator("#bar-title").dispatch_event("pointerdown"),
    "timers run again": lambda phone: phone.page.clock.run_for(5_000),
}


def test_a_phone_that_was_put_down_is_locked_when_it_wakes(phone: Phone) -> None:
    page = phone.page
    moment = datetime.now(UTC)
    page.clock.install(time=moment)
    page.reload()
    phone.unlock()
    phone.new_case()
    number = phone.new_patient()
    expect(page.locator("#consent-parts")).to_be_visible()
    moment += timedelta(minutes=2)
    page.clock.pause_at(moment)
    for waking, wake in WAKINGS.items():
        moment += timedelta(minutes=2)
        page.clock.set_system_time(moment)
        wake(phone)
        expect(page.locator("#consent-parts"), waking).to_be_visible()  # less than five minutes are not too long

        moment += timedelta(minutes=30)
        page.clock.set_system_time(moment)
        wake(phone)

        expect(page.locator("#unlock"), waking).to_be_visible()
        assert [secret for secret in (number, "Lindqvist") if secret in phone.held_in_the_page()] == [], waking
        phone.unlock()
        expect(page.locator("#consent-parts")).to_be_visible()


def test_the_phones_disk_holds_nothing_of_the_patient(phone: Phone) -> None:
    """IndexedDB, caches, storage and the browser's own HTTP cache: the whole profile is read."""
    page = phone.page
    number = phone.to_review(PHOTOGRAPH, "analysis", "teledermatology")
    page.locator("#note").fill("Grandmother Xanthippe saw it first.")
    phone.submit()
    expect(page.locator("#verdict-words")).to_be_visible()
    phone.until("document.querySelector('#photograph').naturalWidth > 0")
    page.get_by_role("link", name="Refer to dermatology").click()
    page.locator("#refer-question").fill("Is Xanthippe right?")
    page.locator("#refer .primary").click()
    expect(page.locator("#referral-facts")).to_contain_text("Xanthippe")
    wait_until_sent(phone)
    secrets = (number, "Lindqvist", "1961-04-17", "Xanthippe")
    memory = phone.memory()
    assert [secret for secret in secrets if secret in memory] == []
    assert "JFIF" not in memory

    page.locator("#open-menu").click()
    page.locator("#sign-out").click()
    phone.signed_out()
    phone.close()
    try:
        assert phone.on_disk(*secrets) == []
    finally:
        phone.start()


def test_a_patient_can_be_described_while_the_server_does_not_answer(phone: Phone) -> None:
    page = phone.page
    phone.context.route("**/patients/look-up/", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    phone.new_case()
    phone.new_patient()
    expect(page.locator("#consent-parts")).to_be_visible()
    page.locator("#back").click()
    page.locator("#find-patient-button").click()
    expect(page.locator("#new-patient-why")).to_have_text(phone.text("patient_not_looked_up"))
