"""Logs, error pages, mail, metrics and messages to the queue tell nothing that identifies a patient, whatever happens.

Every demo patient's data is sent through every address, rightly, wrongly and while everything explodes.
"""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import structlog
from django.conf import settings
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client, override_settings
from prometheus_client import generate_latest

from diagnosis.models import Case, Patient, Referral
from diagnosis.services import demo, notifications
from diagnosis.services.referral_messages import send_message
from skincare.accounts.models import User
from skincare.audit import record as records
from skincare.settings import logs
from tests import factories
from tests.diagnosis.api import permission_world
from tests.diagnosis.api.permission_table import API, TABLE
from tests.diagnosis.api.permission_world import World
from tests.diagnosis.api.requests import ApiClient, token_for

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """Every line of the log, as production writes it, from DEBUG on."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    formatter = dict(logs.dictionary(structlog.processors.JSONRenderer())["formatters"]["structured"])
    handler.setFormatter(formatter.pop("()")(**formatter))
    root = logging.getLogger()
    before = root.level
    quiet = [logging.getLogger("django.db.backends"), logging.getLogger("celery")]
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    levels = [logger.level for logger in quiet]
    quiet[0].setLevel(logging.INFO)  # production never writes SQL; it would hold ciphertext
    yield lines
    root.removeHandler(handler)
    root.setLevel(before)
    for logger, level in zip(quiet, levels, strict=True):
        logger.setLevel(level)


class Demo:
    """The demonstration's patients, and everything about them that identifies or was told in confidence."""

    def __init__(self) -> None:
        demo.ensure_policy()
        demo.ensure_people(factories.PASSWORD)
        demo.ensure_cases()
        demo.ensure_referrals()
        self.clinician = User.objects.get(email=demo.CLINICIAN.email)
        self.people = {
            person.email: User.objects.get(email=person.email)
            for person in (demo.CLINICIAN, demo.ADMINISTRATOR, demo.DERMATOLOGIST, demo.STEWARD, demo.OPERATOR)
        }
        send_message(user=self.clinician, referral_id=Referral.objects.all()[0].pk, text="Told in confidence: 4711")
        self.stranger = factories.clinician()
        self.signed = {patient.pk: factories.signed(patient, self.clinician) for patient in Patient.objects.all()}
        self.secrets = {"Told in confidence", "4711", "Invented patient of the demonstration"}
        for patient in Patient.objects.select_related("data_key_row"):
            self.secrets |= {patient.record_number, patient.name, patient.birth_date, *patient.name.split()}
        self.secrets |= {referral.question for referral in Referral.objects.all()} - {""}
        assert len(self.secrets) > 30

    def told(self, text: str) -> list[str]:
        """Which secrets are in a text, in the spellings in which they could be.

        A number of a few digits stands by chance in the middle of ids and times; by itself it is the secret.
        """
        return [
            each
            for each in self.secrets
            if (
                re.search(rf"(?<![\w.:-]){each}(?![\w-])", text)
                if each.isdigit()
                else each in text or json.dumps(each)[1:-1] in text
            )
        ]


@pytest.fixture
def clinic(db: None) -> Demo:
    """What `make up` starts with."""
    return Demo()


def world_of(clinic: Demo, case: Case) -> World:
    """The matrix' requests, about a demo patient."""
    made = World(clinic.clinician, case, clinic.signed[case.patient_id])
    made.referral = Referral.objects.filter(case=case).first() or Referral.objects.all()[0]
    made.users = {
        "anonymous": None,
        "own": clinic.clinician,
        "other": clinic.stranger,
        "dermatologist": clinic.people[demo.DERMATOLOGIST.email],
        "administrator": clinic.people[demo.ADMINISTRATOR.email],
        "steward": clinic.people[demo.STEWARD.email],
        **clinic.people,
    }
    made.tokens = {name: token_for(user) for name, user in made.users.items() if user is not None}
    return made


