"""The whole way of a case on a phone, against a real server and workers, with real photographs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageFilter
from playwright.sync_api import Route, expect

from tests.diagnosis.web.capture.dermatologist import visit
from tests.diagnosis.web.capture.phone import Phone
from tests.factories import HAM10000, PHOTOGRAPH
from tests.faults.platform import Platform, eventually

pytestmark = pytest.mark.browser


#: How much of each signature under a patient's consents is black.
INK = """async (address) => {
  const { history } = await (await fetch(address)).json();
  return Promise.all(history.map(async ({ signature }) => {
    const picture = await createImageBitmap(await (await fetch(signature)).blob());
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, at) => at % 4 === 0 && value < 128 && data[at + 3] > 128).length / (data.length / 4);
  }));
}"""


def cases(phone: Phone) -> int:
    return int(phone.platform.ask("SELECT count(*) FROM diagnosis_case"))


def test_from_consent_to_answer(phone: Phone) -> None:
    before = cases(phone)
    number = phone.to_review(PHOTOGRAPH, "analysis", "teledermatology", "research")
    phone.submit()

    page = phone.page
    expect(page.locator("#verdict-words")).to_have_text("Refer urgently, on the suspected skin cancer pathway.")
    expect(page.locator("#scale [aria-current]")).to_have_text("Refer urgently")
    expect(page.locator(".bar-row")).to_have_count(7)
    expect(page.locator("#own-impression")).to_contain_text("Not sure")
    page.locator("#map-strength").fill("60")
    expect(page.locator("#map")).to_be_visible()
    phone.until("document.querySelector('#photograph').naturalWidth === 600")
    assert cases(phone) == before + 1
    consents = "SELECT count(*) FROM diagnosis_consentevent WHERE method = 'signature' AND patient_id = "
    patient = str(phone.platform.ask("SELECT patient_id FROM diagnosis_case ORDER BY submitted_at DESC LIMIT 1"))
    assert phone.platform.ask(f"{consents} %s", patient) == 3
    # Each with the lines that the finger drew: a blank picture would be no evidence.
    ink = page.evaluate(INK, f"/api/v1/patients/{patient}/consents/")
    assert len(ink) == 3
    assert min(ink) > 0.002
    # Nothing of the patient is left on the phone.
    memory = phone.memory()
    for secret in (number, "Maria", "Lindqvist", "1961-04-17"):
        assert secret not in memory
    assert "[drafts]" not in memory
    assert "[photographs]" not in memory
    assert "[outbox]" not in memory

    page.locator("#to-lesion").click()
    expect(page.locator(".visit")).to_have_count(1)
    page.locator("#lesion-new").click()
    expect(page.locator("#consent-known-text")).to_contain_text("Analysis, Teledermatology, Research")
    phone.next("consent")
    expect(page.locator("#body-chosen")).to_have_text("Chosen, seen before: Abdomen")


def test_a_half_filled_case_survives_the_browser_and_going_back(phone: Phone) -> None:
    phone.new_case()
    number = phone.new_patient()
    phone.consent("analysis")
    phone.site("chest")
    phone.photograph(PHOTOGRAPH)
    phone.next("photographs")
    phone.tick("[name=q-oozing][value=yes]")
    phone.page.wait_for_timeout(2000)  # it is kept a quarter of a second after the last change
    assert number not in phone.memory()
    assert "Lindqvist" not in phone.memory()

    phone.close()
    phone.start()
    phone.page.goto(f"{phone.base}/capture/")
    phone.unlock()
    phone.page.locator("#drafts .case").click()

    expect(phone.page.locator("[name=q-oozing][value=yes]")).to_be_checked()
    for screen, proof in (
        ("photographs", ".shot img"),
        ("site", '[data-region=chest][aria-pressed="true"]'),
        ("consent", "[data-scope=analysis]:checked"),
        ("patient", "#patient-chosen-name"),
    ):
        phone.page.locator("#back").click()
        expect(phone.page.locator(f"[data-screen={screen}] {proof}")).to_be_visible()


def test_a_second_tap_is_the_same_case(phone: Phone) -> None:
    before = cases(phone)
    phone.to_review(PHOTOGRAPH)
    phone.page.evaluate("for (let i = 0; i < 5; i += 1) document.querySelector('#submit-case').click()")
    expect(phone.page.locator("#verdict-words")).to_be_visible()
    assert cases(phone) == before + 1


def test_without_consent_to_analysis_it_is_stored_and_not_read(phone: Phone) -> None:
    phone.to_review(PHOTOGRAPH, "teledermatology")
    expect(phone.page.locator("#review-effect")).to_contain_text("the network does not read it")
    phone.submit()
    page = phone.page
    expect(page.locator("#no-result-why")).to_have_text("The patient has not agreed to the analysis.")
    expect(page.locator("#probabilities-part")).to_be_hidden()
    # The clinical rule asks for nothing and the network has read nothing, which settles nothing.
    expect(page.locator("#verdict-words")).to_have_text(phone.text("level human_review"))
    expect(page.locator("#verdict-why")).to_be_empty()
    expect(page.locator("#scale [aria-current]")).to_have_text("Doctor’s look")
    page.locator("#to-lesion").click()
    expect(page.locator(".visit .chip")).to_have_text("Doctor’s look")
    page.evaluate("location.hash = '#/home'")
    expect(page.locator("#recent .chip").first).to_have_text("Doctor’s look")


@pytest.fixture
def sleeping_network(running_platform: Platform) -> Iterator[None]:
    """No worker reads anything until the test is over."""
    running_platform.freeze_workers()
    yield
    running_platform.thaw_workers()


@pytest.mark.usefixtures("sleeping_network")
def test_what_the_clinical_rule_asks_for_does_not_wait_for_the_network(phone: Phone) -> None:
    page = phone.page
    phone.to_review(PHOTOGRAPH)
    history = page.evaluate("location.hash").replace("review", "history")
    page.evaluate("(history) => { location.hash = history; }", history)
    phone.tick("[name=q-inflammation][value=yes]")
    page.evaluate("(history) => { location.hash = history.replace('history', 'review'); }", history)
    phone.submit()
    expect(page.locator("#verdict-words")).to_have_text("Refer urgently, on the suspected skin cancer pathway.")
    expect(page.locator("#verdict-why")).to_contain_text("The weighted 7-point checklist scores 3 or more")
    expect(page.locator("#answer-loading")).to_be_visible()  # the network is still awaited
    expect(page.get_by_role("link", name="Refer to dermatology")).to_be_visible()


@pytest.mark.usefixtures("sleeping_network")
def test_a_network_that_has_not_answered_has_agreed_to_nothing(phone: Phone) -> None:
    page = phone.page
    phone.to_review(PHOTOGRAPH)
    phone.submit()
    expect(page.locator("#verdict-words")).to_have_text("The network has not answered yet.")
    expect(page.locator("#verdict-why")).to_be_empty()
    expect(page.locator("#scale [aria-current]")).to_have_count(0)
    expect(page.get_by_role("link", name="Refer to dermatology")).to_be_visible()
    phone.platform.thaw_workers()
    expect(page.locator(".bar-row")).to_have_count(7)
    expect(page.locator("#scale [aria-current]")).to_have_count(1)


def test_a_photograph_that_did_not_come_with_the_answer_is_fetched_again(phone: Phone) -> None:
    page = phone.page
    broken: list[str] = []

    def break_once(route: Route) -> None:
        if broken:
            route.continue_()
        else:
            broken.append(route.request.url)
            route.abort()

    made = visit(phone.platform, PHOTOGRAPH.read_bytes())
    eventually("it is answered", lambda: phone.platform.unfinished() == 0)
    phone.context.route("**/api/v1/images/**", break_once)
    page.evaluate(f"location.hash = '#/answer/{made['case']}'")
    expect(page.locator("#answer-problem-text")).to_have_text(phone.text("no_network"))
    # Well before the link to it is another one, with which the whole answer comes anew after 75 s on average.
    shown = "document.querySelector('#photograph').naturalWidth === 600"
    eventually("the photograph is shown", lambda: bool(page.evaluate(shown)), seconds=20)
    expect(page.locator("#answer-problem")).to_be_hidden()
    expect(page.locator(".bar-row")).to_have_count(7)
    assert len(broken) == 1


def test_a_fingertip_beside_a_small_part_of_the_body_finds_it(phone: Phone) -> None:
    phone.new_case()
    phone.new_patient()
    phone.consent()
    page = phone.page
    hand = page.locator("[data-side=front] [data-region=palm]")
    hand.scroll_into_view_if_needed()
    box = hand.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] - 12, box["y"] + box["height"] / 2)  # beside both hands, on the left of the drawing
    expect(page.locator("#body-chosen")).to_have_text("Chosen: Palm")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] - 190)  # on nothing: what was chosen stays
    expect(page.locator("#body-chosen")).to_have_text("Chosen: Palm")


def test_the_checklist_acts_at_once(phone: Phone) -> None:
    phone.new_case()
    phone.new_patient()
    phone.consent()
    phone.site()
    phone.photograph(PHOTOGRAPH)
    phone.next("photographs")
    page = phone.page
    phone.tick("[name=q-irregular_shape][value=yes]")
    expect(page.locator("#score-number")).to_have_text("Checklist score: 2 of 10")
    phone.tick("[name=q-inflammation][value=yes]")
    expect(page.locator("#score-number")).to_have_text("Checklist score: 3 of 10")
    expect(page.locator("#score")).to_contain_text("refer urgently")
    phone.next("history")
    expect(page.locator("#history-error")).to_have_text("Questions without an answer: 7")


@pytest.fixture
def photographs(tmp_path: Path) -> dict[str, Path]:
    """Wrong ones, made from a right one."""
    made = {name: tmp_path / f"{name}.jpg" for name in ("blurred", "dark", "small", "text")}
    with Image.open(PHOTOGRAPH) as right:
        right.filter(ImageFilter.GaussianBlur(9)).save(made["blurred"])
        right.point(lambda value: value // 6).save(made["dark"])
        right.resize((180, 135)).save(made["small"])
    made["text"].write_text("no photograph")
    return made


def test_a_wrong_photograph_is_told_with_its_reason_and_can_be_kept_with_a_remark(
    phone: Phone, photographs: dict[str, Path]
) -> None:
    phone.new_case()
    phone.new_patient()
    phone.consent("analysis")
    phone.site()
    page = phone.page
    choose = page.locator("[data-kind=dermoscopic] [type=file]")
    error = page.locator("#photographs-error")
    choose.set_input_files(photographs["text"])
    expect(error).to_contain_text("not a photograph")
    choose.set_input_files(photographs["small"])
    expect(error).to_contain_text("at least 224 by 224")
    phone.photograph(photographs["dark"])
    expect(page.locator(".reasons")).to_contain_text("too dark")
    page.locator("[data-remove]").click()
    expect(page.locator(".shot")).to_have_count(0)
    phone.photograph(photographs["blurred"])
    expect(page.locator(".reasons")).to_contain_text("blurred")
    phone.next("photographs")
    expect(error).to_contain_text("take it again, remove it, or keep it")
    page.locator("[data-keep]").click()
    page.locator(".remark input").fill("a child that will not sit still")
    phone.next("photographs")
    phone.history()
    phone.impression()
    phone.submit()
    expect(page.locator("#no-result-why")).to_contain_text("not good enough to be read")
    expect(page.locator("#verdict-words")).to_contain_text("A doctor with training in skin lesions")


def test_a_large_photograph_is_reduced_on_the_phone(phone: Phone, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with Image.open(PHOTOGRAPH) as picture:
        picture.resize((4000, 3000)).save(large, quality=95)
    phone.new_case()
    phone.new_patient()
    phone.consent("analysis")
    phone.site()
    phone.photograph(large)
    phone.until("document.querySelector('.shot img').naturalWidth > 0")
    shown = "[document.querySelector('.shot img').naturalWidth, document.querySelector('.shot img').naturalHeight]"
    assert phone.page.evaluate(shown) == [2560, 1920]


#: How far the ink of the signature on the screen is from what it is written on, from 0 to 255.
CONTRAST = """() => {
  const canvas = document.querySelector("#signature");
  const lightness = ([red, green, blue]) => (red + green + blue) / 3;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const drawn = [];
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) drawn.push(data.subarray(i, i + 3));
  const ground = lightness(getComputedStyle(canvas).backgroundColor.match(/[\\d.]+/g).map(Number));
  return drawn.length && Math.min(...drawn.map((one) => Math.abs(lightness(one) - ground)));
}"""


def test_a_signature_stays_readable_where_the_theme_changes(phone: Phone) -> None:
    page = phone.page
    phone.new_case()
    phone.new_patient()
    phone.tick("[data-scope=analysis]")
    phone.tick("[name=method][value=signature]")
    phone.sign()
    assert page.evaluate(CONTRAST) > 100
    page.emulate_media(color_scheme="dark")
    eventually("it is read in the dark", lambda: page.evaluate(CONTRAST) > 100)
    page.evaluate("document.documentElement.dataset.theme = 'light'")  # as the menu does
    eventually("it is read in the light", lambda: page.evaluate(CONTRAST) > 100)


def test_the_live_camera_takes_a_photograph(phone: Phone) -> None:
    to_photographs(phone)
    page = phone.page
    page.locator("[data-kind=close_up] [data-live]").click()
    expect(page.locator("#camera-hint")).to_contain_text("ruler along the line")
    phone.until("document.querySelector('#camera-video').videoWidth > 0")
    page.locator("#shutter").click()
    expect(page.locator("[data-kind=close_up] .shot")).to_have_count(1)
    phone.until("document.querySelector('.shot img').naturalWidth >= 640")

    page.locator("[data-kind=overview] [data-live]").click()
    expect(page.locator("#camera")).to_be_visible()
    page.evaluate("location.hash = '#/home'")
    expect(page.locator("#greeting")).to_be_visible()
    expect(page.locator("#camera")).to_be_hidden()
    phone.until("document.querySelector('#camera-video').srcObject === null")


#: A phone that asks whether the camera may be used, until it is told so: `allow()`. What then opens is in `streams`.
ASKS_FIRST = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const told = new Promise((resolve) => { window.allow = resolve; });
  window.streams = [];
  navigator.mediaDevices.getUserMedia = async (...all) => {
    await told;
    const stream = await open(...all);
    window.streams.push(stream);
    return stream;
  };
}"""


