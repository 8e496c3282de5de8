"""Tampering with the audit record, by a superuser with the triggers switched off: each way is found and named."""

from dataclasses import dataclass
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skincare.audit.models import AuditEvent, AuditSeal
from skincare.audit.seals import BEGINNING, CONTENT, contents, hash_of
from skincare.audit.verification import Tampered, verify
from tests import factories
from tests.audit.chains import another_connection, happen, seal_all, tamper

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Chain:
    """Nine events in three seals of three, and one that is not sealed yet."""

    events: list[int]
    #: An id that a transaction took and did not use, between the fifth and the sixth event.
    gap: int
    head: str

    def fill(self, text: str) -> str:
        """Put ids into SQL: ``{e1}`` to ``{e10}`` and ``{gap}``."""
        return text.format(gap=self.gap, **{f"e{place}": pk for place, pk in enumerate(self.events, start=1)})


@pytest.fixture
def chain() -> Chain:
    """An honest record."""
    subject = factories.organisation()
    events = happen(5, subject)
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('audit_auditevent', 'id'))")
        gap = cursor.fetchone()[0]
    events += happen(4, subject)
    seal_all(batch=3)
    head = verify().head
    events += happen(1, subject)
    return Chain(events, gap, head)


def test_an_honest_record_verifies_and_tells_its_head_and_its_tail(chain: Chain) -> None:
    verified = verify([chain.head])
    assert (verified.seals, verified.events, verified.head, verified.tail.count) == (3, 9, chain.head, 1)
    assert verified.tail.age is not None
    seal_all()
    assert verify([chain.head]).tail.count == 0
    assert verify().head != chain.head


def test_a_record_without_any_event_verifies() -> None:
    verified = verify()
    assert (verified.seals, verified.events, verified.head, verified.tail.count) == (0, 0, "", 0)


COLUMNS = {
    "time": "at = at + interval '1 microsecond'",
    "endless time": "at = 'infinity'",
    "actor": "actor_id = gen_random_uuid()",
    "action": "action = 'case.seen'",
    "organisation": "organisation_id = NULL",
    "patient": "patient_id = gen_random_uuid()",
    "type": "object_type = 'patient'",
    "object": "object_id = object_id || ' '",
    "details": "details = details || '{{\"images\": 9}}'",
    "details removed": "details = '{{}}'",
    "a number as text": "details = jsonb_set(details, '{{images}}', to_jsonb(details->>'images'))",
    "a number written otherwise": "details = jsonb_set(details, '{{images}}', '5.0')",
    "request": "request_id = 'other'",
    "address": "address = '192.0.2.9'",
    "read quarter": "read_quarter = at",
    "transaction": "transaction = transaction + 1",
    "empty instead of nothing": "details = 'null'",
}


@pytest.mark.parametrize("change", COLUMNS.values(), ids=COLUMNS)
def test_a_change_of_any_column_is_found_and_names_the_event(chain: Chain, change: str) -> None:
    tamper(chain.fill(f"UPDATE audit_auditevent SET {change} WHERE id = {{e5}}"))
    with pytest.raises(Tampered, match=rf"^event {chain.events[4]} was changed \(seal 2\)$"):
        verify()


def test_every_column_of_an_event_is_tampered_with_above() -> None:
    changed = {change.split(" = ")[0] for change in COLUMNS.values()}
    assert changed == {field.column for field in AuditEvent._meta.concrete_fields} - {"id"}


ANOTHER = (
    "INSERT INTO audit_auditevent (id, transaction, at, actor_id, action, organisation_id, patient_id, object_type, "
    "object_id, details, request_id, address, read_quarter) SELECT {id}, {transaction}, at, actor_id, action, "
    "organisation_id, patient_id, object_type, object_id, details, request_id, address, read_quarter "
    "FROM audit_auditevent WHERE id = {{e5}}"
)
NOW = "pg_current_xact_id()::text::bigint"
SWAP = (
    "UPDATE audit_auditevent SET id = -1 WHERE id = {{{a}}}",
    "UPDATE audit_auditevent SET id = {{{a}}} WHERE id = {{{b}}}",
    "UPDATE audit_auditevent SET id = {{{b}}} WHERE id = -1",
)