def wrong_bodies(clinic: Demo, patient: Patient) -> list[tuple[str, str]]:
    """Bodies that are wrong in ways that quote the patient: content and its type."""
    name, number, born = patient.name, patient.record_number, patient.birth_date
    every_field = dict.fromkeys(
        ("record_number", "name", "birth_date", "sex", "urgency", "case", "service", "text", "diagnosis", "action",
         "scope", "id", "patient", "email", "password", "reason", "organisation", "lesion", "anatom_site_general"),
        f"{name} {number} {born}",
    )  # fmt: skip
    return [
        (json.dumps(every_field), "application/json"),
        (json.dumps({name: number, "record_number": [number] * 3}), "application/json"),
        (f'{{"name": "{name}", "record_number": {number}', "application/json"),
        (f'{{"name": "{name}\\u0000{number}\\ud800"}}', "application/json"),
        (f"name={name}&record_number={number}&patient={number}", "application/x-www-form-urlencoded"),
        (f"--x\r\nContent-Disposition: form-data; name=\"images\"; filename=\"{name} {number}.jpg\"\r\n\r\n{number}",
         "multipart/form-data; boundary=x"),
    ]  # fmt: skip


def send(world: World, person: str, method: str, address: str, content: str = "", kind: str = "") -> Any:
    """One request, by token for the API and by session for the rest; names are put where a program might put them."""
    client = world.client(person)
    user = world.users[person]
    if not address.startswith(f"/{API}") and user is not None:
        client.force_login(user)
    client.raise_request_exception = False
    patient = world.case.patient
    headers = {
        "X-Request-ID": patient.name,
        "X-Correlation-ID": patient.name,
        "User-Agent": patient.name,
        "Referer": f"http://testserver/?name={patient.name}",
    }
    return client.generic(method, address, content, kind or "application/octet-stream", headers=headers)


def read(answer: Any) -> str:
    """The whole answer, headers too."""
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(dict(answer.items())) + content.decode("latin-1")


def through(clinic: Demo, case: Case, method: str, route: str) -> int:
    """A patient's data through one address: rightly, wrongly, and in the address itself. Returns how often."""
    world = world_of(clinic, case)
    patient, asked = case.patient, 0
    addresses = {
        person: permission_world.address_of(route, world, world.users[person])
        for person in (demo.CLINICIAN.email, demo.DERMATOLOGIST.email)
    }
    read(permission_world.ask(method, route, world, demo.CLINICIAN.email))
    for person, address in addresses.items():
        wrong = [f"{address}{patient.record_number}/", f"{address}?name={patient.name}&cursor={patient.record_number}"]
        for content, kind in wrong_bodies(clinic, patient) if method == "POST" else [("", "")]:
            read(send(world, person, method, address, content, kind))
            asked += 1
        for each in wrong:
            read(send(world, person, method, each.replace(" ", "%20")))
            asked += 1
    return asked


def test_no_log_names_a_patient_whatever_is_sent_wherever(clinic: Demo, said: io.StringIO) -> None:
    cases = list(Case.objects.select_related("patient__data_key_row").order_by("pk"))
    asked = 0
    for number, (method, route) in enumerate(TABLE):
        case = cases[number % len(cases)]  # every patient's data, each through many addresses
        with transaction.atomic():
            asked += through(clinic, case, method, route)
            transaction.set_rollback(True)
    assert asked > 400
    assert clinic.told(said.getvalue()) == []
    assert "request_finished" in said.getvalue()


