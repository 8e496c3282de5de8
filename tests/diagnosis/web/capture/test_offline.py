"""Without a network, with one that breaks, and with a session that ends: each case arrives exactly once."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from PIL import Image
from playwright.sync_api import expect

from tests.diagnosis.web.capture.dermatologist import visit
from tests.diagnosis.web.capture.line import Line
from tests.diagnosis.web.capture.phone import PIN, Phone
from tests.diagnosis.web.capture.test_journey import cases, to_photographs
from tests.diagnosis.web.capture.test_late import Held
from tests.factories import PHOTOGRAPH
from tests.faults.platform import Platform, eventually

pytestmark = pytest.mark.browser


#: Cases in the outbox, in their order.
WAITING = """() => import("/static/skincare/capture/outbox.js")
  .then(async (outbox) => (await outbox.waiting()).map((row) => row.id))"""


def wait_until_sent(phone: Phone) -> None:
    eventually("nothing is unsent", lambda: phone.unsent() == 0)


def go_home(phone: Phone) -> None:
    phone.page.evaluate("location.hash = '#/home'")


def test_a_case_made_offline_arrives_once_after_the_browser_was_closed(phone: Phone) -> None:
    before = cases(phone)
    phone.context.set_offline(True)
    phone.page.reload()
    phone.unlock()
    expect(phone.page.locator("#offline-chip")).to_be_visible()
    number = phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(phone.page.locator("#unsent-count")).to_have_text("Unsent: 1")
    expect(phone.page.locator("#unsent-list")).to_contain_text("Waits for the network")
    memory = phone.memory()
    for secret in (number, "Lindqvist", "1961-04-17", "JFIF"):
        assert secret not in memory
    assert "[outbox]" in memory

    phone.close()
    phone.start()
    phone.context.set_offline(True)
    phone.page.goto(f"{phone.base}/capture/")
    expect(phone.page.locator("#unlock")).to_be_visible()
    expect(phone.page.locator("#unsent-count")).to_have_text("Unsent: 1")
    assert cases(phone) == before
    phone.context.set_offline(False)  # and it stays locked: a locked phone sends, and shows nothing

    wait_until_sent(phone)
    assert cases(phone) == before + 1
    expect(phone.page.locator("#unsent-chip")).to_be_hidden()
    expect(phone.page.locator("#unlock")).to_be_visible()
    phone.unlock()
    expect(phone.page.locator("#recent")).to_contain_text("Maria Lindqvist")
    assert "[drafts]" not in phone.memory()


def test_two_cases_go_in_their_order(phone: Phone) -> None:
    phone.context.set_offline(True)
    numbers = [phone.to_review(PHOTOGRAPH)]
    phone.submit()
    expect(phone.page.locator("#unsent-list > li")).to_have_count(1)
    go_home(phone)
    numbers.append(phone.to_review(PHOTOGRAPH))
    phone.submit()
    expect(phone.page.locator("#unsent-count")).to_have_text("Unsent: 2")
    ids = phone.page.evaluate(WAITING)
    phone.context.set_offline(False)
    wait_until_sent(phone)
    latest = "SELECT array_agg(id::text ORDER BY submitted_at) FROM diagnosis_case WHERE id = ANY(%s::uuid[])"
    assert phone.platform.ask(latest, ids) == ids


@pytest.mark.parametrize("tab", ["the same tab", "a second tab"])
def test_a_case_finished_while_another_is_being_sent_goes_right_behind_it(phone: Phone, tab: str) -> None:
    before = cases(phone)
    held = Held(phone, "sealed-cases/")
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    held.wait()
    if tab == "a second tab":
        phone.page = phone.context.new_page()
        phone.page.goto(f"{phone.base}/capture/")
        phone.unlock()
    else:
        go_home(phone)
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(phone.page.locator("#unsent-count")).to_have_text("Unsent: 2")
    newest = phone.page.evaluate(WAITING)[-1]

    held.let_go()

    wait_until_sent(phone)
    assert cases(phone) == before + 2
    expect(phone.page.locator("#verdict-words")).to_be_visible()
    assert phone.page.url.endswith(f"#/answer/{newest}")


@pytest.mark.parametrize("status", [502, 503])
def test_a_server_that_fails_for_a_moment_keeps_nobody_from_finishing_a_case(phone: Phone, status: int) -> None:
    before = cases(phone)
    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    for part in (f"lesions/?patient={made['patient']}*", f"patients/{made['patient']}/consents/"):
        phone.context.route(
            f"**/api/v1/{part}", lambda route: route.fulfill(status=status, body="<h1>Bad Gateway</h1>")
        )
    phone.page.evaluate("(patient) => { location.hash = `#/new/${patient}`; }", made["patient"])
    phone.consent("analysis")
    phone.site()
    phone.photograph(PHOTOGRAPH)
    phone.next("photographs")
    phone.history()
    phone.impression()
    phone.submit()
    expect(phone.page.locator("#verdict-words")).to_be_visible()
    assert cases(phone) == before + 2


@pytest.fixture
def line(running_platform: Platform) -> Iterator[Line]:
    """A line to the server that can break."""
    made = Line(running_platform.port)
    yield made
    made.close()


def test_an_upload_that_breaks_off_is_sent_again_by_itself(new_phone: Callable[..., Phone], line: Line) -> None:
    phone = new_phone(port=line.port)
    phone.begin()
    before = cases(phone)
    phone.to_review(PHOTOGRAPH)
    line.break_after = 20_000
    phone.submit()
    expect(phone.page.locator("#verdict-words")).to_be_visible()
    assert line.broken == 1
    assert cases(phone) == before + 1


#: The test's clock moves the page's timers, but not the browser's own limit on a request: this ties that to a timer.
LIMIT_BY_THE_CLOCK = """Object.defineProperty(XMLHttpRequest.prototype, "timeout", {
  set(pause) { setTimeout(() => this.abort(), pause); },
})"""
#: How often the envelopes that wait are read, as `reads`.
COUNT_READS = """() => {
  const { getAll } = IDBObjectStore.prototype;
  window.reads = 0;
  IDBObjectStore.prototype.getAll = function (...all) {
    window.reads += this.name === "outbox";
    return getAll.apply(this, all);
  };
}"""
KINDS = ("dermoscopic", "close_up", "overview")
UPLOADED = "(document.querySelector('#unsent-list progress')?.value ?? 0)"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A photograph of 2 MB."""
    grain = Image.effect_noise((1800, 1350), 60)
    with Image.open(PHOTOGRAPH) as photograph:
        Image.blend(photograph.resize(grain.size), grain.convert("RGB"), 0.3).save(tmp_path / "large.jpg", quality=98)
    return tmp_path / "large.jpg"


