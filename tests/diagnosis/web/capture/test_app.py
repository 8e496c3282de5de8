"""What can be told of the phone app without a browser: texts, translations, body map, service worker, size."""

import gzip
import json
import re
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client

from diagnosis.models import AnatomicalSite
from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.services.wording import REASONS
from diagnosis.web.capture.body import REGIONS
from diagnosis.web.capture.questions import QUESTIONS
from diagnosis.web.capture.texts import TEXTS
from diagnosis.web.capture.views import context
from skincare.accounts.models import Role
from tests import factories

MODULES = Path(settings.BASE_DIR) / "static" / "skincare" / "capture"
CATALOGUE = Path(settings.BASE_DIR) / "locale" / "ar" / "LC_MESSAGES" / "django"
MOST_BYTES = 150_000


def browser(role: Role = Role.CLINICIAN) -> Client:
    client = Client()
    client.force_login(factories.member(role))
    return client


def test_every_text_that_a_module_asks_for_is_there_and_none_is_left_over() -> None:
    code = "\n".join(path.read_text() for path in MODULES.glob("*.js"))
    whole = set(re.findall(r"[\"'`]([a-z_0-9]+)[\"'`]", code))
    families = set(re.findall(r"t\(`([a-z]+) \$\{", code)) | set(re.findall(r"`([a-z]+) \$\{", code))
    asked = {key for key in TEXTS if key in whole or key.split(" ")[0] in families or f'"{key}"' in code}
    assert set(TEXTS) - asked == set()
    for key in re.findall(r"\bt\(\"([^\"]+)\"", code):
        assert key in TEXTS, key


def test_the_body_map_reaches_every_anatomical_site() -> None:
    assert {region.site for region in REGIONS} == set(AnatomicalSite)
    assert len({region.code for region in REGIONS}) == len(REGIONS)


def test_the_body_map_knows_every_place_of_ham10000() -> None:
    with (Path(settings.BASE_DIR) / "tests/data/ham10000/labels.csv").open() as rows:
        places = {row.split(",")[7] for row in rows.readlines()[1:]}
    assert places - {region.ham10000 for region in REGIONS} == set()


@pytest.mark.parametrize(
    ("code", "concern"),
    [
        ("mel", "malignant"),
        ("bcc", "malignant"),
        ("akiec", "pre_malignant"),
        ("nv", ""),
        ("bkl", ""),
        ("df", ""),
        ("vasc", ""),
    ],
)
def test_a_word_beside_each_diagnosis_says_whether_it_is_malignant(code: str, concern: str) -> None:
    assert context()["configuration"]["diagnoses"][code]["concern"] == concern


def test_the_history_asks_the_whole_checklist_and_the_two_signs() -> None:
    assert {question.code for question in QUESTIONS} == {*CHECKLIST_POINTS, "bleeding", "growth"}
    assert all(str(question.help) for question in QUESTIONS)


def test_the_compiled_catalogue_is_what_its_source_says() -> None:
    source = polib.pofile(str(CATALOGUE.with_suffix(".po")))
    compiled = {(entry.msgctxt, entry.msgid): entry for entry in polib.mofile(str(CATALOGUE.with_suffix(".mo")))}
    translated = source.translated_entries()
    assert {(entry.msgctxt, entry.msgid) for entry in translated} == set(compiled)
    for entry in translated:
        other = compiled[entry.msgctxt, entry.msgid]
        assert (entry.msgstr, entry.msgstr_plural) == (other.msgstr, other.msgstr_plural), entry.msgid


