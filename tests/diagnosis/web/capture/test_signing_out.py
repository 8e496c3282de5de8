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


@pytest.fixture
def colleague(phone: Phone) -> str:
    """The address of somebody else of the same clinic."""
    phone.platform.command("shell", "-v", "0", "-c", _MAKE_COLLEAGUE)
    return COLLEAGUE


def test_two_people_on_one_phone_have_each_their_own_pin_and_lose_and_send_nothing_of_the_other(
    phone: Phone, colleague: str
) -> None:
    page, before = phone.page, cases(phone)
    begin_a_case(phone)
    page.evaluate("location.hash = '#/home'")
    phone.context.set_offline(True)
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(page.locator("#unsent-count")).to_have_text("Unsent: 1")
    phone.context.clear_cookies(name="sessionid")
    page.goto("about:blank")  # which ends the browser's being offline for the page that is left
    phone.context.set_offline(False)

    held = Held(phone, "me/")
    phone.sign_in(colleague)
    held.wait()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # what waits is sent now, were it theirs
    held.let_go()
    phone.choose_pin("918273")
    expect(page.locator("#greeting")).to_contain_text("Omar")
    expect(page.locator("#drafts .case")).to_have_count(0)
    page.evaluate("location.hash = '#/unsent'")
    expect(page.locator("#unsent-list")).to_contain_text(phone.text("unsent_others"))
    assert cases(phone) == before
    page.evaluate("location.hash = '#/home'")
    begin_a_case(phone)
    page.locator("#open-menu").click()
    page.locator("#sign-out").click()
    expect(page.locator("#sign-out-text")).to_contain_text("Cases that have not been sent yet: 1")  # their own
    page.locator("#sign-out-anyway").click()
    phone.signed_out()
    assert phone.unsent() == 1

    phone.sign_in()
    phone.unlock("918273")
    expect(page.locator("#unlock-error")).to_contain_text(": 9")
    phone.unlock()
    expect(page.locator("#drafts .case")).to_have_count(1)
    wait_until_sent(phone)
    assert cases(phone) == before + 1
    page.locator("#drafts .case").click()
    expect(page.locator("#consent-parts")).to_be_visible()


def test_ten_wrong_pins_of_one_person_destroy_nothing_of_another(phone: Phone, colleague: str) -> None:
    page = phone.page
    begin_a_case(phone)
    phone.context.clear_cookies(name="sessionid")
    phone.sign_in(colleague)
    phone.choose_pin("918273")
    begin_a_case(phone)
    phone.lock()
    for slip in ("", "12"):
        phone.unlock(slip)
        expect(page.locator("#unlock-error")).to_have_text(phone.text("pin_six"))
    for left in range(9, 0, -1):
        phone.unlock()
        expect(page.locator("#unlock-error")).to_contain_text(f": {left}")
    phone.unlock()
    expect(page.locator("#set-pin-error")).to_have_text(phone.text("pin_gone"))
    phone.choose_pin("918273")
    expect(page.locator("#drafts .case")).to_have_count(0)

    phone.context.clear_cookies(name="sessionid")
    phone.sign_in()
    expect(page.locator("#lock-text")).to_contain_text("Nadia")  # first it takes them for who was here before
    phone.unlock()
    expect(page.locator("#drafts .case")).to_have_count(1)


def test_what_was_made_by_one_person_waits_while_another_is_signed_in_beside_the_open_app(
    phone: Phone, colleague: str
) -> None:
    page, before = phone.page, cases(phone)
    phone.context.route("**/sealed-cases/", lambda route: route.abort())
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(page.locator("#unsent-count")).to_have_text("Unsent: 1")
    phone.context.clear_cookies(name="sessionid")
    beside = phone.context.new_page()
    beside.goto(f"{phone.base}/sign-in/?next=/account/")
    phone.fill_sign_in(colleague, beside)
    beside.wait_for_url(f"{phone.base}/account/")
    phone.context.unroute("**/sealed-cases/")

    page.locator("#send-now").click()
    expect(page.locator("#unsent-list")).to_contain_text(phone.text("unsent_signed_out"))
    assert (phone.unsent(), cases(phone)) == (1, before)

    phone.context.clear_cookies(name="sessionid")
    phone.sign_in()
    wait_until_sent(phone)
    assert cases(phone) == before + 1


#: As phones have it that had one PIN for everybody, and of whom is not always known.
ONE_PIN = """(user) => new Promise((resolve) => {
  const open = indexedDB.open("skincare-capture");
  open.onsuccess = () => {
    const changed = open.result.transaction(["device", "drafts"], "readwrite");
    const [device, drafts] = [changed.objectStore("device"), changed.objectStore("drafts")];
    device.getAll().onsuccess = ({ target }) => {
      const vault = target.result.find((row) => row.id.startsWith("vault "));
      device.delete(vault.id);
      device.put({ ...vault, id: "vault", user: user ?? vault.user });
    };
    drafts.getAll().onsuccess = ({ target }) => { for (const { author, ...row } of target.result) drafts.put(row); };
    changed.oncomplete = () => { open.result.close(); resolve(); };
  };
})"""


@pytest.mark.parametrize("of", [None, ""], ids=["theirs", "nobody's"])
def test_what_was_begun_while_a_phone_had_one_pin_opens_for_who_knows_it(phone: Phone, of: str | None) -> None:
    begin_a_case(phone)
    phone.lock()
    phone.page.evaluate(ONE_PIN, of)
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
