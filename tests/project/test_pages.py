"""The first page and the API's description in a real browser, under the content policy that is served."""

import pytest
from playwright.sync_api import BrowserContext, expect
from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_first_page_fits_the_screen_and_has_its_style(
    browser_context: BrowserContext, live_server: LiveServer, scheme: str, width: int
) -> None:
    page = browser_context.new_page()
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

    page.goto(live_server.url)

    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(16, 22, 20)" if scheme == "dark" else "rgb(251, 250, 248)")
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_the_api_can_be_browsed_with_assets_of_our_own_only(
    browser_context: BrowserContext, live_server: LiveServer
) -> None:
    page = browser_context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{live_server.url}/api/docs/")

    operation = page.locator(".opblock-summary").first
    expect(operation).to_be_visible()
    operation.click()
    expect(page.locator(".opblock-body").first).to_be_visible()
    assert [url for url in asked if not url.startswith((live_server.url, "data:"))] == []
