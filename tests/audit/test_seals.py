"""Sealing: everything that was committed, once, in whatever order it came, and nobody waits for it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from django.conf import settings as project
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skincare.audit import seals
from skincare.audit.models import AuditEvent, AuditSeal
from skincare.audit.record import record
from skincare.audit.seals import seal_waiting
from skincare.audit.tasks import seal_events
from skincare.audit.verification import Tampered, verify
from skincare.celery import app
from tests import factories
from tests.audit.chains import INSERT, another_connection, happen, seal_all, tamper, unsealed

pytestmark = pytest.mark.django_db(transaction=True)


def sealed() -> list[int]:
    """Ids in the order in which they were sealed."""
    return [pk for seal in AuditSeal.objects.order_by("number") for pk in seal.events]


def insert(other: Any) -> int:
    """An event by another session, not committed yet."""
    with other.cursor() as cursor:
        cursor.execute(INSERT)
        return int(cursor.fetchone()[0])


def test_each_event_is_sealed_once_and_each_seal_follows_the_one_before() -> None:
    events = happen(7, factories.organisation())
    seal_all(batch=3)
    chained = list(AuditSeal.objects.order_by("number"))
    assert [seal.number for seal in chained] == list(range(1, len(chained) + 1))
    assert [bytes(seal.previous_hash) for seal in chained] == [bytes(32), *(bytes(seal.hash) for seal in chained[:-1])]
    assert sealed() == events
    assert max(len(seal.events) for seal in chained) <= 3
    assert seal_waiting() == 0
    assert AuditSeal.objects.count() == len(chained)


def test_an_event_that_is_committed_after_a_later_one_waits_for_its_turn_and_holds_up_nobody() -> None:
    with another_connection() as slow, another_connection() as quick:
        early = insert(slow)
        late = insert(quick)
        quick.commit()
        assert seal_waiting() == 0  # the slow one may still commit
        assert verify().tail.count == 1
        slow.commit()
    seal_all()
    assert sealed() == [early, late]
    verify()


def test_a_transaction_in_another_database_of_the_server_delays_nothing() -> None:
    with another_connection(dbname="postgres") as elsewhere, elsewhere.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
        events = happen(3, factories.organisation())
        seal_all()
        assert sealed() == events
    assert verify().events == 3


def test_what_is_rolled_back_leaves_no_trace_and_no_alarm() -> None:
    with another_connection() as given_up:
        insert(given_up)
        given_up.rollback()
    kept = happen(2, factories.organisation())
    seal_all()
    assert sealed() == kept
    verify()


def test_an_event_whose_transaction_began_late_but_took_its_id_early_is_no_alarm() -> None:
    """Its id is smaller than one sealed before it was committed, since its transaction is the younger one."""
    with another_connection() as first, another_connection() as second:
        with first.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")  # the older transaction, whose event comes last
        small = insert(second)
        large = insert(first)
        first.commit()
        seal_all(leave=0)
        assert sealed() == [large]
        assert small < large
        second.commit()
    seal_all()
    assert sealed() == [large, small]
    assert verify().events == 2


Step = tuple[str, int]
_STEPS = st.lists(st.tuples(st.sampled_from(["begin", "insert", "commit", "rollback", "seal"]), st.integers(0, 2)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, batch=st.integers(1, 3))
def test_in_whatever_order_sessions_write_and_commit_all_is_sealed_once_and_verifies(
    steps: list[Step], batch: int
) -> None:
    before = set(AuditEvent.objects.values_list("pk", flat=True))
    written: list[list[int]] = [[], [], []]
    committed: set[int] = set()
    with another_connection() as one, another_connection() as two, another_connection() as three:
        sessions = [one, two, three]
        for step, number in [*steps, *(("commit", number) for number in range(3))]:
            session = sessions[number]
            if step == "begin":
                with session.cursor() as cursor:
                    cursor.execute("SELECT pg_current_xact_id()")
            elif step == "insert":
                written[number].append(insert(session))
            elif step == "seal":
                seal_waiting(batch=batch)
                verify()
            else:
                getattr(session, step)()
                committed |= set(written[number]) if step == "commit" else set()
                written[number] = []
    seal_all(batch=batch)
    assert set(AuditEvent.objects.values_list("pk", flat=True)) == before | committed
    assert sorted(sealed()) == sorted(before | committed)
    assert verify().tail.count == 0


def test_two_sealers_do_not_interleave() -> None:
    happen(6, factories.organisation())
    with another_connection() as other:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [seals.LOCK])
        assert seal_waiting() == 0
    seal_all()
    assert unsealed() == 0


def test_four_sealers_and_four_writers_at_once_make_one_chain() -> None:
    subject = factories.organisation()

    def write(_: int) -> None:
        try:
            happen(15, subject)
        finally:
            connection.close()

    def seal(_: int) -> None:
        try:
            for _turn in range(10):
                seal_waiting(batch=4)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda job: job[0](job[1]), [(write, 0), (seal, 0)] * 4))
    seal_all()
    assert len(sealed()) == len(set(sealed())) == 60
    assert verify().events == 60


def test_a_turn_ends_in_time_and_the_next_goes_on() -> None:
    events = happen(4, factories.organisation())
    seal_all(batch=1, leave=3, seconds=0)
    assert sealed() == events[:1]
    seal_all(batch=1, leave=2, seconds=0)
    assert sealed() == events[:2]


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_seals_cannot_be_changed_or_deleted(verb: str) -> None:
    happen(1, factories.organisation())
    seal_all()
    with pytest.raises(IntegrityError, match="append-only"):
        AuditSeal.objects.update(cluster="1") if verb == "update" else AuditSeal.objects.all()._raw_delete("default")


def test_the_task_seals_and_is_due_every_second_on_the_default_queue() -> None:
    happen(1, factories.organisation())
    seal_all(leave=1)
    seal_events()
    seal_all()
    entry = project.CELERY_BEAT_SCHEDULE["seal"]
    assert (entry["schedule"], entry["options"]["queue"]) == (1.0, "default")
    app.loader.import_default_modules()
    assert entry["task"] in app.tasks


def restored_elsewhere(monkeypatch: pytest.MonkeyPatch, lead: int) -> None:
    """As after a restore: another server, whose transaction numbers are behind those in the rows."""
    monkeypatch.setattr(seals, "this_cluster", lambda cursor: "7000000000000000001")
    tamper(f"ALTER TABLE audit_auditevent ALTER transaction SET DEFAULT pg_current_xact_id()::text::bigint - {lead}")


@pytest.fixture
def _default_as_it_was() -> Any:
    yield
    tamper("ALTER TABLE audit_auditevent ALTER transaction SET DEFAULT pg_current_xact_id()::text::bigint")


@pytest.mark.usefixtures("_default_as_it_was")
def test_after_a_restore_into_another_server_the_chain_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = factories.organisation()
    before = happen(3, subject)
    seal_all()
    left = happen(2, subject)  # not sealed when the backup was made
    restored_elsewhere(monkeypatch, lead=600)
    early = happen(2, subject)  # before the sealer came up
    seal_all()
    after = happen(2, subject)
    seal_all()
    assert sealed() == [*before, *left, *early, *after]
    assert verify().events == 9
    tamper(f"DELETE FROM audit_auditevent WHERE id = {left[1]}")
    with pytest.raises(Tampered, match=f"event {left[1]} was removed"):
        verify()


@pytest.mark.usefixtures("_default_as_it_was")
def test_an_event_slipped_below_a_restore_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    events = happen(3, factories.organisation())
    seal_all()
    restored_elsewhere(monkeypatch, lead=600)
    happen(1, factories.organisation())
    seal_all()
    tamper(INSERT.replace("(at,", "(id, at,").replace("VALUES (", f"VALUES ({events[0] - 1}, "))
    with pytest.raises(Tampered, match=f"event {events[0] - 1} was inserted"):
        verify()


def test_erasing_a_patient_leaves_the_chain_valid() -> None:
    clinician = factories.clinician()
    patient = factories.case(clinician).patient
    seal_all()
    head = verify().head
    with transaction.atomic():
        key = patient.data_key_row
        assert key is not None
        patient.sealed_name = patient.sealed_record_number = patient.sealed_birth_date = None
        patient.record_number_index = patient.data_key_row = None
        patient.save()
        key.delete()
        record("patient.erased", patient, actor=clinician, patient_id=patient.pk)
    seal_all()
    assert AuditEvent.objects.filter(patient_id=patient.pk).count() > 3
    assert verify([head]).tail.count == 0


def test_a_writer_does_not_wait_for_the_sealer_nor_the_sealer_for_a_writer() -> None:
    subject = factories.organisation()
    happen(1, subject)
    with another_connection() as writer, another_connection() as sealer:
        with sealer.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [seals.LOCK])
        with writer.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        insert(writer)
        writer.commit()
        insert(writer)
        sealer.rollback()
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        try:
            seal_waiting()
        except psycopg2.errors.LockNotAvailable:
            pytest.fail("the sealer waited for a writer")
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
    assert verify().tail.age is None or verify().tail.age < timedelta(minutes=5)  # type: ignore[operator]
