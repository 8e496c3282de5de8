"""How many taps, fields and characters a case takes, and how long that is by the keystroke-level model.

docs/capture.md states these counts and says where the operators' times come from. Nobody is timed here: the seconds are
sums of counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import randrange

import pytest
from playwright.sync_api import expect

from tests.diagnosis.web.capture.dermatologist import visit
from tests.diagnosis.web.capture.phone import Phone
from tests.factories import PHOTOGRAPH

pytestmark = pytest.mark.browser
#: Card, Moran & Newell 1980: think, point, press a key. A tap is thought of and pointed at, each single one of them.
THINK, POINT, KEY = 1.35, 1.1, 0.28
#: Of ours: drawing a name, and aiming the camera until it has focused. Card and others leave both to who measures.
SIGNATURE, AIM = 5.0, 5.0
#: Brysbaert 2019: words of English read silently in a minute.
READ = 238
#: The issue's limits, in seconds, for who knows the app and for who sees it for the first time.
RETURNING, FIRST_TIME = 90, 180
COUNT = """() => {
  window.counted = { taps: 0, fields: new Set(), characters: 0 };
  addEventListener("click", (event) => { if (event.isTrusted && event.detail > 0) window.counted.taps += 1; }, true);
  addEventListener("keydown", ({ isTrusted, key }) => {
    if (isTrusted && key.length === 1) window.counted.characters += 1;
  }, true);
  addEventListener("input", (event) => {
    const typed = event.target.matches("input:not([type=radio], [type=checkbox], [type=file]), textarea");
    if (typed && event.isTrusted) window.counted.fields.add(event.target.id);
  }, true);
}"""
KEEP = """() => {
  document.querySelector("[data-keep]:not([hidden])").click();
  for (const remark of document.querySelectorAll(".remark:not([hidden]) input")) {
    remark.value = "test";
    remark.dispatchEvent(new Event("input"));
  }
}"""
#: A tap on a label is one for the finger and two for the page: its field is clicked as well, without a pointer.
COUNTED = "[window.counted.taps, window.counted.fields.size, window.counted.characters]"
#: What stands on a screen to be read: not the numbers of the steps, the options of a list, nor the patient's own text.
WORDS = """() => {
  const NOT_READ = "select, .for-readers, .policy-text, .steps-bar, .yes-no, .shots";
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  let words = 0;
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.checkVisibility() || parent.closest(NOT_READ)) continue;
    words += walker.currentNode.data.split(/\\s+/).filter(Boolean).length;
  }
  return words;
}"""


@dataclass
class Effort:
    """What one case took. ``words`` stand on the steps that were walked through."""

    taps: int = 0
    fields: int = 0
    characters: int = 0
    signatures: int = 0
    photographs: int = 0
    words: int = 0

    def seconds(self) -> float:
        """By the model, of somebody who knows the app."""
        drawn = self.signatures * SIGNATURE + self.photographs * AIM
        return self.taps * (THINK + POINT) + self.characters * KEY + drawn

    def seconds_for_the_first_time(self) -> float:
        """By the model, of somebody who reads every word of every step, which takes the place of thinking."""
        return self.seconds() - self.taps * THINK + self.words * 60 / READ


class Walk:
    """Takes a case through the app as a finger does, and counts."""

    def __init__(self, phone: Phone) -> None:
        self.phone, self.page, self.effort = phone, phone.page, Effort()
        self.page.evaluate(COUNT)

    def tap(self, selector: str) -> None:
        """One tap."""
        self.page.locator(selector).first.click()

    def type(self, selector: str, text: str) -> None:
        """Into a field that has the cursor already, or is tapped first."""
        field = self.page.locator(selector)
        if not field.evaluate("(field) => field === document.activeElement"):
            field.click()
        self.page.keyboard.type(text)

    def next(self, screen: str) -> None:
        """The step has been read; to the next one."""
        self.read()
        self.tap(f"[data-screen={screen}] [data-next]")

    def read(self) -> None:
        """Count what stands here."""
        self.effort.words += self.page.evaluate(WORDS)

    def sign(self) -> None:
        """With the finger, counted apart."""
        before = self.page.evaluate("window.counted.taps")
        self.phone.sign()
        self.page.evaluate(f"window.counted.taps = {before}")
        self.effort.signatures += 1

    def patient(self, name: str = "", born: str = "") -> None:
        """Somebody whom nobody has entered yet."""
        self.tap(".new-case")
        self.type("#record-number", f"{randrange(10**7, 10**8)}")
        self.tap("#find-patient-button")
        expect(self.page.locator("#new-patient")).to_be_visible()
        if name:
            self.type("#patient-name", name)
        if born:
            self.type("#birth-date", born)
        self.read()
        self.tap("#new-patient .primary")

    def consent(self) -> None:
        """To the two scopes without which there is no answer and no referral."""
        for scope in ("analysis", "teledermatology"):
            self.tap(f"[data-scope={scope}]")
        if not self.page.locator("[name=method][value=signature]").is_checked():
            self.tap("[name=method][value=signature]")
        self.sign()
        self.next("consent")

    def photographs(self, *kinds: str) -> None:
        """With the live camera."""
        page = self.page
        for number, kind in enumerate(kinds, start=1):
            self.tap(f"[data-kind={kind}] [data-live]")
            self.phone.until("document.querySelector('#camera-video').videoWidth > 0")
            self.tap("#shutter")
            expect(page.locator(".shot")).to_have_count(number)
            self.effort.photographs += 1
            if page.locator("[data-keep]:not([hidden])").count():
                page.evaluate(KEEP)  # Chromium's test picture is no skin: kept, and not counted
        self.next("photographs")

    def rest(self, *signs: str) -> None:
        """History, impression, review."""
        for sign in signs:
            self.tap(f"[name=q-{sign}][value=yes]")
        self.tap("#rest-no")
        self.next("history")
        self.tap("[name=suspicion][value=unsure]")
        self.next("impression")
        self.read()
        self.tap("#submit-case")
        expect(self.page.locator("#verdict-words")).to_be_visible()

    def counted(self) -> Effort:
        """All of it."""
        self.effort.taps, self.effort.fields, self.effort.characters = self.page.evaluate(COUNTED)
        return self.effort


@pytest.fixture
def walk(phone: Phone) -> Walk:
    """On a phone on which somebody has signed before: it offers that way of agreeing again."""
    phone.page.evaluate("localStorage.setItem('method', 'signature')")
    phone.page.reload()
    phone.unlock()
    expect(phone.page.locator("#greeting")).to_be_visible()
    return Walk(phone)


def counts(effort: Effort) -> tuple[int, int, int, int, int]:
    return effort.taps, effort.fields, effort.characters, effort.signatures, effort.photographs


def test_the_shortest_case_of_a_new_patient(walk: Walk) -> None:
    walk.patient()
    walk.consent()
    walk.phone.site()
    walk.photographs("close_up")
    walk.rest()
    effort = walk.counted()
    assert counts(effort) == (17, 1, 8, 1, 1)
    assert effort.seconds() < RETURNING


def test_a_typical_case_of_a_new_patient_for_who_knows_the_app(walk: Walk) -> None:
    walk.patient("Maria Lindqvist", "04121961")
    walk.consent()
    walk.phone.site()
    walk.photographs("close_up", "overview")
    walk.rest("change_in_size", "irregular_colour")
    effort = walk.counted()
    assert counts(effort) == (22, 3, 31, 1, 2)
    assert effort.seconds() < RETURNING


def test_a_typical_case_for_who_sees_the_app_for_the_first_time(
    new_phone: Callable[..., Phone], capsys: pytest.CaptureFixture[str]
) -> None:
    phone = new_phone()
    phone.begin()
    walk = Walk(phone)
    walk.patient("Maria Lindqvist", "04121961")
    walk.consent()
    walk.read()
    phone.site()
    walk.photographs("close_up", "overview")
    walk.rest("change_in_size", "irregular_colour")
    effort = walk.counted()
    with capsys.disabled():
        print(f"\n{effort}: {effort.seconds():.0f} s, {effort.seconds_for_the_first_time():.0f} s")  # noqa: T201
    assert counts(effort) == (23, 3, 31, 1, 2)
    # And once, before the first case: a PIN of two fields and twelve digits, one tap; one tap to allow the camera.
    assert effort.seconds_for_the_first_time() < FIRST_TIME


def test_a_lesion_that_is_due_takes_no_typing(phone: Phone) -> None:
    page = phone.page
    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    assert phone.platform.ask(
        "INSERT INTO diagnosis_decision (id, case_id, kind, decided_by_id, decided_at, remind_on, reason)"
        " SELECT gen_random_uuid(), id, 'observe', submitted_by_id, now(), current_date - 1, '' FROM diagnosis_case"
        " WHERE id = %s::uuid RETURNING 1",
        made["case"],
    )
    page.reload()
    phone.unlock()
    walk = Walk(phone)
    walk.tap(f'#due a[href="#/lesion/{made["lesion"]}"]')
    walk.tap("#lesion-new")
    walk.next("consent")
    walk.next("site")
    walk.photographs("close_up")
    walk.rest()
    effort = walk.counted()
    assert counts(effort) == (12, 0, 0, 0, 1)
    assert effort.seconds() < RETURNING / 2