def test_a_second_tap_while_the_camera_is_asked_for_opens_no_second_one(phone: Phone) -> None:
    to_photographs(phone)
    page = phone.page
    page.evaluate(ASKS_FIRST)
    camera = page.locator("[data-kind=close_up] [data-live]")
    camera.click()
    camera.click()
    page.evaluate("allow()")
    phone.until("document.querySelector('#camera-video').videoWidth > 0")
    page.wait_for_timeout(500)  # in which a second one would open
    page.locator("#shutter").click()
    expect(page.locator("[data-kind=close_up] .shot")).to_have_count(1)
    expect(page.locator("#photographs-error")).to_be_empty()
    states = "streams.map((stream) => stream.getTracks().map((track) => track.readyState).join())"
    assert page.evaluate(states) == ["ended"]


@pytest.mark.parametrize("left", ["for another screen", "behind the lock"])
def test_a_camera_that_is_allowed_too_late_opens_over_nothing(phone: Phone, left: str) -> None:
    to_photographs(phone)
    page = phone.page
    page.evaluate(ASKS_FIRST)
    page.locator("[data-kind=close_up] [data-live]").click()
    if left == "behind the lock":
        phone.lock()
    else:
        page.evaluate("location.hash = '#/home'")
        expect(page.locator("#greeting")).to_be_visible()
    page.evaluate("allow()")
    phone.until("streams.length === 1 && streams[0].getTracks().every((track) => track.readyState === 'ended')")
    expect(page.locator("#camera")).to_be_hidden()


