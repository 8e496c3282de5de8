"""Whoever looks at the pages finds a barrier in the theme where it is, and leaves the page as it was."""

import pytest
from playwright.sync_api import BrowserContext

from tests.looking import barriers

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><head><title>A page</title><style>
  body { background: #fff; color: #000; transition: color 0.3s; }
  @media (prefers-color-scheme: dark) { body { background: #000; color: #fff; } }
  @media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
  %s
</style></head><body><main><h1>A page</h1><p>Seen.</p>%s</main></body></html>"""


@pytest.mark.parametrize(
    ("style", "more", "found"),
    [
        ("", "", []),
        ("@media (prefers-color-scheme: light) { p { color: #ccc; } }", "", ["light: color-contrast"]),
        ("@media (prefers-color-scheme: dark) { p { color: #333; } }", "", ["dark: color-contrast"]),
        ("", "<img src='data:,'>", ["dark: image-alt"]),
        ("p { width: 3000px; }", "", ["scrolls sideways"]),
    ],
    ids=["none", "light alone", "dark alone", "no colour", "sideways"],
)
def test_a_barrier_is_found_in_its_theme(
    browser_context: BrowserContext, style: str, more: str, found: list[str]
) -> None:
    page = browser_context.new_page()
    page.set_content(PAGE % (style, more))
    assert [": ".join(each.split(": ")[:2]) for each in barriers(page)] == found
    assert page.evaluate("matchMedia('(prefers-color-scheme: light)').matches")
    assert not page.evaluate("matchMedia('(prefers-reduced-motion: reduce)').matches")
