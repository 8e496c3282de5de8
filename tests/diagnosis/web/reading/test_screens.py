"""Every screen of the reading room on phone and desk, light and dark, in English and Arabic: axe-core finds no barrier,
nothing scrolls sideways, nothing is cut off.

With SCREENS set to a folder, the pictures of docs/screens are made there (`make screens`).
"""

import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.diagnosis.web.capture.dermatologist import visit
from tests.diagnosis.web.reading.conftest import COLLEAGUES, Desk, Rooms
from tests.factories import PHOTOGRAPH
from tests.faults.platform import eventually
from tests.looking import barriers, in_each_theme

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
#: Pictures are kept light: few colours, and no more of a page than two screens show.
COLOURS = 32
HIGHEST = 1600
#: An address of the internet where nobody answers: the log of deliveries has something to show.
NOBODY = "https://93.184.216.34/skincare"
#: Every photograph has come, or failed to.
SHOWN = """() => Promise.all([...document.querySelectorAll("main img[src]")].map((one) => {
  one.loading = "eager";
  return one.complete || new Promise((shown) => ["load", "error"].forEach((end) => one.addEventListener(end, shown)));
}))"""
#: Text that is wider than its box and cannot be scrolled to.
CUT = """() => [...document.querySelectorAll("main *")].filter((one) => {
  const hides = getComputedStyle(one).overflowX === "hidden" && !one.matches(".for-readers, option");
  return hides && !one.children.length && one.textContent.trim() && one.checkVisibility()
    && one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 2;
}).map((one) => one.outerHTML.slice(0, 120))"""


class Look:
    """Looks at one screen after another in both themes."""

    def __init__(self, name: str) -> None:
        self.name, self.number, self.faults = name, 0, []  # type: ignore[var-annotated]

    def __call__(self, page: Page, screen: str, at: str = "main") -> None:
        """Look at this one; its picture begins a little above ``at``."""
        page.wait_for_load_state()
        page.wait_for_timeout(300)  # what fades and slides has arrived
        self.number += 1
        page.evaluate("window.scrollTo(0, 0)")
        page.evaluate(SHOWN)  # also the pictures that are only fetched when somebody scrolls to them
        found = barriers(page) + [f"cut off: {what}" for what in page.evaluate(CUT)]
        self.faults += [f"{screen}: {fault}" for fault in found]
        if os.environ.get("SCREENS"):
            self.keep(page, screen, at)

    def keep(self, page: Page, screen: str, at: str) -> None:
        """A picture in each theme."""
        language, _, size = self.name.partition("-")
        begin = page.locator(at).first.evaluate("(one) => one.getBoundingClientRect().top + window.scrollY")
        begin = 0 if at == "main" else max(0, int(begin) - 90)
        for theme in in_each_theme(page):
            name = f"reading-{language}-{theme}-{size}-{self.number:02d}-{screen}.png"
            with Image.open(BytesIO(page.screenshot(full_page=True))) as picture:
                part = picture.crop((0, begin, picture.width, min(picture.height, begin + HIGHEST)))
                few = part.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
                few.save(Path(os.environ["SCREENS"]) / name, optimize=True)


def seen_twice(desk: Desk) -> tuple[str, str]:
    """A lesion with an earlier visit, referred; returns the ids of the referral and of the lesion."""
    platform = desk.platform
    earlier = (datetime.now(UTC) - timedelta(days=120)).isoformat()
    first = visit(platform, PHOTOGRAPH.read_bytes(), seen_at=earlier)
    again = BytesIO()
    with Image.open(PHOTOGRAPH) as picture:
        picture.crop((60, 40, 600, 445)).save(again, "JPEG", quality=92)
    second = visit(platform, again.getvalue(), patient=first["patient"], lesion=first["lesion"])
    eventually("the network answers", lambda: desk.get(f"cases/{second['case']}/")["state"] == "answered")
    service = desk.get("referral-services/")[0]["id"]
    question = "Grown since spring, now and then it bleeds. Melanoma? Excise or observe?"
    made = desk.post(
        "referrals/",
        {"case": second["case"], "service": service, "urgency": "urgent_suspected_cancer", "question": question},
    )
    return made["id"], first["lesion"]


def a_webhook(desk: Desk) -> str:
    """The page of the clinic's webhooks, with one that was told something."""
    page = desk.go("/services/")
    address = str(page.locator("a[href*=webhooks]").first.get_attribute("href"))
    page = desk.go(address)
    if NOBODY not in page.content():
        page.locator("#url").fill(NOBODY)
        page.locator("[name=events][value=answer]").check()
        page.locator("[name=events][value=accept]").check()
        page.locator("button[value=create]").click()
        page.wait_for_load_state()
    return address


