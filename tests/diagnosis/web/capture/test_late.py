"""A slow line: what arrives after its screen was left shows on no other, for no other patient, nor behind the lock."""

import re
from collections.abc import Callable
from typing import Literal, Self

import pytest
import requests
from playwright.sync_api import Route, expect

from tests.diagnosis.web.capture.dermatologist import visit
from tests.diagnosis.web.capture.phone import Phone
from tests.factories import PHOTOGRAPH
from tests.faults.platform import eventually

pytestmark = pytest.mark.browser


class Held:
    """Requests of a phone to these addresses wait until they are let go, or break."""

    def __init__(self, phone: Phone, part: str) -> None:
        self.phone, self.over = phone, False
        self.routes: list[Route] = []
        phone.context.route(
            f"**/api/v1/{part}", lambda route: route.continue_() if self.over else self.routes.append(route)
        )

    def wait(self, number: int = 1) -> Self:
        """Until so many have been made."""
        while len(self.routes) < number:
            self.phone.page.wait_for_timeout(20)  # the test's own time limit ends it
        return self

    def let_go(self) -> None:
        """All that wait, and every later one; returns once the page has had the answers and what follows from them."""
        self._end(Route.continue_, "requestfinished")

    def break_off(self) -> None:
        """As where the network ends."""
        self._end(Route.abort, "requestfailed")

    def _end(self, how: Callable[[Route], None], said: Literal["requestfinished", "requestfailed"]) -> None:
        self.over = True
        for route in self.routes:
            page = route.request.frame.page
            with page.expect_event(said, lambda request, route=route: request.url == route.request.url):
                how(route)
        self.phone.page.wait_for_timeout(500)  # what follows from an answer: further requests, pictures, names


def go(phone: Phone, place: str) -> None:
    phone.page.evaluate("(place) => { location.hash = place; }", f"#/{place}")


def named(phone: Phone, name: str) -> dict[str, str]:
    """A case of a patient of that name."""
    return visit(phone.platform, PHOTOGRAPH.read_bytes(), name=name)


def test_a_line_that_breaks_late_leaves_the_screen_that_is_shown_alone(phone: Phone) -> None:
    made = named(phone, "Ada Early")
    held = Held(phone, f"lesions/?patient={made['patient']}*")
    go(phone, f"patient/{made['patient']}")
    held.wait()
    go(phone, "home")
    phone.new_case()

    held.break_off()

    expect(phone.page.locator("#trouble")).to_be_hidden()
    expect(phone.page.locator("#record-number")).to_be_visible()


def test_the_record_of_one_patient_never_shows_another(phone: Phone) -> None:
    early, late = named(phone, "Ada Early"), named(phone, "Grace Later")
    held = Held(phone, f"lesions/?patient={early['patient']}*")
    go(phone, f"patient/{early['patient']}")
    held.wait()
    go(phone, f"patient/{late['patient']}")
    expect(phone.page.locator("#record-name")).to_have_text("Grace Later")

    held.let_go()

    expect(phone.page.locator("#record-name")).to_have_text("Grace Later")
    expect(phone.page.locator("#record-new")).to_have_attribute("href", f"#/new/{late['patient']}")


def test_a_decision_is_made_about_the_case_that_is_shown(phone: Phone) -> None:
    for decision in ("refer", "observe", "close"):
        early, late = named(phone, "Ada Early"), named(phone, "Grace Later")
        held = Held(phone, f"cases/{early['case']}/")
        go(phone, f"{decision}/{early['case']}")
        held.wait()
        go(phone, f"{decision}/{late['case']}")
        expect(phone.page.locator(f"#{decision}-who")).to_contain_text("Grace Later")

        held.let_go()

        expect(phone.page.locator(f"#{decision}-who")).to_contain_text("Grace Later")


def test_who_goes_back_while_a_referral_is_sent_stays_where_they_went(phone: Phone) -> None:
    made = named(phone, "Ada Early")
    go(phone, f"refer/{made['case']}")
    expect(phone.page.locator("#refer")).to_be_visible()
    held = Held(phone, "referrals/")
    phone.page.locator("#refer .primary").click()
    held.wait()
    go(phone, "find")

    held.let_go()

    expect(phone.page.locator("#look-up-number")).to_be_visible()
    assert phone.platform.ask("SELECT count(*) FROM diagnosis_referral WHERE case_id = %s::uuid", made["case"]) == 1