#: A phone that opens no photograph before it is told to: `release()`.
SLOW = """() => {
  const open = window.createImageBitmap;
  const told = new Promise((resolve) => { window.release = resolve; });
  window.createImageBitmap = async (...all) => { await told; return open(...all); };
}"""


def test_a_photograph_stays_with_the_case_that_it_was_taken_for(phone: Phone) -> None:
    page = phone.page
    to_photographs(phone)
    first = page.evaluate("location.hash")
    page.evaluate(SLOW)
    page.locator("[data-kind=dermoscopic] [type=file]").set_input_files(PHOTOGRAPH)
    phone.next("photographs")
    expect(page.locator("#photographs-error")).to_have_text(phone.text("photograph_being_read"))

    page.evaluate("location.hash = '#/home'")
    to_photographs(phone)
    page.evaluate("release()")
    eventually("the photograph is kept", lambda: phone.memory().count("[photographs]") == 1)
    phone.next("photographs")
    expect(page.locator("#photographs-error")).to_have_text(phone.text("photograph_missing"))
    expect(page.locator(".shot")).to_have_count(0)

    page.evaluate("(first) => { location.hash = first; }", first)
    expect(page.locator("[data-kind=dermoscopic] .shot")).to_have_count(1)
    phone.lock()
    expect(page.locator(".shot")).to_have_count(0)  # behind the lock nothing of it stays in the page