@pytest.mark.parametrize(
    ("statements", "code", "event"),
    [
        (["DELETE FROM audit_auditevent WHERE id = {e1}"], "event_removed", 1),
        (["DELETE FROM audit_auditevent WHERE id = {e5}"], "event_removed", 5),
        (["DELETE FROM audit_auditevent WHERE id = {e9}"], "event_removed", 9),
        (["DELETE FROM audit_auditevent WHERE id IN ({e7}, {e2}, {e4})"], "event_removed", 2),
        (["DELETE FROM audit_auditevent"], "event_removed", 1),
        (["TRUNCATE audit_auditevent"], "event_removed", 1),
        ([step.format(a="e4", b="e5") for step in SWAP], "event_reordered", 4),
        ([step.format(a="e3", b="e4") for step in SWAP], "event_changed", 3),
        (["UPDATE audit_auditevent SET id = {gap} WHERE id = {e5}"], "event_removed", 5),
        ([ANOTHER.format(id="{gap}", transaction="transaction")], "event_inserted", 0),
        ([ANOTHER.format(id="{gap}", transaction=NOW)], "event_inserted", 0),
        ([ANOTHER.format(id="{e1} - 1", transaction="0")], "event_inserted", -1),
        ([ANOTHER.format(id="{e10} + 1", transaction="transaction")], "event_inserted", 11),
    ],
    ids=[
        "first removed",
        "middle removed",
        "last removed",
        "several removed",
        "all removed",
        "truncated",
        "two swapped in a seal",
        "two swapped across seals",
        "renumbered",
        "inserted among its neighbours",
        "inserted with a free id",
        "inserted before all",
        "duplicated behind all",
    ],
)
def test_removed_reordered_and_inserted_events_are_found_and_named(
    chain: Chain, statements: list[str], code: str, event: int
) -> None:
    tamper(*map(chain.fill, statements))
    with pytest.raises(Tampered) as found:
        verify()
    others = {0: chain.gap, -1: chain.events[0] - 1, 11: chain.events[9] + 1}
    named = others[event] if event in others else chain.events[event - 1]
    assert (found.value.code, found.value.event) == (code, named)
    assert f"event {named} was " in str(found.value)


def test_an_event_slipped_in_with_a_free_id_is_found_even_after_the_sealer_took_it(chain: Chain) -> None:
    tamper(chain.fill(ANOTHER.format(id="{gap}", transaction=NOW)))
    seal_all()
    with pytest.raises(Tampered, match=f"event {chain.gap} was inserted in seal 4 after larger ids had been sealed"):
        verify()


SEALS = {
    "hash": "hash = sha256('x')",
    "previous": "previous_hash = sha256('x')",
    "time": "at = at - interval '1 day'",
    "server": "cluster = '1'",
    "floor": "floor = floor + 1",
    "horizon": "horizon_transaction = horizon_transaction + 1",
    "horizon's id": "horizon_event = horizon_event - 1",
    "next transaction": "next_transaction = next_transaction + 1000",
    "highest id": "highest_event = highest_event + 1",
    "an id less": "events = events[1:2]",
    "ids reordered": "events = ARRAY[events[2], events[1], events[3]]",
    "a digest": "digests = set_byte(digests, 40, get_byte(digests, 40) # 1)",
}


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("change", SEALS.values(), ids=SEALS)
def test_a_change_of_any_column_of_a_seal_is_found_and_names_the_seal(chain: Chain, change: str, number: int) -> None:
    tamper(f"UPDATE audit_auditseal SET {change} WHERE number = {number}")
    with pytest.raises(Tampered, match=f"^seal {number} was changed"):
        verify()


