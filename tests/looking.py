"""Looking at a page as people have it: light and dark, on a phone and at a desk, in English and in Arabic.

Where SHOTS names a folder, a picture of each look is left there.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from skincare.accounts.models import User
from tests import factories

#: Of axe-core's rules, those whose findings depend on the theme.
OF_COLOURS = ["color-contrast", "link-in-text-block"]
Theme = Literal["dark", "light"]
THEMES: tuple[Theme, ...] = ("dark", "light")
PHONE, DESK = (360, 740), (1280, 860)


def sign_in(page: Page, address: str, user: User, to: str = "/account/") -> None:
    """Through the form, with nothing left of whoever was here before."""
    page.context.clear_cookies()
    page.goto(f"{address}/sign-in/?next={to}")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{address}{to}")


def in_each_theme(page: Page) -> Iterator[Theme]:
    """Dark, then light, in which the page stays; nothing is still fading from one to the other."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        yield theme
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")


def barriers(page: Page, *, known: tuple[str, ...] = ()) -> list[str]:
    """What axe-core finds in either theme, but for the rules in ``known``, and whether the page scrolls sideways."""
    found = []
    for theme in in_each_theme(page):
        options: dict[str, object] = {"resultTypes": ["violations"]}
        if theme == "light":  # all else was looked for in the dark
            options["runOnly"] = {"type": "rule", "values": OF_COLOURS}
        found += [
            f"{theme}: {one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
            for one in Axe().run(page, options=options).response["violations"]
            if one["id"] not in known
        ]
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        found.append("scrolls sideways")
    return found


def look(page: Page, name: str) -> None:
    """No barrier and no sideways scrolling on a phone and at a desk, in the language that the page is in."""
    page.wait_for_load_state()  # a link that was followed may have brought only its first lines
    for width, height in (PHONE, DESK):
        page.set_viewport_size({"width": width, "height": height})
        if folder := os.environ.get("SHOTS"):
            for theme in in_each_theme(page):
                page.screenshot(path=Path(folder) / f"{name}-{theme}-{width}.png", full_page=True)
        found = barriers(page)
        assert found == [], f"{name} at {width} px: {found}"


def look_everywhere(page: Page, name: str) -> None:
    """The same in both languages; for a page that is still there with another."""
    for language in ("ar", "en-gb"):
        page.locator(f".app-menu button[value={language}]").dispatch_event("click")  # shut or not
        expect(page.locator("html")).to_have_attribute("lang", language)
        page.wait_for_load_state("networkidle")
        look(page, f"{name}-{language}")