@pytest.mark.parametrize("opened", ["behind the lock", "after it"])
def test_a_photograph_that_is_being_opened_when_the_phone_locks_is_kept(phone: Phone, opened: str) -> None:
    page = phone.page
    to_photographs(phone)
    page.evaluate(SLOW)
    page.locator("[data-kind=dermoscopic] [type=file]").set_input_files(PHOTOGRAPH)
    expect(page.locator("[data-kind=dermoscopic][aria-busy]")).to_have_count(1)
    phone.lock()
    if opened == "behind the lock":
        page.evaluate("release()")
        eventually("the photograph is kept", lambda: phone.memory().count("[photographs]") == 1)
        expect(page.locator(".shot")).to_have_count(0)
        phone.unlock()
    else:
        phone.unlock()
        expect(page.locator("#slots")).to_be_visible()
        page.evaluate("release()")
    expect(page.locator("[data-kind=dermoscopic] .shot")).to_have_count(1)
    page.reload()
    phone.unlock()
    expect(page.locator("[data-kind=dermoscopic] .shot")).to_have_count(1)
    phone.until("document.querySelector('.shot img').naturalWidth > 0")


def test_a_case_is_not_sent_without_a_photograph_that_is_still_being_opened(phone: Phone) -> None:
    page = phone.page
    phone.to_review(PHOTOGRAPH)
    review = page.evaluate("location.hash")
    before = cases(phone)
    page.evaluate("(steps) => { location.hash = steps; }", review.replace("review", "photographs"))
    expect(page.locator("#slots")).to_be_visible()
    page.evaluate(SLOW)
    page.locator("[data-kind=close_up] [type=file]").set_input_files(PHOTOGRAPH)
    page.evaluate("(review) => { location.hash = review; }", review)
    phone.submit()
    expect(page.locator("#review-error")).to_contain_text(phone.text("step photographs"))
    page.evaluate("release()")
    eventually("both are kept", lambda: phone.memory().count("[photographs]") == 2)
    phone.submit()
    expect(page.locator("#verdict-words")).to_be_visible()
    assert cases(phone) == before + 1
    newest = "(SELECT id FROM diagnosis_case ORDER BY submitted_at DESC LIMIT 1)"
    assert int(phone.platform.ask(f"SELECT count(*) FROM diagnosis_caseimage WHERE case_id = {newest}")) == 2


