"""An emergency from its reason to its end, consents, corrections and the privacy officer's pages, in a browser.

Under the content policy, on a phone and at a desk, light and dark, in English and Arabic, and to assistive tools.
"""

import re

import pytest
from django.core import mail
from django.db import connection, transaction
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from diagnosis.models import EmergencyAccess, Patient
from diagnosis.services import emergency, notifications
from skincare.accounts.models import Role
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.api.test_pictures import case_with_a_map
from tests.diagnosis.services.answers import version
from tests.looking import look, look_everywhere, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

WHY = "Brought in unconscious, bleeding from the back."


@pytest.fixture
def page(browser_context: BrowserContext) -> Page:
    return browser_context.new_page()


def let_the_time_pass(access: EmergencyAccess) -> None:
    """Until it is over: past the trigger, as only a superuser can."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE diagnosis_emergencyaccess SET opened_at = opened_at - (ends_at - statement_timestamp()), "
            "ends_at = statement_timestamp() WHERE id = %s",
            [access.pk],
        )


def see_the_photograph(page: Page) -> None:
    """Until it is there: it is fetched when it comes into sight."""
    photograph = page.locator(".pictures img").first
    photograph.scroll_into_view_if_needed()
    expect(photograph).not_to_have_js_property("naturalWidth", 0)


def test_a_record_is_opened_by_a_reason_told_to_the_officer_and_closed_by_the_clock(
    live_server: LiveServer, page: Page
) -> None:
    own = factories.clinician()
    clinic = factories.organisation_of(own)
    hospital = factories.organisation(name="City Hospital")
    stranger, officer = factories.clinician(hospital), factories.member(Role.ADMINISTRATOR, clinic)
    version()
    patient = case_with_a_map(own).patient
    factories.grant(patient, own)
    base = live_server.url

    # Nobody may, until the clinic's administrator allows it.
    sign_in(page, base, stranger, to="/emergency/")
    expect(page.get_by_text("No organisation allows you emergency access")).to_be_visible()
    look_everywhere(page, "nobody-allows")
    sign_in(page, base, officer, to="/privacy/emergency/")
    expect(page.get_by_text("There was none.")).to_be_visible()
    look_everywhere(page, "none-yet")
    page.get_by_role("link", name=f"Change what {clinic.name} allows").click()
    page.get_by_label("Allow emergency access").check()
    page.get_by_label("Minutes until it ends").fill("5")
    page.get_by_label("City Hospital").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page, "policy-refused")
    expect(page.get_by_label("Allow emergency access")).to_be_checked()
    expect(page.get_by_label("City Hospital")).to_be_checked()
    page.get_by_label("Minutes until it ends").fill("30")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").wait_for()
    look_everywhere(page, "policy")

    # The stranger says why.
    sign_in(page, base, stranger, to="/emergency/")
    page.get_by_label("Record number").fill(patient.record_number)
    page.get_by_role("button", name="Open the record and tell the clinic").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    look(page, "reason-missing")
    page.get_by_label("Acute treatment").check()
    page.get_by_label("What happened").fill(WHY)
    look(page, "asking")
    page.get_by_role("button", name="Open the record and tell the clinic").click()
    expect(page.get_by_role("heading", name=patient.name or patient.record_number, level=1)).to_be_visible()
    expect(page.get_by_text(re.compile("Emergency access until"))).to_be_visible()
    record_address = page.url
    see_the_photograph(page)
    look_everywhere(page, "record")

    # The officer is told at once, by e-mail without a word about the patient, and on the page with the reason.
    assert notifications.send_due() == 1
    [letter] = mail.outbox
    assert letter.to == [officer.email]
    assert not any(word in letter.body + letter.subject for word in (patient.record_number, WHY, str(patient.pk)))
    sign_in(page, base, officer, to="/notices/")
    page.get_by_role("link", name=re.compile("emergency", re.IGNORECASE)).first.click()
    row = page.get_by_role("listitem").filter(has_text=stranger.email)
    expect(row).to_contain_text(WHY)
    expect(row).to_contain_text("new")
    look_everywhere(page, "officer")
    row.get_by_role("link", name=str(patient.pk)).click()
    page.get_by_role("heading", name="Who saw this patient").wait_for()
    expect(page.get_by_role("cell", name=stranger.email).first).to_be_visible()
    expect(page.get_by_role("cell", name="Acute treatment that cannot wait for a referral").first).to_be_visible()
    look_everywhere(page, "accesses")

    # The clock ends it, for whoever has the page open.
    access = EmergencyAccess.objects.get()
    sign_in(page, base, stranger, to=record_address.removeprefix(base))
    see_the_photograph(page)
    let_the_time_pass(access)
    reads = AuditEvent.objects.filter(action="emergency.read").count()
    answer = page.reload()
    assert answer is not None
    assert answer.status == 410
    expect(page.get_by_role("heading", name="This emergency access is over")).to_be_visible()
    assert patient.record_number not in page.content()
    photographs = f"{record_address}photographs/{patient.cases.get().images.get().pk}/"
    assert page.context.request.get(photographs).status == 404
    assert AuditEvent.objects.filter(action="emergency.read").count() == reads
    page.goto(f"{base}/emergency/")
    expect(page.get_by_text("over", exact=True)).to_be_visible()
    look_everywhere(page, "ask")
    sign_in(page, base, officer, to="/privacy/emergency/")
    expect(page.get_by_text(re.compile("over since"))).to_be_visible()


def test_consents_are_seen_and_withdrawn_and_the_patient_is_corrected(live_server: LiveServer, page: Page) -> None:
    clinician = factories.clinician()
    patient = factories.patient(clinician, name="Ada Exmaple")
    factories.grant(patient, clinician)
    factories.signed(patient, clinician)
    factories.patient(clinician, record_number="R-TAKEN", name="Ada Example")

    sign_in(page, live_server.url, clinician, to="/consents/")
    look_everywhere(page, "consents-ask")
    page.get_by_label("Record number").fill("R-NOBODY")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("Your clinics have no such patient.")).to_be_visible()
    look(page, "consents-nobody")
    page.get_by_label("Record number").fill(patient.record_number)
    page.get_by_role("button", name="Find").click()
    page.get_by_role("heading", name="Consents of Ada Exmaple").wait_for()
    look_everywhere(page, "consents")
    part = page.get_by_role("region", name="Analysis by the network")
    part.locator("summary").click()
    part.get_by_label("Signed on paper").check()
    look(page, "consents-withdrawing")
    part.get_by_role("button", name=re.compile("Withdraw:")).click()
    expect(page.get_by_role("status")).to_contain_text("in effect")
    look_everywhere(page, "consents-withdrawn")

    page.get_by_role("link", name="Correct the patient’s data").click()
    look_everywhere(page, "correct")
    page.get_by_label("Record number").fill("R-TAKEN")
    page.get_by_label("It was recorded wrongly").check()
    page.get_by_role("button", name="Correct").click()
    expect(page.get_by_role("alert")).to_contain_text("Another patient of this clinic")
    look(page, "correct-refused")
    page.get_by_label("Record number").fill(patient.record_number)
    page.get_by_label("Name", exact=True).fill("Ada Example")
    page.get_by_label("Sex", exact=True).select_option("female")
    page.get_by_role("button", name="Correct").click()
    page.get_by_role("heading", name="Consents of Ada Example").wait_for()
    assert Patient.objects.get(pk=patient.pk).name == "Ada Example"
    page.get_by_role("link", name="Correct the patient’s data").click()
    expect(page.get_by_text("Ada Exmaple")).to_be_visible()
    look_everywhere(page, "corrected-before")


def test_an_administrator_finds_out_who_saw_a_patient_and_what_they_can_do(live_server: LiveServer, page: Page) -> None:
    clinician = factories.clinician()
    patient = factories.case(clinician).patient
    factories.withdraw(patient, clinician)
    officer = factories.member(Role.ADMINISTRATOR, factories.organisation_of(clinician))

    sign_in(page, live_server.url, officer, to="/privacy/")
    look_everywhere(page, "privacy-ask")
    page.get_by_label("Record number or id of the patient").fill(patient.record_number)
    page.get_by_role("button", name="Show").click()
    page.get_by_role("heading", name="Who saw this patient").wait_for()
    assert str(patient.pk) in page.url
    expect(page.get_by_role("cell", name=clinician.email).nth(2)).to_be_visible()
    for link, name in (("Give the patient their record", "export"), ("Erase this patient", "erase")):
        page.get_by_role("link", name=link).click()
        look_everywhere(page, f"privacy-{name}")
        page.get_by_role("link", name="Back to who saw this patient").click()
    page.get_by_role("link", name="Erase this patient").click()
    page.get_by_role("button", name="Erase the patient").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    look(page, "privacy-erase-refused")


def test_the_officer_ends_what_is_open(live_server: LiveServer, page: Page) -> None:
    own = factories.clinician()
    clinic, patient = factories.organisation_of(own), factories.patient(own)
    hospital = factories.organisation()
    stranger, officer = factories.clinician(hospital), factories.member(Role.ADMINISTRATOR, clinic)
    emergency.set_policy(user=officer, organisation=clinic, enabled=True, minutes=30, open_to=[hospital])
    wanted = emergency.Wanted(clinic.pk, record_number=patient.record_number)
    access = emergency.open_access(
        user=stranger, wanted=wanted, reason=emergency.EmergencyReason.ACUTE, explanation=WHY
    )
    sign_in(page, live_server.url, officer, to="/privacy/emergency/")
    page.get_by_role("button", name="End it now").click()
    expect(page.get_by_text(re.compile(f"ended .* by {officer.email}"))).to_be_visible()
    sign_in(page, live_server.url, stranger, to=f"/emergency/{access.pk}/")
    expect(page.get_by_text(re.compile("It was ended"))).to_be_visible()
    look_everywhere(page, "over")