def test_every_text_of_the_app_is_translated_with_the_same_gaps_to_fill() -> None:
    translated = {
        entry.msgid: entry.msgstr for entry in polib.pofile(str(CATALOGUE.with_suffix(".po"))).translated_entries()
    }
    sources = [path.read_text() for path in (Path(settings.BASE_DIR) / "templates" / "capture").glob("*.html")]
    said = {text for source in sources for text in re.findall(r"\{% translate [\"'](.+?)[\"'] %\}", source)}
    said |= {str(text) for key, text in TEXTS.items() if not key.startswith("reason ")}  # these are put together
    said |= {str(part) for reason in REASONS.values() for part in (reason.what, reason.way_out) if part}
    assert said - set(translated) == set()
    for text, other in translated.items():
        if not other:  # it has several forms, some of which need no number
            continue
        assert sorted(re.findall(r"\{\w+\}|%\(\w+\)s", text)) == sorted(re.findall(r"\{\w+\}|%\(\w+\)s", other)), text


@pytest.mark.django_db
def test_every_reason_why_there_is_no_answer_is_told_in_the_pages_language() -> None:
    client = browser()
    texts = {}
    for language in ("en", "ar"):
        page = client.get("/capture/", headers={"Accept-Language": language}).content.decode()
        found = re.search(r'<script id="configuration" type="application/json">(.+?)</script>', page)
        assert found is not None
        texts[language] = json.loads(found[1])["texts"]
    for reason in REASONS:
        assert texts["en"][f"reason {reason}"], reason
        assert not re.search("[a-z]", texts["ar"][f"reason {reason}"]), reason


@pytest.mark.django_db
def test_the_page_holds_nothing_of_who_asks_for_it() -> None:
    client = browser()
    page = client.get("/capture/")
    assert page.status_code == 200
    assert "unsafe" not in page["Content-Security-Policy"]
    assert "blob:" in page["Content-Security-Policy"]
    text = page.content.decode()
    other = browser().get("/capture/").content.decode()
    without_tokens = [re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", one) for one in (text, other)]
    assert without_tokens[0] == without_tokens[1]
    assert "@clinic.example" not in text


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.DERMATOLOGIST, Role.ADMINISTRATOR])
def test_it_is_for_clinicians(role: Role) -> None:
    assert browser(role).get("/capture/").status_code == 403


@pytest.mark.django_db
def test_the_service_worker_keeps_files_that_are_there_and_no_answer_of_the_api() -> None:
    answer = Client().get("/capture/service-worker.js")
    assert answer["Content-Type"] == "text/javascript"
    kept = json.loads(answer.content.decode().partition("const KEPT = ")[2].partition(";\n")[0])
    assert kept["page"] == "/capture/"
    for file in kept["files"]:
        assert "/api/" not in file
        assert file == "/capture/manifest.webmanifest" or finders.find(file.removeprefix("/static/")), file
    assert {f"/static/skincare/capture/{path.name}" for path in MODULES.glob("*.js")} <= set(kept["files"])


@pytest.mark.django_db
def test_the_manifest_makes_it_installable() -> None:
    manifest = Client().get("/capture/manifest.webmanifest").json()
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/capture/", "/capture/", "standalone")
    assert [icon["sizes"] for icon in manifest["icons"]] == ["192x192", "512x512"]
    assert all(finders.find(icon["src"].removeprefix("/static/")) for icon in manifest["icons"])


@pytest.mark.django_db
def test_the_first_load_is_small() -> None:
    client = browser()
    script = client.get("/capture/service-worker.js").content
    kept = json.loads(script.decode().partition("const KEPT = ")[2].partition(";\n")[0])
    bodies = [client.get("/capture/").content, script]
    files = [file.removeprefix("/static/") for file in kept["files"] if file.startswith("/static/")]
    bodies += [Path(found).read_bytes() for file in files if (found := finders.find(file))]
    assert sum(len(gzip.compress(body)) for body in bodies) < MOST_BYTES


@pytest.mark.django_db
def test_who_signs_in_lands_where_they_work() -> None:
    for role, place in ((Role.CLINICIAN, "/capture/"), (Role.ADMINISTRATOR, "/privacy/")):
        assert browser(role).get("/start/")["Location"] == place
    assert Client().get("/start/")["Location"] == "/sign-in/?next=/start/"
