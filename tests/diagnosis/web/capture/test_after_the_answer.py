"""After the answer: refer and hear back, observe and be reminded, close, and compare visits."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from tests.diagnosis.web.capture.dermatologist import Dermatologist, visit
from tests.diagnosis.web.capture.phone import Phone
from tests.diagnosis.web.capture.test_journey import INK
from tests.factories import PHOTOGRAPH

pytestmark = pytest.mark.browser


def open_answer(phone: Phone, case: str) -> None:
    phone.page.evaluate(f"location.hash = '#/answer/{case}'")
    expect(phone.page.locator("#answer-actions a").first).to_be_visible()


def referral_on_screen(phone: Phone) -> str:
    phone.page.wait_for_url(re.compile("#/referral/"))
    expect(phone.page.locator("#referral")).to_be_visible()
    return str(phone.page.url.rpartition("/")[2])


def test_from_the_answer_to_the_dermatologists_answer(phone: Phone, dermatologist: Dermatologist) -> None:
    page = phone.page
    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    open_answer(phone, made["case"])
    page.get_by_role("link", name="Refer to dermatology").click()
    expect(page.locator("[name=urgency]:checked")).to_have_value("urgent_suspected_cancer")
    expect(page.locator("#refer-sent")).to_contain_text("Photographs: 1")
    page.locator("#refer-question").fill("Melanoma? Excise?")
    page.evaluate("for (let i = 0; i < 4; i += 1) document.querySelector('#refer .primary').click()")  # four taps
    referral = referral_on_screen(phone)
    expect(page.locator("#referral-state-words")).to_have_text("Sent, waits for a dermatologist")
    assert phone.platform.ask("SELECT count(*) FROM diagnosis_referral WHERE case_id = %s::uuid", made["case"]) == 1

    dermatologist.do(referral, "actions", {"action": "accept"})
    dermatologist.do(referral, "first-read", {"diagnosis": "melanoma", "confidence": 80})
    dermatologist.do(referral, "messages", {"kind": "question", "text": "Since when does it grow?"})
    expect(page.locator("#referral-state-words")).to_have_text("The dermatologist asks you")
    expect(page.locator("#messages")).to_contain_text("Since when does it grow?")
    page.locator("#message-text").fill("Since May.")
    page.locator("#message-send").click()
    expect(page.locator("#referral-state-words")).to_have_text("A dermatologist is reading it")
    expect(page.locator("#messages li")).to_have_count(2)

    page.locator("#back").click()
    expect(page.locator("#tile-referred")).not_to_have_text("–")
    page.locator("[data-show=referred]").click()
    expect(page.locator(f'#recent a[href="#/referral/{referral}"]')).to_be_visible()
    dermatologist.do(referral, "assessments", {"diagnosis": "melanoma", "confidence": 90, "plan": "excise",
                                                "text": "Excise with 2 mm."})  # fmt: skip
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(f'#news a[href="#/referral/{referral}"]')).to_contain_text("Answered")
    page.locator(f'#news a[href="#/referral/{referral}"]').click()
    expect(page.locator("#assessments .plan")).to_have_text("Excise")
    expect(page.locator("#assessments .words")).to_have_text("Excise with 2 mm.")
    expect(page.locator("#assessments .small")).to_contain_text("Ingrid Solberg")
    for paper in ("The dermatologist’s letter (PDF)", "The patient’s leaflet (PDF)", "The referral letter (PDF)"):
        with page.expect_download() as download:
            page.get_by_role("button", name=paper).click()
        assert download.value.path().read_bytes().startswith(b"%PDF-"), paper
    page.get_by_role("button", name="Read and acted upon: close").click()
    expect(page.locator("#referral-state-words")).to_have_text("Answered and closed")
    page.locator("#back").click()
    expect(page.locator("#recent .case").first).to_be_visible()
    page.wait_for_timeout(500)
    expect(page.locator(f'#news a[href="#/referral/{referral}"]')).to_have_count(0)


#: Notes the photographs that are sent, as `sent`.
NOTE_PHOTOGRAPHS = """() => {
  const ask = window.fetch;
  window.sent = [];
  window.fetch = (address, options) => {
    if (options?.body instanceof FormData) window.sent.push(...options.body.getAll("images"));
    return ask(address, options);
  };
}"""
SIDES = """() => Promise.all(sent.map(async (photograph) => {
  const { width, height } = await createImageBitmap(photograph);
  return [width, height];
}))"""


def test_photographs_of_a_message_are_reduced_on_the_phone(phone: Phone, tmp_path: Path) -> None:
    page = phone.page
    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    open_answer(phone, made["case"])
    page.get_by_role("link", name="Refer to dermatology").click()
    page.locator("#refer .primary").click()
    referral_on_screen(phone)
    page.evaluate(NOTE_PHOTOGRAPHS)
    with Image.open(PHOTOGRAPH) as photograph:
        for name, size in {"large": (4000, 3000), "small": (320, 240), "tiny": (100, 75)}.items():
            photograph.resize(size).save(tmp_path / f"{name}.jpg")

    page.locator("#message-text").fill("Closer, with a ruler.")
    page.locator("#message-images").set_input_files(tmp_path / "tiny.jpg")
    page.locator("#message-send").click()
    expect(page.locator("#message-error")).to_contain_text("too small")
    page.locator("#message-images").set_input_files([tmp_path / "large.jpg", tmp_path / "small.jpg"])
    page.locator("#message-send").click()
    expect(page.locator("#messages img")).to_have_count(2)
    assert page.evaluate(SIDES) == [[2560, 1920], [320, 240]]


def test_an_observation_against_the_recommendation_needs_a_reason_and_comes_back_when_it_is_due(phone: Phone) -> None:
    page = phone.page
    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    open_answer(phone, made["case"])
    page.get_by_role("link", name="Keep under observation").click()
    expect(page.locator("#observe-caution")).to_be_visible()
    page.locator("#observe .primary").click()
    expect(page.locator("#observe-error")).to_contain_text("differs from the recommendation")
    page.locator("#observe-note").fill("The patient wants to wait for the spring.")
    phone.tick("[name=months][value='6']")
    page.locator("#observe .primary").click()
    expect(page.locator("#decided")).to_contain_text("Under observation: look again on")
    page.locator("#to-lesion").click()
    expect(page.locator("#lesion-due-text")).to_contain_text("look again on")

    # As if half a year had passed: no row of a decision can be changed, so another is written in its place.
    assert phone.platform.ask(
        "INSERT INTO diagnosis_decision (id, case_id, kind, decided_by_id, decided_at, remind_on, reason)"
        " SELECT gen_random_uuid(), id, 'observe', submitted_by_id, now(), current_date - 1, '' FROM diagnosis_case"
        " WHERE id = %s::uuid RETURNING 1",
        made["case"],
    )
    page.locator("#back").click()
    page.locator(f'#due a[href="#/lesion/{made["lesion"]}"]').click()
    expect(page.locator("#lesion-due-text")).to_contain_text("due")
    page.locator("#timeline a.btn").first.click()
    page.get_by_role("link", name="Close the case").click()
    page.locator("#close .primary").click()
    expect(page.locator("#close-error")).to_have_text("Choose the reason.")
    phone.tick("[name=reason][value=sent_elsewhere]")
    page.locator("#close-note").fill("Seen at the hospital.")
    page.locator("#close .primary").click()
    expect(page.locator("#decided")).to_contain_text("Closed: Referred another way")
    page.locator("#back").click()
    expect(page.locator("#recent .case").first).to_be_visible()
    expect(page.locator(f'#due a[href="#/lesion/{made["lesion"]}"]')).to_have_count(0)


def test_without_consent_to_teledermatology_the_case_stays_here(phone: Phone) -> None:
    phone.to_review(PHOTOGRAPH, "analysis")
    phone.submit()
    phone.page.get_by_role("link", name="Refer to dermatology").click()
    expect(phone.page.locator("#refer-blocked-text")).to_contain_text("not agreed to teledermatology")
    expect(phone.page.locator("#refer")).to_be_hidden()


def test_who_agrees_to_teledermatology_later_is_referred_at_once(phone: Phone) -> None:
    page = phone.page
    phone.to_review(PHOTOGRAPH, "analysis")
    phone.submit()
    page.get_by_role("link", name="Refer to dermatology").click()
    page.get_by_role("link", name="Record the consent").click()
    expect(page.locator("#consent-known-text")).to_contain_text("Analysis")
    expect(page.locator("[data-scope=analysis]")).to_be_hidden()
    expect(page.locator("#policy-text")).to_contain_text("You may say no to any of these")
    record = page.locator("#agree-button")
    record.click()
    expect(page.locator("#agree-error")).to_have_text("Switch on what the patient agrees to.")
    phone.tick("[data-scope=teledermatology]")
    expect(page.locator("[name=method][value=signature]")).to_be_checked()  # as the last time on this phone
    record.click()
    expect(page.locator("#agree-error")).to_have_text("The signature is missing.")
    phone.sign()
    page.locator("#spoken").select_option("ar")
    expect(page.locator("#policy-title")).to_have_text("صور جلدك")
    phone.context.set_offline(True)
    record.click()
    expect(page.locator("#agree-error")).to_contain_text("cannot be reached")
    phone.context.set_offline(False)
    page.evaluate("for (let i = 0; i < 4; i += 1) document.querySelector('#agree-button').click()")  # four taps
    page.wait_for_url(re.compile("#/refer/"))
    case = page.url.rpartition("/")[2]
    page.locator("#refer .primary").click()
    referral_on_screen(phone)

    consents = page.evaluate(
        "(case_) => fetch(`/api/v1/cases/${case_}/`).then((answer) => answer.json())"
        ".then((found) => fetch(`/api/v1/patients/${found.patient}/consents/`)).then((answer) => answer.json())",
        case,
    )
    said = [event for event in consents["history"] if event["scope"] == "teledermatology"]
    assert len(said) == 1
    assert (said[0]["method"], said[0]["language"], said[0]["policy_language"]) == ("signature", "ar", "ar")
    ink = page.evaluate(INK, f"/api/v1/patients/{consents['patient']}/consents/")
    assert min(ink) > 0.002


def test_who_agrees_to_the_analysis_later_has_it_read_then(phone: Phone) -> None:
    page = phone.page
    phone.to_review(PHOTOGRAPH, "teledermatology")
    phone.submit()
    page.locator("#no-result-consent").click()
    phone.tick("[data-scope=analysis]")
    phone.tick("[name=method][value=spoken]")
    page.locator("#agree-button").click()
    expect(page.locator("#agree-error")).to_have_text("The name of the witness is missing.")
    page.locator("#witness").fill("B. Hale, nurse")
    page.locator("#agree-button").click()
    expect(page.locator("#probabilities-part")).to_be_visible()
    expect(page.locator("#no-result")).to_be_hidden()
    page.locator("#to-lesion").click()
    expect(page.locator("#lesion-new")).to_be_visible()
    assert "B. Hale" not in page.content()


def test_what_a_patient_agreed_to_stands_in_the_record_and_research_can_be_added(phone: Phone) -> None:
    page = phone.page
    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    page.evaluate(f"location.hash = '#/patient/{made['patient']}'")
    expect(page.locator("#record-agreed")).to_contain_text("Analysis, Teledermatology")
    page.get_by_role("link", name="Record a consent").click()
    expect(page.locator("[data-scope]").locator("visible=true")).to_have_count(1)
    phone.tick("[data-scope=research]")
    phone.tick("[name=method][value=paper]")
    page.locator("#agree-button").click()
    expect(page.locator("#record-agreed")).to_contain_text("Analysis, Teledermatology, Research")
    expect(page.get_by_role("link", name="Record a consent")).to_be_hidden()
    page.get_by_role("link", name="History and withdrawal").click()
    expect(page.get_by_text("Research and training: agreed")).to_be_visible()


def test_what_was_written_stays_where_the_network_is_cut(phone: Phone) -> None:
    page = phone.page
    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    open_answer(phone, made["case"])
    page.get_by_role("link", name="Refer to dermatology").click()
    page.locator("#refer-question").fill("Melanoma?")
    phone.context.set_offline(True)
    page.locator("#refer .primary").click()
    expect(page.locator("#refer-error")).to_contain_text("cannot be reached")
    phone.context.set_offline(False)
    expect(page.locator("#refer-question")).to_have_value("Melanoma?")
    page.locator("#refer .primary").click()
    referral_on_screen(phone)


def spot(x: float, y: float) -> bytes:
    """A brown spot on textured skin, its centre at these fractions of the frame."""
    skin = Image.effect_noise((600, 450), 14).convert("RGB")
    skin = Image.blend(skin, Image.new("RGB", skin.size, "#e8b79a"), 0.85)
    ImageDraw.Draw(skin).ellipse([600 * x - 60, 450 * y - 50, 600 * x + 60, 450 * y + 50], fill="#5a3420")
    out = BytesIO()
    skin.save(out, "JPEG", quality=92)
    return out.getvalue()


def test_two_visits_lie_side_by_side_aligned_and_can_be_moved(new_phone: Callable[..., Phone]) -> None:
    phone = new_phone()
    phone.begin()
    page = phone.page
    first = visit(phone.platform, spot(0.45, 0.55), seen_at="2026-05-20T10:00:00Z")
    visit(phone.platform, spot(0.60, 0.40), patient=first["patient"], lesion=first["lesion"],
          seen_at=datetime.now(UTC).isoformat())  # fmt: skip
    page.evaluate(f"location.hash = '#/lesion/{first['lesion']}'")
    expect(page.locator("#timeline > li")).to_have_count(2)
    expect(page.locator("#compare-said")).to_contain_text("Aligned by the place of the lesion")
    # The frame is square and the photograph 4:3, so that a fraction of its width is more of the frame's.
    place = page.evaluate("document.querySelector('#later-picture').style.transform")
    x, y = (float(number) / 100 for number in re.findall(r"(-?[\d.]+)%", place))
    assert (x, y) == pytest.approx((-0.15 * 600 / 450, 0.15), abs=0.02)
    page.locator("[data-move=right]").click()
    assert page.evaluate("document.querySelector('#later-picture').style.transform") != place
    page.locator("[data-move=again]").click()
    phone.until(f"document.querySelector('#later-picture').style.transform === {json.dumps(place)}")
    page.locator("#blend").fill("50")
    expect(page.locator("#frames.laid")).to_be_visible()
    dates = page.locator("#timeline h3").all_text_contents()
    assert "May" in dates[-1]
