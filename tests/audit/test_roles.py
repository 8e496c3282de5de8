"""The application's role in PostgreSQL: it works with all, and it cannot touch what is append-only."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg2
import pytest
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from skincare.audit.models import AuditEvent
from skincare.audit.roles import append_only_tables
from skincare.audit.verification import verify
from tests import factories
from tests.audit.chains import happen, seal_all, unsealed

pytestmark = pytest.mark.django_db(transaction=True)


def execute(*statements: str) -> None:
    """As the owner, who is a superuser here."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def role() -> Iterator[str]:
    """A role that can log in and owns nothing."""
    name = f"app_of_{connection.settings_dict['NAME']}"
    execute(f'CREATE ROLE "{name}" LOGIN')
    yield name
    execute(f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')


@pytest.fixture
def application(role: str) -> Iterator[Any]:
    """A session that logged in as the application's role."""
    call_command("grant_application_role", role, stdout=StringIO())
    session = psycopg2.connect(**connection.get_connection_params() | {"user": role, "cursor_factory": None})
    session.autocommit = True
    yield session
    session.close()


def test_events_seals_consents_and_policies_are_append_only() -> None:
    assert set(append_only_tables()) >= {
        "audit_auditevent",
        "audit_auditseal",
        "diagnosis_consentevent",
        "diagnosis_consentpolicy",
    }


@pytest.mark.parametrize("table", ["audit_auditevent", "audit_auditseal", "diagnosis_consentevent"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET {key} = {key}",
        "DELETE FROM {table}",
        "TRUNCATE {table}",
        "TRUNCATE {table} CASCADE",
        "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "ALTER TABLE {table} DISABLE TRIGGER USER",
        "DROP TABLE {table}",
        "ALTER TABLE {table} OWNER TO CURRENT_USER",
        "CREATE RULE nothing AS ON INSERT TO {table} DO INSTEAD NOTHING",
        "SELECT * FROM {table} FOR UPDATE",
        "GRANT ALL ON {table} TO PUBLIC",
    ],
)
def test_the_role_can_do_nothing_to_what_is_written(application: Any, table: str, statement: str) -> None:
    key = "number" if table == "audit_auditseal" else "id"
    with application.cursor() as cursor:
        if statement.startswith("GRANT"):
            cursor.execute(statement.format(table=table))  # PostgreSQL only warns, and grants nothing
            with connection.cursor() as owner:
                owner.execute("SELECT has_table_privilege(current_user, %s, 'UPDATE'), relacl::text FROM pg_class "
                              "WHERE relname = %s", [table, table])  # fmt: skip
                assert "{=" not in owner.fetchone()[1]
            return
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement.format(table=table, key=key))


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica",
        "DROP TRIGGER audit_is_append_only ON audit_auditevent",
        "ALTER FUNCTION skincare_refuse_change() RENAME TO harmless",
        "CREATE TABLE mine (id int)",
        "SET ROLE postgres",
        "DELETE FROM django_migrations",
        "UPDATE pg_trigger SET tgenabled = 'D'",
        "SELECT setval(pg_get_serial_sequence('audit_auditevent', 'id'), 1)",
    ],
)
def test_the_role_cannot_go_round_its_rights(application: Any, statement: str) -> None:
    with application.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(statement)


def test_the_role_does_all_that_the_application_does(application: Any, role: str) -> None:
    clinician = factories.clinician()
    seal_all()
    before = unsealed()
    execute(f'SET ROLE "{role}"')
    try:
        case = factories.case(clinician)
        factories.withdraw(case.patient, clinician)
        happen(2, factories.organisation_of(clinician))
        seal_all()
        verify()
    finally:
        execute("RESET ROLE")
    assert before == unsealed() == 0
    assert AuditEvent.objects.filter(patient_id=case.patient_id).count() > 3


def test_the_role_can_seal_what_a_restore_left(application: Any, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = factories.organisation()
    happen(1, subject)
    seal_all()
    happen(1, subject)
    monkeypatch.setattr("skincare.audit.seals.this_cluster", lambda cursor: "7000000000000000001")
    execute(f'SET ROLE "{role}"')
    try:
        seal_all()
    finally:
        execute("RESET ROLE")
    assert verify().events == 2


def test_granting_again_takes_away_what_was_given_by_hand(application: Any, role: str) -> None:
    execute(f'GRANT ALL ON audit_auditevent TO "{role}"', "GRANT TRUNCATE ON audit_auditseal TO PUBLIC")
    call_command("grant_application_role", role, stdout=StringIO())
    for statement in ("DELETE FROM audit_auditevent", "TRUNCATE audit_auditseal"):
        with application.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)


def test_a_role_that_could_help_itself_is_refused(role: str) -> None:
    with pytest.raises(CommandError, match="'postgres' is a superuser"):
        call_command("grant_application_role", "postgres")
    with pytest.raises(CommandError, match="there is no role 'nobody_here'"):
        call_command("grant_application_role", "nobody_here")
    execute(f'GRANT postgres TO "{role}"')
    with pytest.raises(CommandError, match="may become 'postgres', who owns the tables"):
        call_command("grant_application_role", role)


def test_the_role_of_the_applications_url_is_made_once_and_its_password_is_told_to_nobody(settings: Settings) -> None:
    name = f"made_for_{connection.settings_dict['NAME']}"
    settings.APPLICATION_DATABASE_URL = f"postgresql://{name}:first-password@db/skincare"
    try:
        call_command("grant_application_role", stdout=StringIO())
        settings.APPLICATION_DATABASE_URL = f"postgresql://{name}:another@db/skincare"
        stored = password_of(name)
        call_command("grant_application_role", stdout=StringIO())
        assert stored.startswith("SCRAM-SHA-256$")
        assert password_of(name) == stored
        session = psycopg2.connect(**connection.get_connection_params() | {"user": name, "cursor_factory": None})
        with session.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("DELETE FROM audit_auditevent")
        session.close()
    finally:
        execute(f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')


def password_of(role: str) -> str:
    """As the server keeps it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role])
        return str(cursor.fetchone()[0])


def test_without_a_role_and_for_a_mighty_one_in_the_url_nothing_is_granted(settings: Settings) -> None:
    settings.APPLICATION_DATABASE_URL = ""
    with pytest.raises(CommandError, match="name the role, or set SKINCARE_APPLICATION_DATABASE_URL"):
        call_command("grant_application_role")
    settings.APPLICATION_DATABASE_URL = "postgresql://postgres:secret@db/skincare"
    with pytest.raises(CommandError, match="'postgres' is a superuser"):
        call_command("grant_application_role")


def test_whoever_checks_a_deployment_is_warned_of_a_role_that_could_rewrite_the_record(role: str) -> None:
    def warnings() -> list[str]:
        found = run_checks(tags=[Tags.database], include_deployment_checks=True, databases=["default"])
        return [str(each.msg) for each in found if each.id == "skincare.W001"]

    assert "'postgres' is a superuser" in warnings()[0]
    execute(f'SET ROLE "{role}"')
    try:
        assert warnings() == []
    finally:
        execute("RESET ROLE")


def test_the_statements_can_be_printed_instead(role: str) -> None:
    said = StringIO()
    call_command("grant_application_role", role, sql=True, stdout=said)
    assert 'REVOKE UPDATE, DELETE ON "public"."audit_auditevent", ' in said.getvalue()