def test_a_referral_whose_messages_broke_off_is_shown_when_the_line_is_back(phone: Phone) -> None:
    page = phone.page
    made = named(phone, "Ada Early")
    go(phone, f"refer/{made['case']}")
    page.locator("#refer .primary").click()
    page.wait_for_url(re.compile("#/referral/"))
    expect(page.locator("#referral")).to_be_visible()
    referral = page.url.rpartition("/")[2]
    go(phone, "home")
    held = Held(phone, f"referrals/{referral}/messages/")
    go(phone, f"referral/{referral}")
    held.wait()

    held.break_off()

    expect(page.locator("#referral-who")).to_contain_text("Ada Early")
    expect(page.locator("#referral-error")).to_be_empty()


def test_what_one_patient_agreed_to_is_not_taken_for_anothers(phone: Phone) -> None:
    page = phone.page
    made = named(phone, "Ada Early")
    held = Held(phone, f"patients/{made['patient']}/consents/")
    phone.new_case()
    address = phone.platform.url(f"patients/{made['patient']}/")
    patient = requests.get(address, headers=phone.platform.headers, timeout=30).json()
    page.locator("#record-number").fill(patient["record_number"])
    page.locator("#find-patient-button").click()
    page.locator("#patients-found .case").click()
    held.wait()
    go(phone, "home")
    phone.new_case()
    phone.new_patient(name="Grace Later")

    held.let_go()

    expect(page.locator("#consent-parts")).to_be_visible()
    expect(page.locator("#consent-known")).to_be_hidden()
    go(phone, "find")
    page.go_back()
    expect(page.locator("#consent-parts")).to_be_visible()
    expect(page.locator("#consent-known")).to_be_hidden()
    expect(page.locator("[data-scope]").locator("visible=true")).to_have_count(3)


#: A phone that seals no case before it is told to: `release()`.
SLOW_SEAL = """() => {
  const make = crypto.subtle.generateKey.bind(crypto.subtle);
  const told = new Promise((resolve) => { window.release = resolve; });
  crypto.subtle.generateKey = async (...all) => { await told; return make(...all); };
}"""


def test_a_case_begun_while_the_last_one_is_being_sealed_is_not_sent_in_its_place(phone: Phone) -> None:
    page = phone.page
    phone.to_review(PHOTOGRAPH, "analysis")
    before = int(phone.platform.ask("SELECT count(*) FROM diagnosis_case"))
    page.evaluate(SLOW_SEAL)
    phone.submit()
    go(phone, "home")
    phone.new_case()
    phone.new_patient(name="Grace Later")
    expect(page.locator("#consent-parts")).to_be_visible()

    page.evaluate("release()")

    eventually(
        "the first is stored", lambda: int(phone.platform.ask("SELECT count(*) FROM diagnosis_case")) == before + 1
    )
    eventually("and gone from the phone", lambda: phone.unsent() == 0)
    phone.consent("analysis")  # the second is where it was
    expect(page.locator(".body").first).to_be_visible()
    go(phone, "home")
    expect(page.locator("#drafts .case")).to_have_count(1)
    expect(page.locator("#drafts .case")).to_contain_text("Grace Later")


#: Screens of a patient, and of each the last request that it waits for.
PLACES = {
    "home": "referrals/?news=true*",
    "patient/{patient}": "lesions/?patient={patient}*",
    "lesion/{lesion}": "observations/?lesion={lesion}",
    "observe/{case}": "cases/{case}/",
    "agree/{patient}": "patients/{patient}/consents/",
    "answer/{case}": "cases/{case}/decisions/",
}


def test_nothing_of_a_patient_arrives_behind_the_lock(phone: Phone) -> None:
    page = phone.page
    made = named(phone, "Ada Behind")
    for place, part in PLACES.items():
        go(phone, "find")
        expect(page.locator("#look-up-number")).to_be_visible()
        held = Held(phone, part.format(**made))
        go(phone, place.format(**made))
        held.wait()
        phone.lock()
        page.evaluate("history.replaceState(null, '', '#/find')")  # what comes before the PIN, not what comes with it

        held.let_go()

        assert "Ada Behind" not in phone.held_in_the_page(), place
        assert page.locator("img[src^='blob:']").count() == 0, place
        phone.unlock()
        expect(page.locator("#look-up-number")).to_be_visible()
        assert "Ada Behind" not in phone.held_in_the_page(), place
