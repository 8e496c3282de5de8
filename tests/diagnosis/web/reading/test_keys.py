"""How many keys a clear case takes, from the list to the signed answer; and every page around it without barriers."""

import pytest
from playwright.sync_api import expect

from tests.diagnosis.web.reading.conftest import Desk, Rooms
from tests.looking import look

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
#: From the list to the signed answer; docs/worklist.md counts them.
CLAIM, READ, SIGN = ("j", "c"), ("1", "c", "4", "s"), ("p", "1", "s")


def test_a_clear_case_takes_nine_keys(rooms: Rooms) -> None:
    clinic, reader = rooms.desk("clinician@demo.example"), rooms.desk("dermatologist@demo.example")
    clinic.refer("urgent_suspected_cancer")
    page = reader.go("/worklist/?whose=unclaimed")
    for key in CLAIM:
        page.keyboard.press(key)
    page.locator("#read-form").wait_for()
    page.wait_for_load_state()  # the keys listen once the page's module has run
    for key in READ:
        page.keyboard.press(key)
    page.locator("#sign-form").wait_for()
    page.wait_for_load_state()
    for key in SIGN:
        page.keyboard.press(key)
    expect(page.get_by_text("Signed by Ingrid Solberg")).to_be_visible()
    assert len(CLAIM + READ + SIGN) == 9


def pages_of(desk: Desk) -> list[str]:
    """The pages that somebody has, as addresses."""
    page = desk.page
    match desk.email.partition("@")[0]:
        case "dermatologist":
            page.goto(f"{desk.base}/worklist/")
            cases = [str(link.get_attribute("href")) for link in page.locator("[data-row] h2 a").all()[:1]]
            rules = page.goto(f"{desk.base}/services/") and page.locator("a[href*=rules]").first.get_attribute("href")
            return ["/worklist/", "/worklist/texts/", *cases, "/notices/", "/services/", str(rules)]
        case "clinician":
            lesion = desk.get("cases/")["results"][0]["id"]
            of = desk.get(f"cases/{lesion}/")["lesion"]
            return ["/outcomes/", f"/outcomes/{of}/", "/outcomes/import/", "/notices/"]
        case _:
            page.goto(f"{desk.base}/services/")
            return ["/services/", str(page.locator("a[href*=webhooks]").first.get_attribute("href"))]


@pytest.mark.parametrize("language", ["en-GB", "ar"])
def test_no_page_has_a_barrier(rooms: Rooms, language: str) -> None:
    for person in ("dermatologist", "clinician", "administrator"):
        desk = rooms.desk(f"{person}@demo.example", locale=language)
        for number, address in enumerate(pages_of(desk), start=1):
            page = desk.go(address)
            page.wait_for_load_state()
            look(page, f"{language[:2]}-{person}-{number}")