@pytest.fixture
def slow(new_phone: Callable[..., Phone], line: Line, large: Path) -> tuple[Phone, list[str]]:
    """A phone whose clock the test moves, about to submit 12 MB over a slow line, and the uploads that it begins.

    Of those the buffers on the way take some 6 MB at once.
    """
    phone = new_phone(port=line.port)
    phone.page.add_init_script(LIMIT_BY_THE_CLOCK)
    phone.page.clock.install()
    phone.begin()
    uploads: list[str] = []
    phone.page.on("request", lambda request: uploads.append(request.url) if "sealed-cases" in request.url else None)
    to_photographs(phone)
    for kind in (*KINDS, *KINDS):
        phone.photograph(large, kind)
    phone.next("photographs")
    phone.history()
    phone.impression()
    line.pause = 0.02
    return phone, uploads


def test_a_slow_upload_may_take_as_long_as_it_moves(slow: tuple[Phone, list[str]], line: Line) -> None:
    phone, uploads = slow
    before = cases(phone)
    phone.submit()
    phone.until(f"{UPLOADED} > 0")
    phone.page.evaluate(COUNT_READS)
    for _ in range(3):
        uploaded = phone.page.evaluate(UPLOADED)
        phone.page.clock.fast_forward(50_000)
        phone.until(f"{UPLOADED} > {uploaded}")
    assert len(uploads) == 1
    assert phone.page.evaluate("reads") == 0
    line.pause = 0
    wait_until_sent(phone)
    assert len(uploads) == 1
    assert cases(phone) == before + 1