def to_photographs(phone: Phone) -> None:
    phone.new_case()
    phone.new_patient()
    phone.consent("analysis")
    phone.site()
    expect(phone.page.locator("#slots")).to_be_visible()


def test_where_the_camera_is_denied_the_phones_own_takes_over(new_phone: Callable[..., Phone]) -> None:
    phone = new_phone(camera=False)
    phone.begin()
    to_photographs(phone)
    page = phone.page
    page.locator("[data-kind=dermoscopic] [data-live]").click()
    expect(page.locator("#photographs-error")).to_contain_text("The camera is not allowed here")
    expect(page.locator("[data-kind=dermoscopic] [type=file]")).to_have_attribute("capture", "environment")
    phone.photograph(PHOTOGRAPH)


def test_phone_and_server_judge_photographs_alike(phone: Phone, photographs: dict[str, Path]) -> None:
    from diagnosis.classifier.photograph import receive

    phone.new_case()
    for file in [*sorted(HAM10000.glob("*.jpg"))[:12], PHOTOGRAPH, photographs["blurred"], photographs["dark"]]:
        said = phone.page.evaluate(
            """async (bytes) => {
              const { prepare } = await import("/static/skincare/capture/photograph.js");
              return (await prepare(new Blob([new Uint8Array(bytes)], { type: "image/jpeg" }))).problems;
            }""",
            list(file.read_bytes()),
        )
        assert said == list(receive(file.read_bytes()).quality.problems), file.name