@override_settings(DEBUG=False)
def test_a_failure_in_the_middle_tells_nobody_what_was_there(
    clinic: Demo, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    exploded = []

    def explode(*arguments: Any, **more: Any) -> None:
        case = Case.objects.select_related("patient__data_key_row").first()
        assert case is not None
        patient = case.patient
        exploded.append(1)
        try:
            raise IntegrityError(f"Key (name)=({patient.name}) exists\nDETAIL: {patient.record_number}")
        except IntegrityError as error:
            raise ValueError(patient.name, {"record_number": patient.record_number}) from error

    case = Case.objects.select_related("patient__data_key_row").first()
    assert case is not None
    world = world_of(clinic, case)
    for function in (records.record, records.record_reads):
        for module in list(sys.modules.values()):
            if getattr(module, function.__name__, None) is function:
                monkeypatch.setattr(module, function.__name__, explode)
    failures = 0
    for method, route in TABLE:
        for person in (demo.CLINICIAN.email, demo.DERMATOLOGIST.email, demo.ADMINISTRATOR.email):
            try:
                answer = permission_world.ask(method, route, world, person)
            except (ValueError, IntegrityError):  # of making what the request needs
                continue
            if answer.status_code >= 500 and route != "readyz":
                failures += 1
                assert clinic.told(read(answer)) == [], (method, route, person)
    assert failures > 20
    assert len(exploded) >= failures
    assert clinic.told(said.getvalue()) == []
    assert "builtins.ValueError" in said.getvalue()  # what failed, and where, is told
    assert "IntegrityError" in said.getvalue()
    assert "test_nothing_is_told.py" in said.getvalue()


@override_settings(DEBUG=False)
@pytest.mark.parametrize("path", ["/nowhere/{}/", "/api/v1/patients/{}/", "/worklist/{}/", "/admin/{}/", "/static/{}"])
def test_pages_that_say_no_say_nothing_else(path: str, clinic: Demo, said: io.StringIO) -> None:
    patient = Patient.objects.select_related("data_key_row").first()
    assert patient is not None
    for user in (None, *clinic.people.values()):
        browser = Client(raise_request_exception=False)
        if user is not None:
            browser.force_login(user)
        for name in (patient.record_number, patient.name.replace(" ", "%20")):
            answer = browser.get(path.format(name))
            assert answer.status_code in (302, 403, 404), path
            if not path.startswith("/api/"):
                assert "Traceback" not in answer.content.decode()
                assert "DJANGO_SETTINGS_MODULE" not in answer.content.decode()
    assert clinic.told(said.getvalue()) == []


def test_neither_mail_nor_metrics_nor_the_queue_nor_the_cache_tell_of_a_patient(
    clinic: Demo, broker: redis.Redis, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        factories.submit(
            clinic.clinician,
            factories.new_case(
                patient=factories.NewPatient(record_number="QUEUE-0815", name="Queenie Queue", birth_date=None)
            ),
        )
    clinic.secrets |= {"QUEUE-0815", "Queenie", "Queue Queenie"}
    for referral in Referral.objects.all():
        for kind in notifications.SENTENCES:
            notifications.tell(User.objects.filter(pk=clinic.clinician.pk), kind, case=referral.case)
    assert notifications.send_due() > 0
    assert mail.outbox
    browser = ApiClient()
    for patient in Patient.objects.select_related("data_key_row"):
        browser.send(f"/{API}auth/token/", {"email": f"{patient.record_number}@x.example", "password": patient.name})
    for letter in mail.outbox:
        assert clinic.told(f"{letter.subject} {letter.body} {letter.message()}") == []
    assert clinic.told(generate_latest().decode()) == []
    kept = 0
    for key in broker.scan_iter():
        value = {
            b"list": lambda key: broker.lrange(key, 0, -1),
            b"set": broker.smembers,
            b"hash": broker.hgetall,
            b"zset": lambda key: broker.zrange(key, 0, -1),
            b"string": broker.get,
        }[broker.type(key)](key)
        assert clinic.told(f"{key!r} {value!r}") == [], key
        kept += 1
    assert kept > 0


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/v1/patients/9b2fd2d4-77a9-4a0e-8f63-2a1c5f0b7e55/consents/",) * 2,
        ("/api/v1/patients/HRS-20481/", "/api/v1/patients/…/"),
        ("/api/v1/patients/look-up/?record_number=1", "/api/v1/patients/look-up/"),
        ("/ruth-almeida/", "/…/"),
        ("/api/v1/patients/Ruth%20Almeida/", "/api/v1/patients/…/"),
        ("/", "/"),
    ],
)
def test_a_path_in_the_log_has_ids_and_the_sites_own_words(path: str, shown: str) -> None:
    assert logs.place_of(path) == shown


def test_settings_name_no_secret_in_what_they_log() -> None:
    assert settings.DJANGO_STRUCTLOG_IP_LOGGING_ENABLED is False
    assert getattr(settings, "DJANGO_STRUCTLOG_TRUST_UPSTREAM_CORRELATION_ID", False) is False


@pytest.mark.parametrize("how", ["words", "cause", "celery"])
def test_an_exceptions_words_do_not_reach_the_log(how: str, said: io.StringIO) -> None:
    log = structlog.get_logger("skincare.test")
    try:
        try:
            raise KeyError("Ruth Almeida")
        except KeyError as error:
            raise RuntimeError("of Ruth Almeida") from error
    except RuntimeError as error:
        match how:
            case "words":
                log.error("failed", error=str(error))
                log.error("failed", error=str(error), exc_info=True)
            case "cause":
                log.exception("failed")
            case _:
                logging.getLogger("celery.app.trace").error("Task raised: %r", error, exc_info=True)
    shown = said.getvalue()
    lines = [line for line in shown.splitlines() if "exception" in line]
    assert lines
    assert all("Almeida" not in line for line in lines)
    assert all("RuntimeError" in line and "KeyError" in line for line in lines)