def test_an_upload_that_stands_still_is_begun_again(slow: tuple[Phone, list[str]], line: Line) -> None:
    phone, uploads = slow
    before = cases(phone)
    phone.submit()
    phone.until(f"{UPLOADED} > 0")
    line.moving.clear()
    uploaded = -1.0
    while (at := phone.page.evaluate(UPLOADED)) > uploaded:  # until what lies between is full
        uploaded = at
        phone.page.wait_for_timeout(500)
    phone.page.clock.fast_forward(61_000)
    expect(phone.page.locator("#unsent-list")).to_contain_text("Tried: 1")
    line.moving.set()
    line.pause = 0
    phone.page.clock.fast_forward(3_000)
    wait_until_sent(phone)
    assert len(uploads) == 2
    assert cases(phone) == before + 1


def test_a_receipt_that_is_lost_makes_no_second_case(new_phone: Callable[..., Phone], line: Line) -> None:
    phone = new_phone(port=line.port)
    phone.begin()
    before = cases(phone)
    phone.to_review(PHOTOGRAPH)
    line.lose_receipt = True
    phone.submit()
    eventually("the receipt is lost", lambda: line.broken == 1)
    wait_until_sent(phone)
    assert line.broken == 1
    assert cases(phone) == before + 1


def test_a_session_that_ended_offline_keeps_the_case_until_the_next_signing_in(phone: Phone) -> None:
    before = cases(phone)
    phone.context.set_offline(True)
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(phone.page.locator("#unsent-count")).to_have_text("Unsent: 1")
    phone.context.clear_cookies(name="sessionid")
    phone.context.set_offline(False)
    expect(phone.page.locator("#unsent-list")).to_contain_text("You are signed out")
    assert cases(phone) == before

    phone.sign_in()
    phone.unlock()
    wait_until_sent(phone)
    assert cases(phone) == before + 1


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


def refused(phone: Phone) -> None:
    """A case that the server refuses: its patient, described without a network, is known there by the record number."""
    number = phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(phone.page.locator("#verdict-words")).to_be_visible()
    before = cases(phone)
    go_home(phone)
    phone.context.set_offline(True)
    phone.new_case()
    phone.new_patient(number)
    phone.consent("analysis")
    phone.site()
    phone.photograph(PHOTOGRAPH)
    phone.next("photographs")
    phone.history()
    phone.impression()
    phone.submit()
    expect(phone.page.locator("#unsent-count")).to_have_text("Unsent: 1")
    phone.context.set_offline(False)
    expect(phone.page.locator("#unsent-list")).to_contain_text("already belongs to a patient")
    assert cases(phone) == before


def test_a_refused_case_says_why_and_can_be_mended(phone: Phone) -> None:
    refused(phone)
    before = cases(phone)

    phone.page.locator("#unsent-list .primary").click()
    expect(phone.page.locator("#mend-text")).to_contain_text("already belongs")
    phone.page.locator("#mend-patient").click()
    expect(phone.page.locator("#mend")).to_be_hidden()
    phone.submit()
    expect(phone.page.locator("#verdict-words")).to_be_visible()
    assert cases(phone) == before + 1


def test_a_refused_case_is_discarded_where_the_clinician_says_so(phone: Phone) -> None:
    page = phone.page
    refused(phone)
    page.locator("#unsent-list").get_by_role("button", name="Discard this case").click()
    expect(page.locator("#unsent-empty")).to_be_visible()
    expect(page.locator("#unsent-chip")).to_be_hidden()
    memory = phone.memory()
    for store in ("drafts", "photographs", "outbox"):
        assert f"[{store}]" not in memory


def test_a_refused_case_of_an_earlier_pin_says_that_it_cannot_be_mended_and_can_be_discarded(phone: Phone) -> None:
    page = phone.page
    refused(phone)
    # As where another person signed in on this phone meanwhile: what was submitted stays, the key is gone.
    page.evaluate("import('/static/skincare/capture/store.js').then((store) => store.remove('device', 'vault'))")
    page.reload()
    page.locator("#new-pin").fill(PIN)
    page.locator("#new-pin-again").fill(PIN)
    page.locator("#set-pin .primary").click()
    expect(page.locator("#unsent-list")).to_contain_text("because the PIN was changed")
    expect(page.locator("#unsent-list")).to_contain_text("already belongs to a patient")
    expect(page.locator("#unsent-list .primary")).to_have_count(0)
    page.locator("#unsent-list button").click()
    expect(page.locator("#unsent-empty")).to_be_visible()
    assert phone.unsent() == 0


