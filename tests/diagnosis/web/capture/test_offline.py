"""Without a network, with one that breaks, and with a session that ends: each case arrives exactly once."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
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
    """A phone whose clock only the test moves, about to submit 12 MB over a slow line, and the uploads that it begins.

    Of those the buffers on the way take some 6 MB at once, and more only when a third of that has gone.
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
    later = phone.page.evaluate("Date.now() / 1000 + 30")
    phone.page.clock.pause_at(datetime.fromtimestamp(later, UTC))
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
    # As after too many wrong PINs: what was submitted stays, the key is gone.
    page.evaluate(
        "Promise.all(['store', 'who'].map((name) => import(`/static/skincare/capture/${name}.js`)))"
        ".then(([store, who]) => store.remove('device', store.vaultOf(who.me.user)))"
    )
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
