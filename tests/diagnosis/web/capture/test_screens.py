"""Every screen and state in both languages and themes: nothing scrolls sideways, targets are large, axe finds nothing.

With SCREENS set to a folder, the pictures of docs/screens are made there (`make screens`).
"""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.diagnosis.web.capture.dermatologist import Dermatologist, visit
from tests.diagnosis.web.capture.phone import Phone
from tests.diagnosis.web.capture.test_after_the_answer import referral_on_screen
from tests.factories import PHOTOGRAPH
from tests.looking import barriers, in_each_theme

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
SMALLEST_TARGET = 44
#: Pictures are kept light: few colours, and whole pages only where there is more than fits.
COLOURS = 64
LONG = {"consent", "photographs", "answer", "lesion", "referral", "refer", "agree"}
EACH_LANGUAGE = pytest.mark.parametrize("language", ["en-GB", "ar"])
#: What a finger or a pointer can hit, apart from links within a sentence.
TARGETS = """() => [...document.querySelectorAll("button, a, input, select, textarea, summary")].filter((one) => {
  const box = (one.closest("label") || one).getBoundingClientRect();
  const hidden = one.matches(".for-readers, .skip") || one.closest(".app-menu:not([open]) > div");
  return one.checkVisibility() && !hidden && box.width > 0 && (box.height < 43.5 || box.width < 43.5);
}).map((one) => one.outerHTML.slice(0, 120))"""


class Look:
    """Looks at one screen after another in both themes; pictures are made only where it has a name."""

    def __init__(self, phone: Phone, name: str = "") -> None:
        self.phone, self.name, self.number = phone, name, 0
        self.found: dict[str, list[str]] = {}

    def __call__(self, screen: str) -> None:
        """Look at this one."""
        page = self.phone.page
        page.wait_for_timeout(400)  # what fades and slides has arrived
        self.number += 1
        page.evaluate("window.scrollTo(0, 0)")
        # HTML's "username webauthn" is newer than the rule that axe has for it.
        faults = barriers(page, known=("autocomplete-valid",) if screen == "sign-in" else ())
        faults += [f"under {SMALLEST_TARGET} px: {target}" for target in page.evaluate(TARGETS)]
        if faults:
            self.found[screen] = faults
        if self.name and os.environ.get("SCREENS"):
            self.keep(screen)

    def keep(self, screen: str) -> None:
        """A picture in each theme."""
        language, _, size = self.name.partition("-")
        for theme in in_each_theme(self.phone.page):
            name = f"{language}-{theme}-{size}-{self.number:02d}-{screen}.png"
            with Image.open(BytesIO(self.phone.page.screenshot(full_page=screen in LONG))) as picture:
                few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
                few.save(Path(os.environ["SCREENS"]) / name, optimize=True)


