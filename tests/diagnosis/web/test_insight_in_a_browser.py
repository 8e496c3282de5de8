"""The insight page and what stands beside the answer, in a real browser: both widths, schemes and directions."""

from pathlib import Path

import pytest
from django.core.cache import caches
from django.core.management import call_command
from playwright.sync_api import BrowserContext, expect
from pytest_django.live_server_helper import LiveServer

from bench import crowd
from diagnosis.services.model_versions import register_shipped
from diagnosis.services.reading import read_waiting_cases
from tests import factories
from tests.diagnosis.referrals.walking import read, sign
from tests.diagnosis.web.test_worklist_in_a_browser import two_visits
from tests.looking import look_everywhere, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SAMPLE = Path(__file__).parents[3] / "diagnosis" / "demo" / "references"


def test_insight_as_charts_tables_and_files(live_server: LiveServer, browser_context: BrowserContext) -> None:
    caches["figures"].clear()
    service = factories.service("Skin Centre North")
    reader = factories.dermatologist(service)
    clinics = [factories.organisation() for _ in range(2)]
    version = register_shipped()
    people = crowd.Crowd(service, clinics, factories.clinician(clinics[0]), [reader], version, factories.policy().pk)
    crowd.fill(people, first=4, cases=900, open_referrals=50, answered=800)
    page = browser_context.new_page()
    sign_in(page, live_server.url, reader, to="/worklist/")
    page.get_by_role("link", name="Insight").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Insight: Skin Centre North")
    expect(page.get_by_role("img", name="Chart: Agreement")).to_be_visible()
    with page.expect_download() as file:
        page.get_by_role("link", name="Against histology as CSV").click()
    assert Path(file.value.path()).read_text().startswith("who,sensitivity,sensitivity_low")
    assert file.value.suggested_filename.startswith("accuracy-")
    part = page.locator("#agreement")
    part.locator("summary").click()
    expect(part.get_by_role("cell", name="concerned or not").first).to_be_visible()
    look_everywhere(page, "insight")


def test_what_changed_and_what_looks_alike(live_server: LiveServer, browser_context: BrowserContext) -> None:
    register_shipped()
    call_command("import_reference_set", str(SAMPLE), verbosity=0)
    clinician, reader = factories.clinician(), factories.dermatologist()
    service = factories.organisation_of(reader)
    answered = factories.accepted_referral(clinician, reader)
    referral = factories.referral(clinician, service, of=two_visits(clinician))
    read_waiting_cases()
    read(reader, answered, "melanoma")
    sign(reader, answered, diagnosis="melanoma")
    factories.accept_referral(user=reader, referral_id=referral.pk)
    page = browser_context.new_page()
    sign_in(page, live_server.url, reader, to="/worklist/")
    page.goto(f"{live_server.url}/worklist/{referral.pk}/")
    expect(page.get_by_role("heading", name="Your first read")).to_be_visible()
    assert page.locator("#beside").count() == 0
    page.locator("#read-form [data-quick=nevus]").click()
    page.locator("#read-form .choices .choice").nth(2).click()
    page.locator("#read-form button.primary").click()
    expect(page.get_by_role("heading", name="What looks alike")).to_be_visible()
    alike = page.locator(".alike").first.locator("li")
    expect(alike).to_have_count(1)
    expect(alike).to_contain_text("a dermatologist's signed assessment, without histology")
    expect(page.locator(".alike").nth(1).locator("li")).to_have_count(4)
    expect(page.get_by_role("link", name="CC BY-NC 4.0")).to_be_visible()
    expect(page.locator(".visits tbody tr")).to_have_count(2)
    for picture in page.locator(".alike img").all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 0
    look_everywhere(page, "beside")