def test_a_case_from_a_clock_that_was_ahead_is_taken_once_the_clock_is_set(new_phone: Callable[..., Phone]) -> None:
    phone, now = new_phone(), datetime.now(UTC)
    page, before = phone.page, cases(phone)
    page.clock.install(time=now + timedelta(hours=2))
    phone.begin()
    phone.context.set_offline(True)
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(page.locator("#unsent-count")).to_have_text("Unsent: 1")
    phone.context.set_offline(False)
    expect(page.locator("#unsent-list")).to_contain_text("clock is ahead of the server’s")
    assert cases(phone) == before

    page.clock.set_system_time(now)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#unlock")).to_be_visible()  # as after any long while
    phone.unlock()
    page.locator("#unsent-list .primary").click()
    phone.submit()
    expect(page.locator("#verdict-words")).to_be_visible()
    assert cases(phone) == before + 1


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


def begin_a_case(phone: Phone) -> None:
    """A case with a patient, kept on the phone."""
    phone.new_case()
    phone.new_patient()
    expect(phone.page.locator("#consent-parts")).to_be_visible()
    eventually("the draft is kept", lambda: "[drafts]" in phone.memory())


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


#: What a browser does on a full phone: writing fails with this error. Chromium's own limit cannot be set from here.
FILL = """() => {
  window.put = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = () => { throw new DOMException("full", "QuotaExceededError"); };
}"""
FREE = "() => { IDBObjectStore.prototype.put = window.put; }"


def test_a_full_phone_says_so_and_keeps_what_it_has(phone: Phone) -> None:
    page, before = phone.page, cases(phone)
    phone.new_case()
    phone.new_patient()
    phone.consent("analysis")
    page.evaluate(FILL)
    page.locator(".body[data-side=front] [data-region=abdomen]").click()
    expect(page.locator("#site-error")).to_contain_text("storage is full")
    step = page.evaluate("location.hash")
    page.evaluate("location.hash = '#/home'")
    expect(page.locator("#drafts .case")).to_be_visible()
    page.evaluate("(step) => { location.hash = step; }", step)
    page.evaluate(FREE)
    phone.site("chest")
    page.evaluate(FILL)
    page.locator("[data-kind=dermoscopic] [type=file]").set_input_files(PHOTOGRAPH)
    expect(page.locator("#photographs-error")).to_contain_text("storage is full")
    page.evaluate(FREE)
    phone.photograph(PHOTOGRAPH)
    phone.next("photographs")
    phone.history()
    phone.impression()
    page.evaluate("import('/static/skincare/capture/draft.js').then((draft) => draft.save())")
    page.evaluate(FILL)
    phone.submit()
    expect(page.locator("#review-error")).to_contain_text("storage is full")
    assert phone.unsent() == 0
    page.reload()  # and what was kept until then opens again where it was left, to be submitted once there is room
    phone.unlock()
    expect(page.locator("#submit-case")).to_be_visible()
    phone.submit()
    expect(page.locator("#verdict-words")).to_be_visible()
    assert cases(phone) == before + 1


def test_ten_wrong_pins_destroy_what_was_begun(phone: Phone) -> None:
    phone.new_case()
    phone.new_patient()
    phone.page.wait_for_timeout(600)
    phone.lock()
    assert "Lindqvist" not in phone.page.content()
    for left in range(9, 0, -1):
        phone.page.locator("#pin").fill("111111")
        phone.page.locator("#unlock .primary").click()
        expect(phone.page.locator("#unlock-error")).to_contain_text(f": {left}")
    phone.page.locator("#pin").fill("111111")
    phone.page.locator("#unlock .primary").click()
    expect(phone.page.locator("#set-pin-error")).to_contain_text("Too many wrong PINs")
    assert "[drafts]" not in phone.memory()
