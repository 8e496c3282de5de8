"""Who a phone takes for signed in, and what signing out leaves: no case is lost unasked, and nobody sees another's."""

import re
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import expect

from tests.diagnosis.web.capture.phone import Phone
from tests.diagnosis.web.capture.test_journey import cases
from tests.diagnosis.web.capture.test_late import Held
from tests.diagnosis.web.capture.test_offline import wait_until_sent
from tests.factories import PHOTOGRAPH
from tests.faults.platform import eventually

pytestmark = pytest.mark.browser


def begin_a_case(phone: Phone) -> None:
    """A case with a patient, kept on the phone."""
    phone.new_case()
    phone.new_patient()
    expect(phone.page.locator("#consent-parts")).to_be_visible()
    eventually("the draft is kept", lambda: "[drafts]" in phone.memory())


def test_where_nobody_is_known_no_case_is_begun(phone: Phone) -> None:
    """Signed out before, and the app's page is still kept."""
    page = phone.page
    page.locator("#open-menu").click()
    page.locator("#sign-out").click()
    phone.signed_out()
    phone.context.set_offline(True)
    page.goto(f"{phone.base}/capture/")
    expect(page.locator("#trouble-text")).to_have_text(phone.text("who_unknown"))
    page.locator("#trouble-again").click()
    expect(page.locator("#trouble-text")).to_be_visible()
    for locator in ("#set-pin", "#open-menu", "#trouble a"):
        expect(page.locator(locator)).to_be_hidden()

    phone.context.set_offline(False)  # and by itself it asks again

    phone.signed_out()


def test_who_has_just_signed_in_gets_no_further_than_the_server_knows_them(new_phone: Callable[..., Phone]) -> None:
    phone = new_phone()
    phone.context.route("**/api/v1/me/", lambda route: route.fulfill(status=503, json={}))
    phone.sign_in()
    expect(phone.page.locator("#trouble-text")).to_contain_text("error (503)")
    expect(phone.page.locator("#set-pin")).to_be_hidden()
    phone.context.unroute("**/api/v1/me/")
    phone.page.locator("#trouble-again").click()
    phone.choose_pin()
    before = cases(phone)
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(phone.page.locator("#verdict-words")).to_be_visible()
    assert cases(phone) == before + 1


#: Of the demonstration's clinician, with the same password.
COLLEAGUE = "colleague@demo.example"
_MAKE_COLLEAGUE = f"""
from skincare.accounts.models import Membership, User
one = User.objects.get(email="clinician@demo.example")
place = one.memberships.get()
user, _ = User.objects.get_or_create(
    email="{COLLEAGUE}", defaults={{"password": one.password, "first_name": "Omar", "last_name": "Weber"}}
)
Membership.objects.get_or_create(user=user, organisation=place.organisation, role=place.role)
"""


def test_the_next_person_on_a_phone_chooses_a_pin_and_sends_nothing_of_the_one_before(phone: Phone) -> None:
    page, before = phone.page, cases(phone)
    phone.platform.command("shell", "-v", "0", "-c", _MAKE_COLLEAGUE)
    phone.context.set_offline(True)
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(page.locator("#unsent-count")).to_have_text("Unsent: 1")
    phone.context.clear_cookies(name="sessionid")
    page.goto("about:blank")  # which ends the browser's being offline for the page that is left
    phone.context.set_offline(False)

    held = Held(phone, "me/")
    phone.sign_in(COLLEAGUE)
    held.wait()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # what waits is sent now, were it theirs
    held.let_go()
    phone.choose_pin()
    expect(page.locator("#greeting")).to_contain_text("Omar")
    page.evaluate("location.hash = '#/unsent'")
    expect(page.locator("#unsent-list")).to_contain_text(phone.text("unsent_others"))
    assert cases(phone) == before

    phone.context.clear_cookies(name="sessionid")
    phone.sign_in()
    phone.choose_pin()
    wait_until_sent(phone)
    assert cases(phone) == before + 1


#: As phones have it whose PIN was chosen while nobody was known.
OF_NOBODY = """() => new Promise((resolve) => {
  const open = indexedDB.open("skincare-capture");
  open.onsuccess = () => {
    const device = open.result.transaction("device", "readwrite").objectStore("device");
    const get = device.get("vault");
    get.onsuccess = () => {
      device.put({ ...get.result, user: "" }).onsuccess = () => { open.result.close(); resolve(); };
    };
  };
})"""


def test_what_was_begun_while_nobody_was_known_opens_for_who_knows_the_pin(phone: Phone) -> None:
    begin_a_case(phone)
    phone.lock()
    phone.page.evaluate(OF_NOBODY)
    for _ in range(2):
        phone.page.reload()
        phone.unlock()
        expect(phone.page.locator("#consent-parts")).to_be_visible()
    phone.page.locator("#back").click()
    expect(phone.page.locator("#patient-chosen-name")).to_have_text("Maria Lindqvist")