def test_every_column_of_a_seal_is_tampered_with_above() -> None:
    changed = {change.split(" = ")[0] for change in SEALS.values()}
    assert changed == {field.column for field in AuditSeal._meta.concrete_fields} - {"number"}


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("DELETE FROM audit_auditseal WHERE number = 1", "seal 1 is missing: seal 2 stands in its place"),
        ("DELETE FROM audit_auditseal WHERE number = 2", "seal 2 is missing: seal 3 stands in its place"),
        ("UPDATE audit_auditseal SET number = 5 WHERE number = 3", "seal 3 is missing: seal 5 stands in its place"),
        ("DELETE FROM audit_auditseal WHERE number = 1; UPDATE audit_auditseal SET number = number - 1",
         "seal 1 was changed"),
    ],
    ids=["first removed", "middle removed", "renumbered", "all moved up"],
)  # fmt: skip
def test_removed_and_renumbered_seals_are_found_and_named(chain: Chain, statement: str, text: str) -> None:
    tamper(statement)
    with pytest.raises(Tampered, match=text):
        verify()


def forge(number: int) -> None:
    """Rewrite a seal so that it fits the events as they are now, and its own hash fits it."""
    seal = AuditSeal.objects.get(number=number)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CONTENT} FROM audit_auditevent e WHERE e.id = ANY(%s)", [seal.events])
        rows = {row.id: row.digest for row in contents(cursor)}
    seal.events = [pk for pk in seal.events if pk in rows]
    seal.digests = b"".join(rows[pk] for pk in seal.events)
    before = AuditSeal.objects.filter(number=number - 1).values_list("hash", flat=True).first()
    seal.previous_hash = bytes(before) if before else BEGINNING
    seal.hash = hash_of(seal)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        seal.save(force_update=True)
        cursor.execute("SET session_replication_role = DEFAULT")


def test_a_seal_made_anew_over_changed_events_does_not_fit_the_next(chain: Chain) -> None:
    tamper(chain.fill("UPDATE audit_auditevent SET action = 'case.seen' WHERE id = {e5}"))
    forge(2)
    with pytest.raises(Tampered, match=r"^seal 2 was replaced: seal 3 follows another one$"):
        verify()


def test_a_chain_built_anew_is_found_by_the_head_that_was_kept_elsewhere(chain: Chain) -> None:
    tamper(chain.fill("DELETE FROM audit_auditevent WHERE id = {e5}"))
    for number in (1, 2, 3):
        forge(number)
    verify()  # in itself it is sound
    with pytest.raises(Tampered, match="the whole chain was built anew") as found:
        verify([chain.head])
    assert chain.head in str(found.value)


def test_a_chain_made_from_nothing_is_found_by_the_head_that_was_kept_elsewhere(chain: Chain) -> None:
    tamper(chain.fill("DELETE FROM audit_auditevent WHERE id = {e2}"), "DELETE FROM audit_auditseal")
    seal_all(batch=3)
    verify()
    with pytest.raises(Tampered, match="built anew"):
        verify([chain.head])


@pytest.mark.parametrize("events", ["{e9}", "{e7}, {e8}, {e9}, {e10}"], ids=["the last", "all of it and behind it"])
def test_an_end_cut_off_with_its_seal_is_found_by_the_head_that_was_kept_elsewhere(chain: Chain, events: str) -> None:
    tamper(
        chain.fill(f"DELETE FROM audit_auditevent WHERE id IN ({events})"),
        "DELETE FROM audit_auditseal WHERE number = 3",
    )
    verify()
    with pytest.raises(Tampered, match="the end of the record was cut off"):
        verify([chain.head])


def test_an_empty_record_is_not_what_a_head_was_kept_of(chain: Chain) -> None:
    tamper("TRUNCATE audit_auditevent, audit_auditseal")
    with pytest.raises(Tampered, match="cut off"):
        verify([chain.head])


