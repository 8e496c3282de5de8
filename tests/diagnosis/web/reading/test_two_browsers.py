"""A clinician's and a dermatologist's browser on one real server with worker, PostgreSQL and Valkey: the whole way of a
referral, opinions that disagree, declining, and what time does, which the tests move and do not wait for.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Download, Page, expect
from pypdf import PdfReader

from tests.diagnosis.web.capture.phone import Phone
from tests.diagnosis.web.capture.test_after_the_answer import referral_on_screen
from tests.diagnosis.web.reading.conftest import COLLEAGUES, Desk, Rooms
from tests.factories import PHOTOGRAPH

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
#: Nothing of the network's answer may stand in a page before the reader's own read.
TELLING = ("answer-heading", "Risk of a malignant", "map-strength", "Calibrated probability")


def show_change(page: Page) -> None:
    """The page says by itself that something changed; look at it."""
    page.locator("#changed").wait_for(state="visible")
    page.locator("#changed a").click()
    page.wait_for_load_state()


def claim(desk: Desk, referral: str) -> Page:
    """Take it from the list, where it appears by itself."""
    page = desk.go("/worklist/")
    page.locator(f"#claim-{referral}").click()
    page.wait_for_url(f"**/worklist/{referral}/**")
    return page


def read(page: Page, *keys: str) -> None:
    """Record a read with keys."""
    page.wait_for_load_state()  # keys pressed before the page's module runs are lost
    content = page.content()
    assert [telling for telling in TELLING if telling in content] == []
    for key in (*keys, "s"):
        page.keyboard.press(key)
    page.locator("#answer-heading").wait_for()


def text_of(download: Download) -> str:
    """Of a PDF."""
    return " ".join(page.extract_text() for page in PdfReader(download.path()).pages)


def test_from_the_clinic_to_the_answer_and_back(rooms: Rooms, new_phone: Callable[..., Phone]) -> None:
    """The clinician has the phone app and nothing else, the dermatologist the reading room."""
    phone, reader = new_phone(), rooms.desk("dermatologist@demo.example")
    phone.begin()
    app = phone.page

    # A ready text first.
    page = reader.go("/worklist/texts/")
    page.get_by_label("Title").fill("Excise, narrow margin")
    page.locator("#snippet-text").fill("Please excise with a margin of 2 mm and send the histology.")
    page.get_by_text("What it fills in beside the text").click()
    page.locator("#plan").select_option("excise")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Excise, narrow margin")).to_be_visible()
    page = reader.go("/worklist/")

    # Photographed, answered by the network, and referred.
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    app.get_by_role("link", name="Refer to dermatology").click()
    expect(app.locator("#refer-sent")).to_contain_text("Photographs: 1")
    app.locator("[name=urgency][value=urgent_suspected_cancer]").check()
    app.locator("#refer-question").fill("Melanoma? Excise?")
    app.locator("#refer .primary").click()
    pk = referral_on_screen(phone)
    expect(app.locator("#referral-state-words")).to_have_text("Sent, waits for a dermatologist")

    expect(page.locator(f"#claim-{pk}")).to_be_visible()  # by itself
    page.locator(f"#claim-{pk}").click()
    page.wait_for_url(f"**/worklist/{pk}/**")
    page.wait_for_load_state()
    expect(page.get_by_text("Melanoma? Excise?")).to_be_visible()
    expect(app.locator("#referral-state-words")).to_have_text("A dermatologist is reading it")  # by itself, too
    assert reader.context.request.get(f"{reader.base}/worklist/{pk}/documents/letter/").status == 409
    read(page, "2", "c", "3")
    expect(page.get_by_text("read blind")).to_be_visible()

    # Asked, and replied.
    page.wait_for_load_state()
    page.keyboard.press("m")
    page.keyboard.type("Since when has it been there?")
    page.get_by_role("button", name="Ask, and wait").click()
    expect(page.get_by_text("More information asked", exact=True)).to_be_visible()
    expect(app.locator("#referral-state-words")).to_have_text("The dermatologist asks you")
    expect(app.locator("#messages")).to_contain_text("Since when has it been there?")
    app.locator("#message-text").fill("Since this spring.")
    app.locator("#message-images").set_input_files(PHOTOGRAPH)
    app.locator("#message-send").click()
    expect(app.locator("#referral-state-words")).to_have_text("A dermatologist is reading it")
    expect(app.locator("#messages img")).to_be_visible()
    show_change(page)
    expect(page.get_by_text("Since this spring.")).to_be_visible()
    sent = page.get_by_alt_text("Photograph sent with the message")
    assert reader.context.request.get(f"{reader.base}{sent.get_attribute('src')}").status == 200

    # Signed, with the ready text.
    page.keyboard.press("t")
    page.locator("#snippet").select_option(label="Excise, narrow margin")
    page.keyboard.press("Enter")
    expect(page.locator("#text")).to_have_value("Please excise with a margin of 2 mm and send the histology.")
    expect(page.get_by_label("Excise", exact=True)).to_be_checked()
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.get_by_text("Signed by Ingrid Solberg")).to_be_visible()
    page.wait_for_load_state()  # a download that begins before ends the page's own coming
    for link in ("Letter to the clinician (PDF)", "Patient's leaflet (PDF)"):
        with page.expect_download() as download:
            page.get_by_role("link", name=link).click()
        assert "Lindqvist" not in download.value.suggested_filename

    # Read on the phone: the answer, the letter, the leaflet.
    expect(app.locator("#assessments .plan")).to_have_text("Excise")
    expect(app.locator("#assessments .words")).to_contain_text("margin of 2 mm")
    with app.expect_download() as download:
        app.get_by_role("button", name="The dermatologist’s letter (PDF)").click()
    assert "margin of 2 mm" in text_of(download.value)
    with app.expect_download() as download:
        app.get_by_role("button", name="The patient’s leaflet (PDF)").click()
    assert "Maria Lindqvist" in text_of(download.value)

    # Amended, read again, closed.
    page.locator("summary", has_text="Amend").click()
    page.get_by_label("Urgent suspected cancer pathway").check()
    page.get_by_label("say why it is amended").fill("Seen again: regression.")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.get_by_text("Replaced")).to_be_visible()
    expect(app.locator("#assessments .words").first).to_have_text("Seen again: regression.")
    with app.expect_download() as download:
        app.get_by_role("button", name="The dermatologist’s letter (PDF)").click()
    letter = text_of(download.value)
    assert "Seen again: regression." in letter
    assert "Please discard that one" in letter
    app.get_by_role("button", name="Read and acted upon: close").click()
    expect(app.locator("#referral-state-words")).to_have_text("Answered and closed")

    # What it turned out to be, in the same browser.
    app.goto(f"{phone.base}/notices/")
    expect(app.get_by_role("link", name="The dermatologist asks you for more information.").first).to_be_visible()
    app.goto(f"{phone.base}/outcomes/")
    app.locator("[id^=lesion-]", has_text="Maria Lindqvist").first.click()
    app.get_by_text("Histology", exact=True).click()
    app.locator("#outcome-search").fill("melan")
    expect(app.locator("#outcome-diagnosis")).to_have_value("")  # nothing is chosen where several fit
    app.locator("#outcome-search").fill("melanoma in situ")
    app.get_by_role("button", name="Record the outcome").click()
    expect(app.locator(".assessment", has_text="Counts")).to_contain_text("Melanoma in situ")

    # The dermatologist finds it again by its record number, closed as it is.
    page = reader.go("/worklist/?states=all")
    expect(page.locator("[data-row]", has=page.locator(f"#case-{pk}"))).to_contain_text("Answered by Ingrid Solberg")


def test_two_readers_disagree_and_a_third_settles_it(rooms: Rooms) -> None:
    clinic, first = rooms.desk("clinician@demo.example"), rooms.desk("dermatologist@demo.example")
    second, third = (rooms.desk(email) for email in COLLEAGUES)
    pk = clinic.refer()[0]["id"]
    page = claim(first, pk)
    read(page, "1", "c", "4")

    def ask(name: str) -> None:
        page.locator("#opinions").evaluate("(one) => { one.open = true }")
        page.locator("#of").select_option(label=name)
        page.locator("#opinion-question").fill("Regression in the middle?")
        page.get_by_role("button", name="Ask for an opinion").click()
        expect(page.get_by_text(f"{name} was asked and has not read yet.")).to_be_visible()

    def give(desk: Desk, *keys: str) -> None:
        desk.go("/worklist/").locator(".asked-of-you a").first.click()
        expect(desk.page.get_by_text("Regression in the middle?")).to_be_visible()
        assert "95&nbsp;%</p>" not in desk.page.content()  # what the first reader found
        read(desk.page, *keys)

    ask("Jonas Weber")
    give(second, "4", "c", "3")
    show_change(page)
    expect(page.get_by_text("The readers disagree. Ask a third reader to settle it.")).to_be_visible()
    page.get_by_label("Reassure").check()
    page.keyboard.press("s")
    expect(page.get_by_role("alert")).to_contain_text("the readers disagree")
    ask("Amara Weber")
    give(third, "5", "c", "4")
    show_change(page)
    rows = page.locator("#opinions tbody tr")
    assert [row.split("\t")[1::2] for row in rows.all_inner_texts()] == [
        ["First reader", "yes"],
        ["Second opinion", "yes"],
        ["Settling a disagreement", "yes"],
    ]
    page.get_by_role("button", name="Melanoma in situ").click()
    for key in ("c", "3", "p", "6", "s"):
        page.keyboard.press(key)
    expect(page.get_by_text("Signed by Ingrid Solberg")).to_be_visible()
    assert "3 dermatologists read the photographs" in clinic.pdf(f"/api/v1/referrals/{pk}/letter/")


def test_what_is_declined_is_told_and_seen_no_more(rooms: Rooms) -> None:
    clinic, reader = rooms.desk("clinician@demo.example"), rooms.desk("dermatologist@demo.example")
    pk = clinic.refer()[0]["id"]
    page = reader.go(f"/worklist/{pk}/")
    page.locator("summary", has_text="Decline").click()
    page.locator("#reason").select_option("see_in_person")
    page.locator("#explanation").fill("Please send the patient to us.")
    page.get_by_role("button", name="Decline", exact=True).click()
    page.wait_for_url("**/worklist/?*")
    assert reader.context.request.get(f"{reader.base}/worklist/{pk}/").status == 404
    notices = clinic.go("/notices/")
    expect(notices.get_by_role("link", name="Your referral was declined.").first).to_be_visible()
    shown = clinic.get(f"referrals/{pk}/")
    assert (shown["state"], shown["explanation"]) == ("declined", "Please send the patient to us.")


def test_time_escalates_and_ends_a_referral_that_nobody_takes(rooms: Rooms) -> None:
    clinic, reader = rooms.desk("clinician@demo.example"), rooms.desk("dermatologist@demo.example")
    referral = clinic.refer("routine")[0]
    pk, due = referral["id"], datetime.fromisoformat(referral["due_at"])
    page = reader.go("/worklist/?whose=unclaimed")
    row = page.locator("[data-row]", has=page.locator(f"#case-{pk}"))
    expect(row).to_be_visible()
    assert "moved up" not in row.inner_text()

    rooms.tick(due + timedelta(minutes=1))
    expect(row).to_contain_text("moved up, because it is overdue")
    notices = reader.go("/notices/")
    expect(notices.get_by_role("link", name="A referral is overdue.").first).to_be_visible()

    page = reader.go("/worklist/?whose=unclaimed")
    expect(page.locator(f"#case-{pk}")).to_be_visible()
    rooms.tick(due + timedelta(days=15))
    expect(page.locator(f"#case-{pk}")).to_have_count(0)
    assert clinic.get(f"referrals/{pk}/")["state"] == "expired"
    expect(clinic.go("/notices/").get_by_text("A referral has expired without an answer.").first).to_be_visible()
