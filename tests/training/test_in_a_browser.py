"""A retraining as two stewards do it, in a real browser: from the button to service and back."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from diagnosis.classifier.shipped import SHIPPED_BUNDLE
from tests.faults.platform import Platform
from tests.training.small import store_small

pytestmark = [pytest.mark.browser, pytest.mark.faults, pytest.mark.timeout(1500)]

#: TensorFlow starts and compiles on two busy cores meanwhile.
LONG_MS = 600_000


@pytest.fixture
def department(tmp_path: Path) -> Iterator[Platform]:
    """A whole platform with thirty images to learn from, and gates that so few can pass."""
    platform = Platform(tmp_path)
    platform.environment["DJANGO_SETTINGS_MODULE"] = "tests.training.small_settings"
    try:
        platform.start()
        platform.command("register_dataset", str(store_small(tmp_path / "datasets")))
        yield platform
    finally:
        platform.stop()


def signed_in(context: BrowserContext, department: Platform, email: str) -> Page:
    """The training page, as somebody."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{department.port}/sign-in/?next=/training/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill((department.var / "secrets" / "demo-password").read_text().strip())
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Training", level=1).wait_for()
    return page


def answering_version(department: Platform) -> str:
    """The version that answers a case that is submitted now."""
    (case,) = department.submit(1)
    department.assert_answered_once([case])
    answer = requests.get(department.url(f"cases/{case}/"), headers=department.headers, timeout=30).json()
    return str(answer["analysis"]["model_version"]["name"])


def photograph(page: Page, name: str) -> None:
    """Keep a picture of the page where a person asked for pictures."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_from_the_button_to_service_and_back(
    department: Platform, chromium: Browser, browser_context: BrowserContext
) -> None:
    assert answering_version(department) == SHIPPED_BUNDLE
    one = signed_in(browser_context, department, "steward@demo.example")
    one.get_by_label("Recipe").select_option("smoke")
    one.get_by_label("Starts from").select_option("champion")
    one.get_by_label("Epochs").fill("2")
    photograph(one, "start")
    one.get_by_role("button", name="Start training").click()

    # Live, without loading the page again.
    one.get_by_role("heading", name="Run of the recipe “smoke”").wait_for()
    one.evaluate("window.notLoadedAgain = true")
    expect(one.get_by_text("Training", exact=True).first).to_be_visible(timeout=LONG_MS)
    expect(one.get_by_role("img", name="On the validation images")).to_be_visible(timeout=LONG_MS)
    photograph(one, "progress")
    expect(one.get_by_text("it passed the gates")).to_be_visible(timeout=LONG_MS)
    assert one.evaluate("window.notLoadedAgain") is True
    one.get_by_text("The same as a table").click()
    assert one.get_by_role("region", name="Curves as a table").get_by_role("row").count() == 3

    challenger = one.get_by_role("link", name=re.compile("^smoke-")).inner_text()
    assert answering_version(department) == SHIPPED_BUNDLE
    one.get_by_role("link", name=challenger).click()
    expect(one.get_by_text("Malignant sensitivity is not inferior")).to_be_visible()
    one.get_by_role("button", name="Propose the release").click()
    expect(one.get_by_text("Another model steward has to approve it.")).to_be_visible()
    expect(one.get_by_role("button", name="Approve and put into service")).to_have_count(0)
    photograph(one, "proposed")

    others = chromium.new_context()
    other = signed_in(others, department, "second-steward@demo.example")
    other.get_by_role("link", name=challenger).first.click()
    other.get_by_role("button", name="Approve and put into service").click()
    expect(other.get_by_text("It answers every new case.")).to_be_visible()
    assert answering_version(department) == challenger

    other.goto(f"http://127.0.0.1:{department.port}/training/")
    other.get_by_role("link", name=SHIPPED_BUNDLE).click()
    other.get_by_role("button", name="Roll back to this version").click()
    expect(other.get_by_text("It answers every new case.")).to_be_visible()
    assert answering_version(department) == SHIPPED_BUNDLE
    for width in (360, 1280):
        other.set_viewport_size({"width": width, "height": 800})
        for address in ("/training/", one.url.removeprefix(f"http://127.0.0.1:{department.port}")):
            other.goto(f"http://127.0.0.1:{department.port}{address}")
            assert other.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            photograph(other, f"{width}{address.strip('/').split('/')[-1][:8]}")
    others.close()
    actions = department.ask(
        "SELECT array_agg(action ORDER BY id) FROM audit_auditevent"
        " WHERE object_type = 'modelversion' AND actor_id IS NOT NULL"
    )
    assert actions == ["model_version.release_proposed", "model_version.released", "model_version.rolled_back_to"]
