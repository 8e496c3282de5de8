"""Destroyed and restored, all has the same hashes, and what was over is over; a damaged backup restores nothing."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg2
import pytest
from django.apps import apps
from django.db import transaction
from django.db.models import FileField
from django.utils import timezone

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, MANIFEST
from diagnosis.models import Analysis, ConsentChange, ConsentEvent, ConsentScope, ReferralState
from diagnosis.services import backup
from diagnosis.services.backup import BackupRefused
from diagnosis.services.consents import consent_in_force, record_consent
from diagnosis.services.ledger import Ledger, LedgerRefused, Replayed, read_ledger, replay, write_ledger
from diagnosis.services.referral_messages import send_message
from skincare.accounts.models import Membership, Role, User
from skincare.audit.models import AuditEvent
from skincare.launch import postgres_client
from skincare.launch.postgres_client import ProgramFailed
from tests import factories

#: What is new on purpose after a restore: nobody is signed in, and the restore itself is on record.
NOT_COMPARED = ("django_session", "accounts_apitoken")
#: A patient withdraws, one member of staff leaves the clinic, another one the platform.
WHAT_HAPPENED_SINCE = """
from django.utils import timezone
from diagnosis.models import ConsentPolicy, Patient
from diagnosis.services.consents import ConsentStatement, record_consent
from skincare.accounts.models import Membership, User
clinician = User.objects.get(email="clinician@demo.example")
said = ConsentStatement(ConsentPolicy.objects.first(), "analysis", "withdrawn", timezone.now(), "paper")
record_consent(user=clinician, patient=Patient.objects.get(pk="{patient}"), statement=said)
Membership.objects.filter(user=clinician).first().delete()
User.objects.filter(email="steward@demo.example").update(is_active=False)
"""
SHIPPED_MANIFEST = BUNDLES / shipped.SHIPPED_BUNDLE / MANIFEST


class Place:
    """A database and a store of their own, on the session's server, used through ``manage.py`` as an operator would."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.admin_url = environment["DATABASE_URL"]
        self.name = f"backup_{uuid4().hex[:12]}"
        self.media = folder / "media"
        self.url = urlsplit(self.admin_url)._replace(path=f"/{self.name}").geturl()
        self.var = folder / "var"
        self.bundles = self.var / "bundles"
        places = {"DATABASE_URL": self.url, "MEDIA_ROOT": str(self.media), "SKINCARE_VAR": str(self.var)}
        self.environment = {**environment, **places}

    def run(self, *command: str, fails: bool = False) -> str:
        """One command; returns what it said."""
        done = subprocess.run(
            [sys.executable, "manage.py", *command], env=self.environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def make(self) -> None:
        self._admin(f"CREATE DATABASE {self.name}")

    def destroy(self) -> None:
        """Database, files and networks; the secrets are kept elsewhere."""
        self._admin(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        shutil.rmtree(self.media, ignore_errors=True)
        shutil.rmtree(self.bundles, ignore_errors=True)

    def ask(self, sql: str) -> list[Any]:
        """The first column of all rows."""
        with self._connected(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return [row[0] for row in cursor.fetchall()]

    def hashes(self) -> dict[str, str]:
        """Of every table's rows and of every stored file."""
        tables = self.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        assert len(tables) > 15
        found = {}
        for table in tables:
            if table not in NOT_COMPARED:
                rows = self.ask(f"SELECT t::text FROM {table} t ORDER BY 1")
                kept = [row for row in rows if "platform." not in row]
                found[table] = hashlib.sha256("\n".join(kept).encode()).hexdigest()
        for root in (self.media, self.bundles):
            found |= {
                path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(root.rglob("*"))
                if path.is_file()
            }
        return found

    def _admin(self, sql: str) -> None:
        with self._connected(self.admin_url) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)

    @contextmanager
    def _connected(self, url: str) -> Iterator[Any]:
        connection = psycopg2.connect(url)
        try:
            yield connection
        finally:
            connection.close()


@pytest.fixture
def place(process_environment: dict[str, str], tmp_path: Path) -> Iterator[Place]:
    made = Place(process_environment, tmp_path)
    made.make()
    yield made
    made.destroy()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_destroyed_and_restored_everything_has_the_same_hashes_and_the_erased_stay_erased(
    place: Place, tmp_path: Path
) -> None:
    place.run("migrate", "--verbosity=0")
    place.run("load_demo")
    train(place, "house-20261126-0123abcd")
    ids = place.ask("SELECT id::text FROM diagnosis_patient ORDER BY created_at")
    place.run("erase_patient", ids[0], "--reason=patient_request", "--yes")
    before = place.hashes()
    assert sum(name.startswith("sealed/") for name in before) == 2 * (len(ids) - 1)

    references = len(place.ask("SELECT photograph_file FROM diagnosis_referenceimage"))
    assert references > 0

    said = place.run("backup", str(tmp_path / "monday"))
    assert f"{len(ids)} patients, {2 * (len(ids) - 1) + references} files, 1 trained networks" in said
    assert b"diagnosis_patient" in _tables_in(tmp_path / "monday" / "database.dump")
    assert b"diagnosis_datakey" not in _tables_in(tmp_path / "monday" / "database.dump")
    assert b"diagnosis_datakey" in _tables_in(tmp_path / "monday.keys" / "keys.dump")
    place.run("erase_patient", ids[1], "--reason=patient_request", "--yes")
    place.run("shell", "-c", WHAT_HAPPENED_SINCE.format(patient=ids[2]))
    place.run("erasure_ledger", str(tmp_path / "ledger.json"))
    place.destroy()

    place.make()
    assert ", 1 trained networks" in place.run("restore", str(tmp_path / "monday"))
    assert place.hashes() == before
    assert before["house-20261126-0123abcd/bundle.json"] == hashlib.sha256(SHIPPED_MANIFEST.read_bytes()).hexdigest()
    assert place.ask("SELECT details->>'erased' FROM audit_auditevent WHERE action = 'platform.restored'") == ["0"]
    record = tmp_path / "record.zip"
    place.run("export_patient", ids[1], f"--output={record}")  # it opens
    assert "holds" in place.run("restore", str(tmp_path / "monday"), fails=True)

    place.destroy()
    place.make()
    said = place.run("restore", str(tmp_path / "monday"), "--ledger", str(tmp_path / "ledger.json"))
    assert "1 patients erased again, 1 consents withdrawn, 2 rights of people taken away" in said
    last_word = "SELECT change FROM diagnosis_consentevent WHERE patient_id = '{}' ORDER BY effective_at DESC LIMIT 1"
    assert place.ask(last_word.format(ids[2])) == ["withdrawn"]
    assert place.ask("SELECT email FROM accounts_user WHERE NOT is_active") == ["steward@demo.example"]
    assert place.ask("SELECT details->>'replayed' FROM audit_auditevent WHERE action = 'membership.ended'") == ["true"]
    erased = place.ask("SELECT id::text FROM diagnosis_patient WHERE data_key_id IS NULL ORDER BY created_at")
    assert erased == ids[:2]
    assert len([path for path in place.media.rglob("*") if path.is_file()]) == 2 * (len(ids) - 2) + references
    assert "nothing left to export" in place.run(
        "export_patient", ids[1], f"--output={tmp_path / 'no.zip'}", fails=True
    )
    place.run("verify_audit")

    place.destroy()
    place.make()
    assert "0 readable patients" in place.run("restore", str(tmp_path / "monday"), "--without-keys")
    assert place.ask("SELECT count(*) FROM diagnosis_case WHERE age_approx IS NOT NULL") == [len(ids)]


def train(place: Place, name: str) -> None:
    """A version in the register that was trained here, with the shipped one's files as its own."""
    shutil.copytree(SHIPPED_MANIFEST.parent, place.bundles / name)
    digest = hashlib.sha256(SHIPPED_MANIFEST.read_bytes()).hexdigest()
    place.run(
        "shell",
        "-c",
        "from diagnosis.models import ModelVersion; ModelVersion.objects.create("
        f"name={name!r}, state='challenger', manifest_sha256={digest!r}, manifest={{}})",
    )


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_networks_that_are_not_those_of_the_register_are_refused_by_name_and_missing_ones_are_told(
    place: Place, tmp_path: Path
) -> None:
    place.run("migrate", "--verbosity=0")
    train(place, "forged")
    train(place, "gone")
    shutil.rmtree(place.bundles / "gone")
    said = place.run("backup", str(tmp_path / "monday"), fails=True)
    assert "1 stored files are missing, among them bundles/gone; the rest was backed up" in said

    # Altered, and the backup's own list forged to fit.
    (tmp_path / "monday" / "bundles" / "forged" / "model.tflite").write_bytes(b"another network")
    manifest = tmp_path / "monday" / "manifest.json"
    about = json.loads(manifest.read_text())
    manifest.unlink()
    manifest.write_text(json.dumps({**about, **backup._digests(tmp_path / "monday")}))

    place.destroy()
    place.make()
    (place.bundles / "left").mkdir(parents=True)
    assert "holds networks; move them away" in place.run("restore", str(tmp_path / "monday"), fails=True)
    (place.bundles / "left").rmdir()
    said = place.run("restore", str(tmp_path / "monday"), fails=True)
    assert "2 trained networks cannot serve" in said
    assert "forged/model.tflite: its sha256 is" in said
    assert "gone/bundle.json: cannot be read" in said
    assert place.ask("SELECT count(*) FROM diagnosis_modelversion") == [2]


def test_every_column_that_names_a_file_is_backed_up() -> None:
    named = {
        (model, field.name)
        for app in ("diagnosis", "training", "accounts", "audit")
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.concrete_fields
        if field.name.endswith("_file") or isinstance(field, FileField)
    }
    assert named == {(model, column) for model, column, _ in backup.FILE_COLUMNS}


@pytest.mark.django_db(transaction=True)
def test_photographs_of_messages_are_backed_up_too(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    clinician, reader = factories.clinician(), factories.dermatologist()
    referral = factories.accepted_referral(clinician, reader)
    send_message(user=clinician, referral_id=referral.pk, text="Closer", images=[factories.PHOTOGRAPH.read_bytes()])
    made = backup.back_up(tmp_path / "monday", tmp_path / "keys")
    stored = {path.relative_to(tmp_path / "media") for path in (tmp_path / "media").rglob("*") if path.is_file()}
    kept = {
        path.relative_to(tmp_path / "monday" / "media")
        for path in (tmp_path / "monday" / "media").rglob("*")
        if path.is_file()
    }
    assert len(stored) == made.files == 3
    assert kept == stored
    assert made.missing == []


def ledger_of_a_day_that_is_lost(path: Path, happens: Callable[[], object]) -> Ledger:
    """What a ledger tells that was written after something happened which no backup has."""
    with transaction.atomic():
        happens()
        write_ledger(path)
        transaction.set_rollback(True)
    return read_ledger(path)


@pytest.mark.django_db
def test_who_withdrew_since_the_backup_has_withdrawn_and_what_rests_on_it_stops(tmp_path: Path) -> None:
    clinician, other = factories.clinician(), factories.clinician()
    referral = factories.referral(clinician)
    patient, untouched = referral.case.patient, factories.case(other).patient

    def withdraws() -> None:
        newcomer = factories.clinician(factories.organisation_of(clinician))
        said = factories.statement(ConsentChange.WITHDRAWN, captured_at=timezone.now())
        new_text = factories.policy("newer than the backup")
        record_consent(user=newcomer, patient=patient, statement=replace(said, policy=new_text))
        factories.withdraw(patient, clinician, ConsentScope.TELEDERMATOLOGY)

    ledger = ledger_of_a_day_that_is_lost(tmp_path / "ledger.json", withdraws)
    assert consent_in_force(patient, ConsentScope.ANALYSIS) is not None

    assert [replay([ledger]).withdrawn, replay([ledger, ledger]).withdrawn] == [2, 0]

    assert consent_in_force(patient, ConsentScope.ANALYSIS) is None
    assert consent_in_force(patient, ConsentScope.TELEDERMATOLOGY) is None
    assert consent_in_force(untouched, ConsentScope.ANALYSIS) is not None
    referral.refresh_from_db()
    assert referral.state == ReferralState.WITHDRAWN
    assert Analysis.objects.get(case=referral.case).reason == "consent_withdrawn"
    again = ConsentEvent.objects.filter(patient=patient, change=ConsentChange.WITHDRAWN).order_by("recorded_at")
    assert [event.recorded_at for event in again] == [event.recorded_at for event in ledger.withdrawals]
    assert [event.recorded_by.is_active for event in again] == [False, True]
    recorded = AuditEvent.objects.filter(action="consent.withdrawn", patient_id=patient.pk)
    assert [event.details["replayed"] for event in recorded] == [True, True]


@pytest.mark.django_db
def test_who_was_dismissed_since_the_backup_has_no_rights_and_nobody_is_given_any(tmp_path: Path) -> None:
    left, moved, deleted = factories.clinician(), factories.clinician(), factories.user()
    steward, stays = factories.user(is_model_steward=True), factories.clinician()
    dismissed = factories.user(is_active=False)

    def leave() -> None:
        User.objects.filter(pk=left.pk).update(is_active=False)
        Membership.objects.filter(user=moved).update(role=Role.ADMINISTRATOR)
        User.objects.filter(pk=steward.pk).update(is_model_steward=False)
        User.objects.filter(pk=dismissed.pk).update(is_active=True)
        deleted.delete()

    older = ledger_of_a_day_that_is_lost(tmp_path / "older.json", Membership.objects.all().delete)
    ledger = ledger_of_a_day_that_is_lost(tmp_path / "ledger.json", leave)

    assert [replay([ledger, older]).rights, replay([ledger]).rights] == [4, 0]

    active = User.objects.filter(is_active=True)
    assert set(active) == {moved, steward, stays}
    assert not active.filter(is_model_steward=True).exists()
    assert {membership.user for membership in Membership.objects.all()} == {left, stays}
    assert AuditEvent.objects.filter(action="user.powers_changed", details__replayed=True).count() == 3


@pytest.mark.django_db
def test_a_ledger_that_tells_of_erasures_alone_is_read_and_another_file_is_refused(tmp_path: Path) -> None:
    factories.clinician()
    older = tmp_path / "erasures.json"
    older.write_text(json.dumps({"format": backup.FORMAT, "erasures": []}))
    assert replay([read_ledger(older)]) == Replayed(erased=0, withdrawn=0, rights=0)
    older.write_text(json.dumps({"format": backup.FORMAT, "erasures": [{"patient_id": "somebody"}]}))
    with pytest.raises(LedgerRefused, match=r"erasures\.json is no ledger"):
        read_ledger(older)


def _tables_in(dump: Path) -> bytes:
    """Names of the tables whose rows a dump holds."""
    listed = subprocess.run(
        [postgres_client.find("pg_restore", 18), "--list", str(dump)], capture_output=True, check=True
    )
    return b"\n".join(line for line in listed.stdout.splitlines() if b"TABLE DATA" in line)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A folder that agrees with its manifest."""
    folder = tmp_path / "backup"
    (folder / "media" / "sealed").mkdir(parents=True)
    (folder / "database.dump").write_bytes(b"dump")
    (folder / "media" / "sealed" / "a").write_bytes(b"sealed")
    about = {"format": backup.FORMAT, "id": str(uuid4()), **backup._digests(folder)}
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder


def test_a_whole_backup_passes_its_check(whole: Path) -> None:
    assert set(backup.check(whole)["files"]) == {"database.dump", "media/sealed/a"}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "media/sealed/a").write_bytes(b"SEALED"), "media/sealed/a was altered"),
        (lambda folder: (folder / "media/sealed/a").unlink(), "media/sealed/a is missing"),
        (lambda folder: (folder / "media/sealed/b").write_bytes(b""), "media/sealed/b is not in the manifest"),
        (lambda folder: (folder / "manifest.json").unlink(), "is no whole backup"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is no whole backup"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": "x/2"}'), "has the format 'x/2'"),
    ],
)
def test_a_damaged_backup_is_refused_by_the_file(whole: Path, damage: Any, said: str) -> None:
    damage(whole)
    with pytest.raises(BackupRefused, match=said):
        backup.restore(whole, whole)


@pytest.mark.django_db
def test_nothing_is_restored_over_what_is_there_and_no_backup_over_another(whole: Path) -> None:
    (whole / "erasures.json").write_text(json.dumps({"format": backup.FORMAT, "erasures": []}))
    about = json.loads((whole / "manifest.json").read_text())
    (whole / "manifest.json").unlink()
    (whole / "manifest.json").write_text(json.dumps({**about, **backup._digests(whole)}))
    with pytest.raises(BackupRefused, match="restore into an empty one"):
        backup.restore(whole, whole)
    with pytest.raises(BackupRefused, match="exists already"):
        backup.back_up(whole, whole.with_name("keys"))


def program(folder: Path, version: str) -> str:
    """A pg_dump that knows its version only."""
    folder.mkdir()
    path = folder / "pg_dump"
    path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
    path.chmod(0o755)
    return str(path)


def test_the_oldest_program_that_is_not_older_than_the_server_is_taken(tmp_path: Path) -> None:
    own = program(tmp_path / "16", "16.2")
    assert postgres_client.find("pg_dump", 15, path=str(tmp_path / "16")) == own
    assert "pginstall18" in postgres_client.find("pg_dump", 17, path=str(tmp_path / "16"))


def test_a_missing_program_and_a_failing_one_are_told(tmp_path: Path) -> None:
    program(tmp_path / "16", "16.2")
    with pytest.raises(ProgramFailed, match=r"pg_dump of PostgreSQL 99 or newer is needed; .* is of version 16"):
        postgres_client.find("pg_dump", 99, path=str(tmp_path / "16"))
    with pytest.raises(ProgramFailed, match="failed"):
        postgres_client.run("pg_dump", [], {"host": str(tmp_path), "dbname": "nowhere"}, server=18)
