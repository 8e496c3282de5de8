"""The project's own rules hold in every file, and each is shown to notice what it is there for."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin

from skincare.celery import app
from tests.project.rules import PATIENT_BOUND, RULES, Rule

ROOT = Path(settings.BASE_DIR)
FILES = sorted(
    path
    for package in ("skincare", "diagnosis", "training")
    for path in (ROOT / package).rglob("*.py")
    if "__pycache__" not in path.parts
)
NAMES = [rule.name for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_no_file_breaks_the_rule(rule: Rule) -> None:
    assert len(FILES) > 250
    broken = [str(each) for path in FILES for each in rule.breaches(path.read_text(), str(path.relative_to(ROOT)))]
    assert broken == [], "\n".join(broken)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_the_rule_notices_each_bad_example_and_no_good_one(rule: Rule) -> None:
    assert rule.bad
    for path, source in rule.bad:
        found = rule.breaches(source, path)
        assert found, source
        assert rule.fix in str(found[0])
        assert str(found[0]).startswith(f"{path}:")
    for path, source in rule.good:
        assert rule.breaches(source, path) == [], source


#: In templates: what the content policy would refuse, or what is not escaped.
IN_TEMPLATES = {
    "a script in the page": re.compile(r"<script(?![^>]*(src=|type=\"application/json\"))[^>]*>", re.I),
    "an event handler": re.compile(r"<[^>]+\son[a-z]+\s*=", re.I),
    "a style in the page": re.compile(r"(<[^>]+\sstyle\s*=|<style)", re.I),
    "something not escaped": re.compile(r"\|\s*safe\b|\{%\s*autoescape off"),
    "an address of somebody else": re.compile(r"(src|href)=\"(https?:)?//", re.I),
}
#: Reports that are files of their own, read without a server; links of the first page to the data's licence.
FILES_OF_THEIR_OWN = ("training/leakage.html", "training/model_card.html", "training/evaluation.html")


@pytest.mark.parametrize("what", list(IN_TEMPLATES))
def test_no_template_has(what: str) -> None:
    templates = sorted((ROOT / "templates").rglob("*.html"))
    assert len(templates) > 40
    for path in templates:
        name = str(path.relative_to(ROOT / "templates"))
        if name in FILES_OF_THEIR_OWN:
            continue
        for line in path.read_text().splitlines():
            found = IN_TEMPLATES[what].search(line)
            assert not found or (what.startswith("an address") and "<a " in line), f"{name}: {what}: {line.strip()}"


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a script in the page", "<script>alert(1)</script>"),
        ("an event handler", '<img src="x" onerror="alert(1)">'),
        ("a style in the page", '<p style="color: red">'),
        ("something not escaped", "{{ note|safe }}"),
        ("an address of somebody else", '<script src="https://cdn.example/x.js"></script>'),
    ],
)
def test_what_no_template_has_is_noticed(what: str, line: str) -> None:
    assert IN_TEMPLATES[what].search(line)


def test_every_task_that_is_scheduled_or_routed_exists_and_has_a_time_limit() -> None:
    app.loader.import_default_modules()
    named = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} | set(settings.CELERY_TASK_ROUTES)
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert named <= ours, named - ours
    for name in ours:
        limit = app.tasks[name].time_limit or settings.CELERY_TASK_TIME_LIMIT
        assert 0 < limit <= settings.ANALYSIS_LEASE_SECONDS or name.startswith("training."), name


#: Shown to operators without anything of the patient: states, times, reasons in codes (tests/diagnosis/test_admin.py).
WITHOUT_CONTENT = {"Analysis"}


def test_the_admin_has_no_table_of_patients() -> None:
    assert {model.__name__ for model in admin.site._registry} & PATIENT_BOUND <= WITHOUT_CONTENT