def test_signing_out_warns_of_unsent_cases_and_leaves_nothing(phone: Phone) -> None:
    phone.context.set_offline(True)
    number = phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(phone.page.locator("#unsent-count")).to_have_text("Unsent: 1")
    phone.page.locator("#open-menu").click()
    phone.page.locator("#sign-out").click()
    expect(phone.page.locator("#sign-out-text")).to_contain_text("Cases that have not been sent yet: 1")
    phone.page.locator("#sign-out-warning [data-close]").click()
    assert phone.unsent() == 1

    phone.context.set_offline(False)
    wait_until_sent(phone)
    phone.page.locator("#open-menu").click()
    phone.page.locator("#sign-out").click()
    phone.signed_out()
    memory = phone.memory()
    for store in ("device", "drafts", "photographs", "outbox"):
        assert f"[{store}]" not in memory
    assert memory.endswith("[]\n[]")  # no entry of either storage
    for secret in (number, "Lindqvist", "clinician@demo.example"):
        assert secret not in memory


def test_signing_out_warns_of_begun_cases_also_where_the_pin_was_forgotten(phone: Phone) -> None:
    page = phone.page
    begin_a_case(phone)
    page.locator("#open-menu").click()
    page.locator("#sign-out").click()
    expect(page.locator("#sign-out-text")).to_contain_text("Cases that have not been sent yet: 1")
    page.locator("#sign-out-warning [data-close]").click()
    phone.lock()
    page.locator("#forgot-pin").click()
    expect(page.locator("#sign-out-text")).to_contain_text("Cases that have not been sent yet: 1")
    assert "[drafts]" in phone.memory()
    page.locator("#sign-out-anyway").click()
    phone.signed_out()
    assert "[drafts]" not in phone.memory()


def session_is_alive(phone: Phone, session: str) -> bool:
    answer = requests.get(phone.platform.url("me/"), cookies={"sessionid": session}, timeout=30)
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


def session_of(phone: Phone) -> str:
    return next(cookie["value"] for cookie in phone.context.cookies() if cookie["name"] == "sessionid")  # type: ignore[typeddict-item]


def sign_out_offline(phone: Phone) -> None:
    said = phone.text("sign_out_owed")
    phone.context.set_offline(True)
    phone.page.locator("#open-menu").click()
    phone.page.locator("#sign-out").click()
    expect(phone.page.locator("#trouble-text")).to_have_text(said)


@pytest.mark.parametrize("opened", ["still open", "opened again"])
def test_a_sign_out_without_a_network_is_made_good_before_anything_is_shown(phone: Phone, opened: str) -> None:
    session = session_of(phone)
    sign_out_offline(phone)
    expect(phone.page.locator("#set-pin, #unlock").locator("visible=true")).to_have_count(0)
    assert "clinician@demo.example" not in phone.memory()
    assert session_is_alive(phone, session)
    if opened == "opened again":
        phone.close()
        phone.start()
        phone.page.goto(f"{phone.base}/capture/", wait_until="commit")  # it leads on before it is loaded
    else:
        phone.context.set_offline(False)

    phone.signed_out()

    assert not session_is_alive(phone, session)
    assert "[device]" not in phone.memory()


def test_who_signed_in_since_is_not_signed_out_for_what_was_owed(phone: Phone) -> None:
    sign_out_offline(phone)
    phone.close()
    phone.start()
    phone.context.clear_cookies(name="sessionid")
    phone.begin()
    assert session_is_alive(phone, session_of(phone))


def test_signing_out_on_the_accounts_pages_warns_and_empties_the_phone_too(phone: Phone) -> None:
    page = phone.page
    begin_a_case(phone)
    phone.lock()
    session = session_of(phone)

    def sign_out_saying(answer: str) -> None:
        page.goto(f"{phone.base}/account/")
        page.evaluate(f"window.confirm = (text) => {{ document.title = text; return {answer}; }}")
        page.locator(".app-menu summary").click()
        page.get_by_role("button", name="Sign out").click()

    sign_out_saying("false")
    expect(page).to_have_title(re.compile("Cases that have not been sent yet: 1"))
    assert session_is_alive(phone, session)
    assert "[drafts]" in phone.memory()

    sign_out_saying("true")
    page.wait_for_url(f"{phone.base}/")
    assert not session_is_alive(phone, session)
    for store in ("device", "drafts", "photographs", "outbox"):
        assert f"[{store}]" not in phone.memory()


def test_somebody_else_who_signs_out_there_leaves_the_phones_owner_their_cases(phone: Phone) -> None:
    begin_a_case(phone)
    phone.context.clear_cookies(name="sessionid")
    phone.sign_in("dermatologist@demo.example")
    expect(phone.page.locator("h1")).to_be_visible()
    phone.page.goto(f"{phone.base}/account/")
    phone.page.locator(".app-menu summary").click()
    phone.page.get_by_role("button", name="Sign out").click()
    phone.page.wait_for_url(f"{phone.base}/")
    assert "[drafts]" in phone.memory()

    phone.sign_in()
    phone.unlock()
    expect(phone.page.locator("#drafts .case")).to_be_visible()