def test_answers_that_came_meanwhile_are_all_counted_and_listed_until_they_were_looked_at(phone: Phone) -> None:
    page = phone.page
    expect(page.locator("#tile-new")).not_to_have_text("–")
    page.evaluate("localStorage.setItem('looked-at', new Date().toISOString())")
    phone.close()
    first = visit(phone.platform, PHOTOGRAPH.read_bytes())
    made = [visit(phone.platform, PHOTOGRAPH.read_bytes(), first["patient"], first["lesion"]) for _ in range(13)]
    answered = "SELECT count(*) FROM diagnosis_analysis WHERE state = 'answered' AND case_id = ANY(%s::uuid[])"
    ids = [one["case"] for one in (first, *made)]
    eventually("all are answered", lambda: phone.platform.ask(answered, ids) == 14)

    phone.start()
    page = phone.page
    page.goto(f"{phone.base}/capture/")
    phone.unlock()
    expect(page.locator("#tile-new")).to_have_text("14")
    expect(page.locator("#recent .case")).to_have_count(12)  # the latest, of which there are more too
    page.locator("#more").click()
    expect(page.locator(f'#recent a[href="#/answer/{first["case"]}"]')).to_be_visible()
    page.locator("[data-show=new]").click()
    expect(page.locator("#recent .case")).to_have_count(12)
    page.locator("#more").click()
    expect(page.locator("#recent .case")).to_have_count(14)
    expect(page.locator("#more")).to_be_hidden()
    page.locator(f'#recent a[href="#/answer/{first["case"]}"]').click()
    expect(page.locator("#verdict-words")).to_be_visible()
    page.locator("#back").click()
    expect(page.locator("#tile-new")).to_have_text("13")

    phone.close()
    phone.start()
    page = phone.page
    page.goto(f"{phone.base}/capture/")
    phone.unlock()
    expect(page.locator("#tile-new")).to_have_text("0")