@pytest.mark.parametrize(
    "setting",
    ["TIME ZONE 'Pacific/Chatham'", "DateStyle = 'SQL, DMY'", "IntervalStyle = 'iso_8601'", "bytea_output = 'escape'"],
)
def test_how_a_session_writes_times_and_bytes_does_not_matter(chain: Chain, setting: str) -> None:
    query = f"SELECT {CONTENT} FROM audit_auditevent e ORDER BY e.id"
    with connection.cursor() as cursor, another_connection() as other, other.cursor() as elsewhere:
        cursor.execute(query)
        elsewhere.execute(f"SET {setting}")
        elsewhere.execute(query)
        assert list(contents(elsewhere)) == list(contents(cursor))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET at = (at AT TIME ZONE 'Asia/Kathmandu') AT TIME ZONE 'Asia/Kathmandu'",
        'UPDATE audit_auditevent SET details = \'{ "state" : "waiting",  "images":5 }\' WHERE id = {e5}',
        "UPDATE audit_auditevent SET action = action",
        "VACUUM FULL audit_auditevent",
    ],
)
def test_another_form_of_the_same_content_is_no_alarm(chain: Chain, statement: str) -> None:
    tamper(statement.replace("{e5}", str(chain.events[4])))
    assert verify([chain.head]).events == 9


_CHANGES = st.sampled_from(
    [
        *((AuditEvent, "id", change.format()) for change in COLUMNS.values()),
        *((AuditSeal, "number", change) for change in SEALS.values()),
    ]
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=_CHANGES, place=st.integers(0, 8), delete=st.booleans())
def test_whatever_is_done_to_one_row_is_found_and_undoing_it_is_sound(
    chain: Chain, changed: tuple[type[AuditEvent | AuditSeal], str, str], place: int, delete: bool
) -> None:
    model, key, change = changed
    rows = list(model.objects.order_by(key).values_list(key, flat=True))
    # Without the last seal the chain is sound in itself: that is what heads are kept for.
    row = rows[place % (2 if model is AuditSeal and delete else len(rows) - (model is AuditEvent))]
    table = model._meta.db_table
    tamper(f"CREATE TEMP TABLE before AS SELECT * FROM {table} WHERE {key} = {row}")
    try:
        done = (
            f"DELETE FROM {table}" if delete else f"UPDATE {table} SET {change.replace('{{', '{').replace('}}', '}')}"
        )
        tamper(f"{done} WHERE {key} = {row}")
        with pytest.raises(Tampered, match=rf"(event|seal) {row} (was (changed|removed)|is missing)"):
            verify()
    finally:
        tamper(
            f"DELETE FROM {table} WHERE {key} = {row}", f"INSERT INTO {table} SELECT * FROM before", "DROP TABLE before"
        )
    assert verify([chain.head]).events == 9


def test_the_command_says_what_is_sealed_what_is_not_and_the_head(chain: Chain) -> None:
    said = StringIO()
    call_command("verify_audit", head=[chain.head], stdout=said)
    assert "9 events in 3 seals" in said.getvalue()
    assert f"Head: {chain.head}\nNot sealed yet: 1, the oldest since " in said.getvalue()


def test_the_command_says_when_the_sealer_seems_to_stand_still(chain: Chain) -> None:
    tamper(chain.fill("UPDATE audit_auditevent SET at = at - interval '3 minutes' WHERE id = {e10}"))
    said = StringIO()
    call_command("verify_audit", stdout=said)
    assert "Is the sealer running" in said.getvalue()


def test_the_command_prints_the_head_alone_to_be_kept_elsewhere(chain: Chain) -> None:
    said = StringIO()
    call_command("verify_audit", print_head=True, stdout=said)
    assert said.getvalue() == f"{chain.head}\n"


def test_the_command_fails_and_names_the_event(chain: Chain) -> None:
    tamper(chain.fill("DELETE FROM audit_auditevent WHERE id = {e5}"))
    with pytest.raises(CommandError, match=f"event {chain.events[4]} was removed") as failed:
        call_command("verify_audit", stdout=StringIO())
    assert failed.value.returncode == 1


@pytest.mark.parametrize("head", ["", "abc", "zz" * 32, "00" * 31])
def test_what_is_no_head_is_refused(chain: Chain, head: str) -> None:
    with pytest.raises(CommandError, match="64 hexadecimal digits are needed"):
        call_command("verify_audit", head=[head], stdout=StringIO())
