"""Every screen in both languages, both themes, on phone and desk: nothing scrolls sideways, axe-core finds nothing.

With SCREENS set to a folder, the pictures of docs/screens are made there.
"""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from tests.diagnosis.web.capture.phone import Phone
from tests.factories import PHOTOGRAPH

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
SMALLEST_TARGET = 44
#: What a finger or a pointer can hit, apart from links within a sentence.
TARGETS = """() => [...document.querySelectorAll("button, a, input, select, textarea, summary")].filter((one) => {
  const box = (one.closest("label") || one).getBoundingClientRect();
  const hidden = one.matches(".for-readers, .skip") || one.closest(".app-menu:not([open]) > div");
  return one.checkVisibility() && !hidden && box.width > 0 && (box.height < 43.5 || box.width < 43.5);
}).map((one) => one.outerHTML.slice(0, 120))"""


class Look:
    """Looks at one screen after another."""

    def __init__(self, phone: Phone, name: str) -> None:
        self.phone, self.name, self.number, self.found = phone, name, 0, {}  # type: ignore[var-annotated]

    def __call__(self, screen: str) -> None:
        """Look at this one."""
        page = self.phone.page
        page.wait_for_timeout(400)  # what fades and slides has arrived
        self.number += 1
        page.evaluate("window.scrollTo(0, 0)")
        violations = Axe().run(page).response["violations"]
        if screen == "sign-in":
            # HTML's "username webauthn" is newer than the rule that axe has for it.
            violations = [one for one in violations if one["id"] != "autocomplete-valid"]
        faults = [f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in violations]
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            faults.append("scrolls sideways")
        faults += [f"under {SMALLEST_TARGET} px: {target}" for target in page.evaluate(TARGETS)]
        if faults:
            self.found[screen] = faults
        if folder := os.environ.get("SCREENS"):
            with Image.open(BytesIO(page.screenshot(full_page=screen == "answer"))) as picture:
                picture.convert("RGB").save(Path(folder) / f"{self.name}-{self.number:02d}-{screen}.webp", quality=80)


@pytest.mark.parametrize(
    ("language", "theme", "width"),
    [
        ("en-GB", "light", 360),
        ("en-GB", "dark", 360),
        ("ar", "light", 360),
        ("ar", "dark", 360),
        ("en-GB", "light", 1280),
    ],
    ids=["en-light-phone", "en-dark-phone", "ar-light-phone", "ar-dark-phone", "en-light-desk"],
)
def test_every_screen_is_whole(new_phone: Callable[..., Phone], language: str, theme: str, width: int) -> None:
    desk = width > 1000
    phone = new_phone(
        viewport={"width": width, "height": 800 if desk else 640},
        is_mobile=not desk,
        has_touch=not desk,
        locale=language,
        color_scheme=theme,
    )
    look = Look(phone, f"{language[:2]}-{theme}-{'desk' if desk else 'phone'}")
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
    page.locator("[data-scope=analysis]").check()
    page.locator("[data-scope=teledermatology]").check()
    page.locator("[name=method][value=signature]").check()
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
    page.locator("[name=q-irregular_colour][value=yes]").check()
    page.locator("[name=q-oozing][value=yes]").check()
    look("history")
    page.locator("#rest-no").click()
    phone.next("history")
    page.locator("[name=suspicion][value=unsure]").check()
    look("impression")
    phone.next("impression")
    expect(page.locator("#review dd").first).to_be_visible()
    look("review")
    phone.context.set_offline(True)
    phone.submit()
    expect(page.locator("#unsent-list > li")).to_have_count(1)
    look("unsent")
    phone.context.set_offline(False)
    phone.until("!document.querySelector('#unsent-list').children.length")
    page.evaluate("location.hash = '#/home'")
    page.locator("#recent .case").first.click()
    expect(page.locator("#verdict-words")).to_be_visible()
    page.locator("#map-strength").fill("55")
    phone.until("document.querySelector('#map').naturalWidth > 0")
    look("answer")
    page.locator("#to-lesion").click()
    expect(page.locator(".visit img")).to_be_visible()
    look("lesion")
    page.locator("#open-menu").click()
    look("menu")
    page.locator("#lock-now").click()
    expect(page.locator("#unlock")).to_be_visible()
    look("lock")
    assert look.found == {}
