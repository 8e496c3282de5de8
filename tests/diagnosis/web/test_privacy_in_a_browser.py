"""The privacy officer's pages as a browser shows them: under the content policy, on a phone, and to assistive tools."""

import os

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import BrowserContext
from pytest_django.live_server_helper import LiveServer

from skincare.accounts.models import Role
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_administrator_finds_out_who_saw_a_patient(live_server: LiveServer, browser_context: BrowserContext) -> None:
    clinician = factories.clinician()
    patient = factories.case(clinician).patient
    factories.withdraw(patient, clinician)
    session = Client()
    session.force_login(factories.member(Role.ADMINISTRATOR, factories.organisation_of(clinician)))
    cookie = session.cookies[settings.SESSION_COOKIE_NAME].value
    browser_context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    page = browser_context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})

    page.goto(f"{live_server.url}/privacy/")
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/ask.png")
    page.get_by_label("Record number or id of the patient").fill(patient.record_number)
    page.get_by_role("button", name="Show").click()

    page.get_by_role("heading", name="Who saw this patient").wait_for()
    assert str(patient.pk) in page.url
    assert page.get_by_role("cell", name=clinician.email).count() > 2
    # The table scrolls by itself; the page does not.
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    if folder:
        page.screenshot(path=f"{folder}/phone.png")
        page.set_viewport_size({"width": 1200, "height": 700})
        page.screenshot(path=f"{folder}/page.png")
