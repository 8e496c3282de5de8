"""Keeps one narrow row a referral for the figures (``ReferralFigures``), so that a page over 300,000 of them is fast.

Whatever changes what is counted leaves its lesion in ``FiguresWaiting``, by triggers, in its own transaction; those who
read the figures, and a task every minute, count such lesions anew. So figures are as of the moment of reading, nobody
who writes waits for a count, and one who writes concurrently leaves a row of their own, which the next one finds.

A row says which class a diagnosis falls into: whoever changes ``diagnoses.csv`` adds a migration that calls
``diagnosis_count_all_again()``.
"""

from typing import Any, Final

from django.db import connection, transaction

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.classifier.recommendation import Level

#: Of ``pg_advisory_xact_lock``: only one counts at a time, so that an older look never overwrites a newer one.
LOCK: Final = 0x666967757265
#: Lesions counted in one transaction.
BATCH: Final = 2000
#: Batches of one turn of the task, which comes every minute.
MOST_IN_A_TURN: Final = 100
#: Batches that somebody who wants to read waits for: a second or so, where so many changed since the last turn.
MOST_WHILE_READING: Final = 3

_TAKE: Final = """
DELETE FROM diagnosis_figureswaiting WHERE id IN (SELECT id FROM diagnosis_figureswaiting ORDER BY id LIMIT %s)
RETURNING lesion_id
"""

#: ``*_call``: concerned, or not, or nothing. Of patients whose consent was withdrawn only the work is counted. The
#: claim is the first one, by the audit record: the referral's own changes hands, or is given back.
_COUNT: Final = """
WITH dictionary (code, class, malignant) AS (
    SELECT * FROM unnest(%(codes)s::text[], %(classes)s::text[], %(malignant)s::boolean[])
), found AS (
    SELECT r.id AS referral_id, r.service_id, r.clinic_id, r.sent_at,
        date_trunc('week', r.sent_at AT TIME ZONE 'UTC')::date AS week, r.due_at, r.answered_at,
        extract(epoch FROM coalesce(accepted.at, r.claimed_at) - r.sent_at)::float8 / 3600 AS claim_hours,
        extract(epoch FROM r.answered_at - r.sent_at)::float8 / 3600 AS answer_hours,
        r.consent_ends_at, r.state, r.urgency, r.stopped_at IS NULL AS counted,
        1::bigint << (get_byte(sha256(c.patient_id::text::bytea), 0) & 63) AS patient_mark,
        c.age_approx, c.sex, c.anatom_site_general, c.fitzpatrick_skin_type, c.suspicion <> 'benign' AS clinician_call,
        a.state AS network_state, a.malignancy_risk AS risk,
        (a.readings -> (a.deciding_position - 1) ->> 'distance')::float8 AS distance,
        CASE WHEN a.network_level = ANY(%(concerned)s) THEN true
             WHEN a.network_level = %(unconcerned)s THEN false END AS network_call,
        CASE WHEN a.state = 'answered' THEN a.predicted END AS network_class,
        signed_as.code IS NOT NULL AS signed, read_as.malignant AS read_call, signed_as.malignant AS signed_call,
        signed_as.class AS signed_class, found_as.malignant AS histology_call, found_as.class AS histology_class
    FROM diagnosis_referral r
    JOIN diagnosis_case c ON c.id = r.case_id
    JOIN diagnosis_analysis a ON a.case_id = c.id
    LEFT JOIN LATERAL (
        SELECT min(e.at) AS at FROM audit_auditevent e
        WHERE e.object_type = 'referral' AND e.object_id = r.id::text AND e.action = 'referral.accept'
    ) accepted ON true
    LEFT JOIN diagnosis_assessment s ON s.referral_id = r.id
        AND NOT EXISTS (SELECT 1 FROM diagnosis_assessment later WHERE later.amends_id = s.id)
    LEFT JOIN dictionary signed_as ON signed_as.code = s.diagnosis
    LEFT JOIN diagnosis_firstread f
        ON f.referral_id = r.id AND f.role = 'first' AND f.blind AND f.reader_id = s.author_id
    LEFT JOIN dictionary read_as ON read_as.code = f.diagnosis
    LEFT JOIN LATERAL (
        SELECT o.diagnosis FROM diagnosis_outcome o
        WHERE o.lesion_id = c.lesion_id AND o.kind = 'histology'
            AND o.determined_on >= (r.sent_at AT TIME ZONE 'UTC')::date
            AND NOT EXISTS (SELECT 1 FROM diagnosis_outcome right_one WHERE right_one.corrects_id = o.id)
        ORDER BY o.determined_on DESC, o.recorded_at DESC LIMIT 1
    ) histology ON true
    LEFT JOIN dictionary found_as ON found_as.code = histology.diagnosis
    WHERE c.lesion_id = ANY(%(lesions)s::uuid[])
)
INSERT INTO diagnosis_referralfigures ({columns}) SELECT {values} FROM found
ON CONFLICT (referral_id) DO UPDATE SET {changes}
"""

#: Known of every referral.
_WORK: Final = (
    "referral_id", "service_id", "clinic_id", "sent_at", "week", "due_at", "answered_at", "claim_hours",
    "answer_hours", "consent_ends_at", "state", "urgency", "counted",
)  # fmt: skip
#: Nothing where consent was withdrawn, and what stands there instead.
_FOUND: Final = {
    "patient_mark": "NULL", "signed": "false", "age_approx": "NULL", "sex": "''", "anatom_site_general": "''",
    "fitzpatrick_skin_type": "''", "network_state": "''", "risk": "NULL", "distance": "NULL",
    "clinician_call": "NULL", "network_call": "NULL", "read_call": "NULL", "signed_call": "NULL",
    "histology_call": "NULL", "network_class": "''", "signed_class": "''", "histology_class": "''",
}  # fmt: skip


def _statement() -> str:
    columns = [*_WORK, *_FOUND]
    values = [*_WORK]
    for name, nothing in _FOUND.items():
        shown = f"coalesce({name}, '')" if nothing == "''" else name
        values.append(f"CASE WHEN counted THEN {shown} ELSE {nothing} END")
    return _COUNT.format(
        columns=", ".join(columns),
        values=", ".join(values),
        changes=", ".join(f"{name} = EXCLUDED.{name}" for name in columns[1:]),
    )


def _values() -> dict[str, Any]:
    known = diagnoses().values()
    return {
        "codes": [each.code for each in known],
        "classes": [each.network_class for each in known],
        # What is neither benign nor malignant by the dictionary is no call.
        "malignant": [None if each.undecided else each.malignant for each in known],
        "concerned": [str(Level.REFER), str(Level.REFER_URGENTLY)],
        "unconcerned": str(Level.CLINICAL_JUDGEMENT),
    }


def catch_up(most: int = MOST_IN_A_TURN) -> bool:
    """Count anew what has changed.

    Args:
        most: batches, at most.

    Returns:
        Whether nothing is left that waited when this began.
    """
    return any(not _count_some() for _batch in range(most))


@transaction.atomic
def _count_some() -> bool:
    """One batch; whether there may be more."""
    with connection.cursor() as cursor:
        # A look without the lock: mostly there is nothing, and nobody need wait to learn it.
        cursor.execute("SELECT 1 FROM diagnosis_figureswaiting LIMIT 1")
        if cursor.fetchone() is None:
            return False
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(_TAKE, [BATCH])
        lesions = {lesion for (lesion,) in cursor.fetchall()}
        # Another statement than the one that took them: it sees at least what they were left by.
        cursor.execute(_statement(), {**_values(), "lesions": list(lesions)})
    return bool(lesions)
