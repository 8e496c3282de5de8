"""A referral from the list to the amended answer, in a real browser: by keys, on a phone, live, without barriers."""

from collections.abc import Callable

import pytest
from django.core.management import call_command
from playwright.sync_api import BrowserContext, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from diagnosis.models import AnatomicalSite, AnswerShown, Assessment, Case, ConsentScope, FirstRead, Referral, Urgency
from diagnosis.services.patients import NewLesion
from diagnosis.services.reading import read_waiting_cases
from diagnosis.services.referral_messages import reply_to_question
from skincare.accounts.models import User
from tests import factories
from tests.looking import look, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def two_visits(clinician: User) -> Case:
    """A lesion with a point on the body map, photographed twice; the real network has read both."""
    consents = [factories.statement(), factories.statement(scope=ConsentScope.TELEDERMATOLOGY)]
    place = NewLesion(AnatomicalSite.POSTERIOR_TORSO, body_map_side="back", body_map_x=0.42, body_map_y=0.3)
    first = factories.submit(clinician, factories.new_case(consents=consents, lesion=place)).case
    second = factories.new_case(consents=[], patient=first.patient_id, lesion=first.lesion_id)
    return factories.submit(clinician, second).case


def test_a_case_from_the_list_to_the_amended_answer(live_server: LiveServer, browser_context: BrowserContext) -> None:
    call_command("register_shipped_model")
    clinician, reader = factories.clinician(), factories.dermatologist(first_name="Ingrid", last_name="Solberg")
    service = factories.organisation_of(reader)
    referral = factories.referral(clinician, service, Urgency.URGENT_SUSPECTED_CANCER, of=two_visits(clinician))
    read_waiting_cases()
    page = browser_context.new_page()

    sign_in(page, live_server.url, reader, to="/worklist/")
    expect(page.get_by_role("heading", level=1, name=service.name)).to_be_visible()

    # What arrives meanwhile appears, and the focus stays where it was.
    page.wait_for_load_state()  # the keys listen once the page's module has run
    page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.id")
    assert focused == f"case-{referral.pk}"
    other = factories.referral(clinician, service, Urgency.ROUTINE)
    page.locator(f"#case-{other.pk}").wait_for()
    assert page.evaluate("document.activeElement.id") == focused
    look(page, "worklist")

    page.locator(f"#claim-{referral.pk}").click()
    expect(page.get_by_role("heading", name="Your first read")).to_be_visible()
    assert "The network's answer" not in page.get_by_role("heading").all_inner_texts()
    look(page, "blind-read")
    _zoom_and_compare(page)

    page.get_by_label("Search all diagnoses").fill("blue nev")
    expect(page.get_by_label("Chosen diagnosis")).to_have_value("nevus-blue")
    page.get_by_role("button", name="Atypical").first.click()
    page.get_by_text("75 %").click()
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="The network's answer")).to_be_visible()
    shown, recorded = AnswerShown.objects.get(), FirstRead.objects.get()
    assert recorded.blind
    assert recorded.recorded_at < shown.shown_at
    _set_before_the_script_runs(page)
    look(page, "answer")

    page.get_by_label("Write to the clinician").fill("How long has it been there?")
    page.get_by_role("button", name="Ask, and wait").click()
    expect(page.get_by_text("More information asked", exact=True)).to_be_visible()
    reply_to_question(user=clinician, referral_id=referral.pk, text="Since spring.")
    page.get_by_role("link", name="Show it").click()
    expect(page.get_by_text("Since spring.")).to_be_visible()

    page.get_by_label("Excise").check()
    page.get_by_role("button", name="Sign as").click()
    expect(page.get_by_text("Signed by Ingrid Solberg")).to_be_visible()
    page.locator("summary", has_text="Amend").click()
    page.get_by_label("Urgent suspected cancer pathway").check()
    page.get_by_label("say why it is amended").fill("Seen again: regression.")
    page.get_by_role("button", name="Sign as").click()
    expect(page.get_by_text("Replaced")).to_be_visible()
    look(page, "amended")
    assert list(Assessment.objects.order_by("signed_at").values_list("diagnosis", "plan")) == [
        ("nevus-atypical", "excise"),
        ("nevus-atypical", "urgent"),
    ]
    assert Referral.objects.get(pk=referral.pk).state == "answered"


def _set_before_the_script_runs(page: Page) -> None:
    """On a slow line sliders can be moved and words written before the page's module is there; it takes them up."""
    held: list[Route] = []
    page.route("**/worklist/case*.js", lambda route: held.append(route))
    page.reload(wait_until="commit")
    page.get_by_label("Where the network looked").fill("60")
    page.get_by_label("Brightness").fill("150")
    page.get_by_label("Beside an earlier visit").select_option(index=1)
    page.get_by_label("Search all diagnoses").first.fill("blue nev")
    for route in held:
        route.continue_()
    page.unroute("**/worklist/case*.js")
    expect(page.locator("#map")).to_be_visible()
    expect(page.locator("#photograph")).to_have_css("filter", "brightness(1.5) contrast(1)")
    expect(page.locator("#earlier-pane")).to_be_visible()
    expect(page.get_by_label("Chosen diagnosis").first).to_have_value("nevus-blue")


def _zoom_and_compare(page: Page) -> None:
    scale: Callable[[], float] = lambda: float(page.locator("[data-viewer]").get_attribute("data-scale") or 1)  # noqa: E731
    page.wait_for_load_state()  # the keys listen once the page's module has run
    page.keyboard.press("z")
    assert scale() == 3
    page.keyboard.press("z")
    assert scale() == 1
    box = page.locator("[data-pane]").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.wheel(0, -400)
    page.wait_for_function("document.querySelector('[data-viewer]').dataset.scale > 2")
    before = page.locator("#photograph").evaluate("picture => picture.style.transform")
    page.mouse.down()
    page.mouse.move(box["x"] + 10, box["y"] + 20)
    page.mouse.up()
    assert page.locator("#photograph").evaluate("picture => picture.style.transform") != before
    page.locator("#brightness").fill("150")
    assert "brightness(150%)" in page.locator("#photograph").evaluate("picture => picture.style.filter")
    page.get_by_role("button", name="As taken").click()
    page.get_by_label("Beside an earlier visit").select_option(index=1)
    expect(page.locator("#earlier-pane")).to_be_visible()
    assert page.locator("#earlier-photograph").evaluate(
        "async picture => (await picture.decode(), picture.naturalWidth)"
    )
    page.get_by_label("Beside an earlier visit").select_option(index=0)
    page.get_by_role("button", name="Keys").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Close").click()