@EACH_LANGUAGE
@pytest.mark.parametrize("width", [360, 1280], ids=["phone", "desk"])
def test_every_screen_is_whole(
    new_phone: Callable[..., Phone], dermatologist: Dermatologist, language: str, width: int
) -> None:
    desk = width > 1000
    phone = new_phone(
        viewport={"width": width, "height": 800 if desk else 640},
        is_mobile=not desk,
        has_touch=not desk,
        locale=language,
    )
    look = Look(phone, f"{language[:2]}-{'desk' if desk else 'phone'}")
    page = phone.page
    page.goto(f"{phone.base}/sign-in/?next=/capture/")
    look("sign-in")
    phone.sign_in()
    expect(page.locator("#new-pin")).to_be_visible()
    assert page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
    look("pin")
    phone.choose_pin()
    expect(page.locator("#recent .case").first).to_be_visible()
    look("home")
    phone.new_case()
    look("patient")
    phone.new_patient(f"HRS-{os.urandom(3).hex()}")
    expect(page.locator("#policy-text")).not_to_be_empty()
    phone.tick("[data-scope=analysis]")
    phone.tick("[data-scope=teledermatology]")
    phone.tick("[name=method][value=signature]")
    phone.sign()
    look("consent")
    phone.next("consent")
    page.locator(".body[data-side=back] [data-region=upper-back]").click()
    look("site")
    phone.next("site")
    page.locator("[data-kind=close_up] [data-live]").click()
    phone.until("document.querySelector('#camera-video').videoWidth > 0")
    look("camera")
    page.locator("#camera [data-close]").click()
    phone.photograph(PHOTOGRAPH)
    look("photographs")
    phone.next("photographs")
    phone.tick("[name=q-irregular_colour][value=yes]")
    phone.tick("[name=q-oozing][value=yes]")
    look("history")
    page.locator("#rest-no").click()
    phone.next("history")
    phone.tick("[name=suspicion][value=unsure]")
    look("impression")
    phone.next("impression")
    expect(page.locator("#review dd").first).to_be_visible()
    look("review")
    phone.context.set_offline(True)
    phone.submit()
    expect(page.locator("#unsent-list > li")).to_have_count(1)
    look("unsent")
    case = page.evaluate("document.querySelector('#unsent-list > li').id.slice('unsent-'.length)")
    phone.context.set_offline(False)
    phone.until("!document.querySelector('#unsent-list').children.length")
    page.evaluate(f"location.hash = '#/answer/{case}'")
    expect(page.locator("#verdict-words")).to_be_visible()
    page.locator("#map-strength").fill("55")
    phone.until("document.querySelector('#map').naturalWidth > 0")
    look("answer")
    after_the_answer(phone, look, dermatologist)
    page.evaluate("location.hash = '#/find'")
    expect(page.locator("#look-up-number")).to_be_visible()
    look("find")
    page.locator("#open-menu").click()
    look("menu")
    page.locator("#lock-now").click()
    expect(page.locator("#unlock")).to_be_visible()
    look("lock")
    assert look.found == {}


def after_the_answer(phone: Phone, look: Look, dermatologist: Dermatologist) -> None:
    """Refer, observe and close; a referral that was answered; a lesion seen twice; its patient."""
    page = phone.page
    case = page.url.rpartition("/")[2]
    for screen in ("observe", "close", "refer"):
        page.evaluate(f"location.hash = '#/{screen}/{case}'")
        expect(page.locator(f"#{screen} .primary")).to_be_visible()
        look(screen)
    page.locator("#refer-question").fill("Melanoma? It has grown since spring.")
    page.locator("#refer .primary").click()
    referral = referral_on_screen(phone)
    dermatologist.do(referral, "actions", {"action": "accept"})
    dermatologist.do(referral, "first-read", {"diagnosis": "melanoma", "confidence": 80})
    dermatologist.do(referral, "messages", {"kind": "question", "text": "Since when does it grow?"})
    page.locator("#message-text").fill("Since May, says the patient.")
    expect(page.locator("#messages li")).to_have_count(1)
    page.locator("#message-send").click()
    expect(page.locator("#messages li")).to_have_count(2)
    signed = {"diagnosis": "melanoma", "confidence": 90, "plan": "excise", "text": "Excise with a margin of 2 mm."}
    dermatologist.do(referral, "assessments", signed)
    expect(page.locator("#assessments .plan")).to_be_visible()
    look("referral")
    first = visit(phone.platform, PHOTOGRAPH.read_bytes(), seen_at="2026-05-20T10:00:00Z")
    again = BytesIO()
    with Image.open(PHOTOGRAPH) as picture:  # nearer the corner, as another hand holds the phone
        picture.crop((60, 40, 600, 445)).save(again, "JPEG", quality=92)
    visit(phone.platform, again.getvalue(), patient=first["patient"], lesion=first["lesion"])
    page.evaluate(f"location.hash = '#/lesion/{first['lesion']}'")
    expect(page.locator("#timeline > li")).to_have_count(2)
    expect(page.locator("#compare-said")).not_to_be_empty()
    look("lesion")
    page.evaluate(f"location.hash = '#/patient/{first['patient']}'")
    expect(page.locator("#record-cases .case").first).to_be_visible()
    look("record")
    page.locator("#record-agree").click()
    phone.tick("[data-scope=research]")
    phone.sign()
    look("agree")