@pytest.mark.parametrize("width", [360, 1280], ids=["phone", "desk"])
@pytest.mark.parametrize("language", ["en-GB", "ar"], ids=["en", "ar"])
def test_every_screen_is_whole(rooms: Rooms, language: str, width: int) -> None:
    look = Look(f"{language[:2]}-{'desk' if width > 1000 else 'phone'}")
    options = {"viewport": {"width": width, "height": 800}, "locale": language}
    clinic, lead = rooms.desk("clinician@demo.example", **options), rooms.desk("administrator@demo.example", **options)
    reader, colleague = rooms.desk("dermatologist@demo.example", **options), rooms.desk(COLLEAGUES[0], **options)
    webhooks = a_webhook(lead)
    referral, lesion = seen_twice(clinic)

    page = reader.go("/worklist/")
    expect(page.locator(f"#claim-{referral}")).to_be_visible()
    assert page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")
    look(page, "worklist")
    page.locator(f"#claim-{referral}").click()
    page.locator("#read-form").wait_for()
    look(page, "before-the-read")
    look(page, "first-read", "#read-form")
    page.wait_for_load_state()
    for key in ("4", "c", "3", "s"):
        page.keyboard.press(key)
    page.locator("#sign-form").wait_for()
    expect(page.locator("#visits-heading")).to_be_visible()
    page.locator("#compare").select_option(index=1)
    look(page, "after-the-read", "#answer")
    look(page, "beside", "#beside")

    reader.post(f"referrals/{referral}/messages/", {"kind": "question", "text": "Since when does it bleed?"})
    clinic.post(f"referrals/{referral}/messages/", {"kind": "reply", "text": "Since May, says the patient."})
    page = reader.go(f"/worklist/{referral}/")
    page.locator("#opinions > summary").click()
    page.locator("#of").select_option(label="Jonas Weber")
    page.locator("#opinion-question").fill("Regression in the middle?")
    page.locator("#opinions form button").click()
    page.wait_for_load_state()
    look(page, "messages-and-opinion", "#messages")
    second = colleague.go(f"/worklist/{referral}/")
    look(second, "a-second-reader", "#read-form")
    second.wait_for_load_state()
    for key in ("1", "c", "3", "s"):
        second.keyboard.press(key)
    second.locator("#answer-heading").wait_for()
    page = reader.go(f"/worklist/{referral}/")
    look(page, "readers-disagree", "#opinions")
    page.locator("#of").select_option(label="Amara Weber")
    page.locator("#opinions form button").click()
    third = rooms.desk(COLLEAGUES[1], **options)
    third.post(f"referrals/{referral}/first-read/", {"diagnosis": "melanoma", "confidence": 80})
    page = reader.go(f"/worklist/{referral}/")
    page.wait_for_load_state()
    for key in ("p", "4"):
        page.keyboard.press(key)
    page.locator("#text").fill("Please excise with a margin of 2 mm and send the histology.")
    look(page, "assessment", "#sign-form")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.locator("#assessments-heading").wait_for()
    look(page, "signed", "#assessments-heading")

    look(reader.go("/worklist/?states=all"), "all-states")
    look(reader.go("/worklist/texts/"), "ready-texts")
    look(reader.go("/insight/"), "insight")
    look(reader.go("/notices/"), "notices")
    look(lead.go("/services/"), "services")
    rules = str(reader.go("/services/").locator("a[href*=rules]").first.get_attribute("href"))
    look(reader.go(rules), "rules")
    page = lead.go(webhooks)
    page.locator("main details summary").first.click()
    look(page, "webhooks")
    look(clinic.go("/outcomes/"), "outcomes")
    page = clinic.go(f"/outcomes/{lesion}/")
    page.locator("#outcome-search").fill("melan")
    look(page, "outcome")
    page = clinic.go("/outcomes/import/")
    today = datetime.now(UTC).date()
    lines = [
        "lesion,kind,diagnosis,determined_on,note",
        f"{lesion},histology,melanoma,{today},clear margins",
        f"{lesion},histology,flu,{today},",
    ]
    page.locator("#file").set_input_files(
        {"name": "outcomes.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    )
    page.locator("form[enctype] button").click()
    page.locator("#result").wait_for()
    look(page, "import")
    assert look.faults == []
