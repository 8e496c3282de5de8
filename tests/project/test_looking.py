"""Whoever looks at the pages finds a barrier in the theme where it is, and leaves the page as it was."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import BrowserContext

from tests.looking import barriers, look, look_everywhere

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="en"><head><title>A page</title><style>
  body { background: #fff; color: #000; transition: color 0.3s; }
  @media (prefers-color-scheme: dark) { body { background: #000; color: #fff; } }
  @media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
  %s
</style></head>
<body><main><h1>A page</h1><p>Seen.</p>%s</main></body></html>"""


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


MENU = "<div class='app-menu'>{}</div>".format(
    "".join(
        f"<button value='{language}' onclick='document.documentElement.lang = this.value'>{language}</button>"
        for language in ("ar", "en-gb")
    )
)


@contextmanager
def arriving_slowly(html: str) -> Iterator[str]:
    """The address of a page whose body comes some time after its head."""

    class Slowly(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            head, body = html.split("</head>")
            self.wfile.write(f"{head}</head>".encode())
            time.sleep(0.3)
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slowly) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_page_is_looked_at_in_both_languages_once_all_of_it_is_there(browser_context: BrowserContext) -> None:
    page = browser_context.new_page()
    with arriving_slowly(PAGE % ("", MENU)) as address:
        page.goto(address, wait_until="commit")
        look_everywhere(page, "slow")
    assert page.locator("html").get_attribute("lang") == "en-gb"


def test_a_barrier_that_arrives_late_is_found(browser_context: BrowserContext) -> None:
    page = browser_context.new_page()
    with arriving_slowly(PAGE % ("", "<img src='data:,'>")) as address:
        page.goto(address, wait_until="commit")
        with pytest.raises(AssertionError, match="image-alt"):
            look(page, "slow")