#: To a screen of what there is not; what the last such screen said is gone.
NOWHERE = """(screen) => {
  document.querySelector("#trouble-text").textContent = "";
  location.hash = `#/${screen}/9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55`;
}"""


def no_further(phone: Phone, screen: str) -> None:
    """Try to go on where something is missing."""
    phone.next(screen)
    expect(phone.page.locator(f"#{screen}-error")).not_to_be_empty()


@EACH_LANGUAGE
def test_every_other_state_of_a_screen_is_whole(new_phone: Callable[..., Phone], tmp_path: Path, language: str) -> None:
    """Empty, erroneous, refused, denied and without a network."""
    phone = new_phone(locale=language, camera=False)
    phone.begin()
    look, page = Look(phone), phone.page
    page.locator("[data-show=waiting]").click()
    look("home: none of these")
    phone.new_case()
    page.locator("#find-patient-button").click()
    look("patient: nothing entered")
    number = phone.new_patient()
    page.locator("#back").click()
    look("patient: chosen and new")
    phone.new_patient(number)
    phone.tick("[data-scope=analysis]")
    no_further(phone, "consent")
    look("consent: no evidence")
    phone.tick("[name=method][value=spoken]")
    page.locator("#witness").fill("B. Hale")
    look("consent: spoken")
    phone.next("consent")
    no_further(phone, "site")
    look("site: none chosen")
    phone.site()
    no_further(phone, "photographs")
    page.locator("[data-kind=dermoscopic] [data-live]").click()
    expect(page.locator("[data-kind=dermoscopic] .file.primary")).to_be_visible()
    look("photographs: camera denied")
    dark = tmp_path / "dark.jpg"
    with Image.open(PHOTOGRAPH) as picture:
        picture.point(lambda value: value // 6).save(dark)
    phone.photograph(dark)
    no_further(phone, "photographs")
    look("photographs: poor")
    page.locator("[data-keep]").click()
    page.locator(".remark input").fill("a child that will not sit still")
    look("photographs: kept")
    phone.next("photographs")
    no_further(phone, "history")
    page.locator("#background summary").click()
    look("history: open questions")
    phone.history("bleeding")
    no_further(phone, "impression")
    look("impression: none")
    phone.impression()
    phone.submit()
    expect(page.locator("#no-result")).to_be_visible()
    page.locator("#limits summary").click()
    look("answer: human review")
    case = page.url.rpartition("/")[2]
    page.evaluate(f"location.hash = '#/refer/{case}'")
    expect(page.locator("#refer-blocked")).to_be_visible()
    look("refer: no consent")
    page.locator("#refer-blocked-way").click()
    page.locator("#agree-button").click()
    expect(page.locator("#agree-error")).not_to_be_empty()
    look("agree: nothing said")
    for screen in ("answer", "referral", "lesion", "patient", "agree", "refer", "observe", "close"):
        page.evaluate(NOWHERE, screen)
        expect(page.locator("#trouble-text")).to_have_text(phone.text("problem not_found"))
        look(f"{screen}: there is none")
    phone.context.set_offline(True)
    for screen, said in (
        ("answer", "#answer-problem-text"),
        ("referral", "#referral-error"),
        ("record", "#trouble-text"),
    ):
        page.evaluate(f"location.hash = '#/{screen.replace('record', 'patient')}/{case}'")
        expect(page.locator(said)).to_have_text(phone.text("no_network"))
        look(f"{screen}: no network")
    phone.context.set_offline(False)
    page.evaluate("location.hash = '#/find'")
    page.locator("#look-up-number").fill(number)
    page.locator("#look-up .primary").click()
    expect(page.locator("#looked-up .case")).to_be_visible()
    look("find: found")
    refused_and_mended(phone, look, number)
    assert look.found == {}


def refused_and_mended(phone: Phone, look: Look, number: str) -> None:
    """A case made offline for a patient who is known; then one that waits while somebody wants to sign out."""
    page = phone.page
    page.evaluate("location.hash = '#/home'")
    phone.context.set_offline(True)
    phone.new_case()
    phone.new_patient(number)
    phone.consent("analysis")
    phone.site("chest")
    phone.photograph(PHOTOGRAPH)
    phone.next("photographs")
    phone.history()
    phone.impression()
    look("review: offline")
    phone.submit()
    expect(page.locator("#unsent-list > li")).to_have_count(1)
    phone.context.set_offline(False)
    page.locator("#unsent-list .primary").wait_for()
    look("unsent: refused")
    page.locator("#unsent-list .primary").click()
    expect(page.locator("#mend-patient")).to_be_visible()
    look("review: refused")
    page.locator("#mend-patient").click()
    expect(page.locator("#mend")).to_be_hidden()
    page.locator("#review a").nth(2).click()
    expect(page.locator("#earlier .case")).to_be_visible()
    look("site: seen before")
    page.evaluate("location.hash = '#/home'")
    expect(page.locator("#drafts .case")).to_be_visible()
    phone.context.set_offline(True)
    page.reload()
    phone.unlock()
    expect(page.locator("#recent-problem")).to_be_visible()
    look("home: offline, one begun")
    page.locator("#drafts .case").click()
    for step in ("site", "photographs", "history", "impression"):
        phone.next(step)
    phone.submit()
    expect(page.locator("#unsent-list > li")).to_have_count(1)
    page.locator("#open-menu").click()
    page.locator("#sign-out").click()
    expect(page.locator("#sign-out-warning")).to_be_visible()
    look("sign out: unsent")
    page.locator("#sign-out-warning [data-close]").click()
    phone.lock()
    page.locator("#pin").fill("111111")
    page.locator("#unlock .primary").click()
    expect(page.locator("#unlock-error")).not_to_be_empty()
    look("lock: wrong PIN, one unsent")


@EACH_LANGUAGE
def test_the_pages_around_the_app_are_whole(new_phone: Callable[..., Phone], language: str) -> None:
    phone = new_phone(locale=language)
    look, page = Look(phone), phone.page
    page.goto(f"{phone.base}/sign-in/?next=/capture/")
    page.locator("input[type=email]").fill("nobody@demo.example")
    page.locator("input[type=password]").fill("wrong")
    page.locator("main form [type=submit]").click()
    expect(page.locator("[role=alert]").first).to_be_visible()
    look("sign-in")
    phone.sign_in()
    expect(page.locator("#new-pin")).to_be_visible()
    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    page.goto(f"{phone.base}/account/")
    further = [str(link.get_attribute("href")) for link in page.locator("main a[href^='/account/']").all()]
    for address in ("/account/", *dict.fromkeys(further), "/consents/", f"/consents/{made['patient']}/", "/notices/"):
        page.goto(phone.base + address)
        page.wait_for_load_state()
        look(address)
    page.goto(f"{phone.base}/consents/{made['patient']}/")
    page.wait_for_load_state()
    page.locator("#grant [name=method][value=signature]").check()
    phone.sign()
    look("consents: signed")
    page.locator("#grant .primary").click()
    expect(page.locator(".note.urgent")).to_be_visible()
    look("consents: nothing chosen")
    page.locator("#grant [name=scopes]").check()
    page.locator("#grant [name=method][value=signature]").check()
    phone.sign()
    page.locator("#grant .primary").click()
    expect(page.locator(".signed")).to_be_visible()
    expect(page.locator("#grant")).to_have_count(0)
    look("consents: recorded")
    assert look.found == {}
