"""Fills a database with a crowd: cases by the hundred thousand, by bulk SQL, for measurements and for tests of plans.

Rows are as wide as real ones and pass every constraint; triggers are off while they are written (consents are written
too, so that nothing is there that the triggers would have refused). Sealed columns hold noise of the right length, or
nothing: what they say is never shown by a list.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection, models, transaction
from django.utils import timezone

from diagnosis.models import (
    Analysis,
    AnswerShown,
    Assessment,
    Case,
    CaseImage,
    ConsentEvent,
    DataKey,
    FirstRead,
    Lesion,
    ModelVersion,
    Outcome,
    Patient,
    Referral,
)
from skincare.accounts.models import Organisation, User

CASES_OF_A_PATIENT: Final = 4
CASES_OF_A_LESION: Final = 2
#: Every so many-th open referral is at a rare site, asked back, and so on.
SITES: Final = (
    *("posterior torso",) * 10, *("anterior torso",) * 8, *("lower extremity",) * 7, *("upper extremity",) * 6,
    *("head/neck",) * 6, *("lateral torso",) * 2, "palms/soles",
)  # fmt: skip
DIAGNOSES: Final = (
    *("nevus",) * 8, *("seborrheic-keratosis",) * 4, *("melanoma",) * 2, *("basal-cell-carcinoma",) * 2,
    "actinic-keratosis", "dermatofibroma", "nevus-atypical", "melanoma-in-situ",
)  # fmt: skip


@dataclass(frozen=True)
class Crowd:
    """Whose the rows are."""

    service: Organisation
    clinics: list[Organisation]
    clinician: User
    dermatologists: list[User]
    version: ModelVersion
    policy: UUID


def fill(crowd: Crowd, *, first: int, cases: int, open_referrals: int, answered: int) -> None:
    """Write ``cases`` cases, numbered from ``first``; the first of them are before the service or were answered there.

    Args:
        first: a multiple of four, above what was filled before.
    """
    if cases < open_referrals + answered:
        raise ValueError(f"{cases} cases are too few for {open_referrals} open and {answered} answered referrals")
    last, with_open = first + cases - 1, first + open_referrals - 1
    with_answer = with_open + answered
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL synchronous_commit = off")
        values = {
            "first": first, "last": last, "with_open": with_open, "with_answer": with_answer,
            "clinics": [clinic.pk for clinic in crowd.clinics], "dermatologists": [who.pk for who in crowd.dermatologists],
            "service": crowd.service.pk, "clinician": crowd.clinician.pk, "version": crowd.version.pk,
            "policy": crowd.policy, "sites": list(SITES), "diagnoses": list(DIAGNOSES), "now": timezone.now(),
            "map": os.urandom(1401), "note": os.urandom(180), "key": os.urandom(61),
            "readings": json.dumps([{"position": 1, "kind": "dermoscopic", "malignancy_risk": 0.2, "predicted": "nv",
                                     "probabilities": dict.fromkeys(("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"), 0.142857),
                                     "distance": 31.4, "unlike_training_data": False}]),
            "conditions": json.dumps({"preprocessing": "squash-224", "temperature": 1.1, "backend": "litert",
                                      "thresholds": {"refer": 0.1, "urgent": 0.3}}),
            "quality": json.dumps({"sharpness": 0.9, "exposure": 0.5, "width": 600, "height": 450}),
        }  # fmt: skip
        for table in _tables():
            table.write(cursor, values)
        # What the triggers would have left, once for each lesion.
        cursor.execute("SELECT diagnosis_count_all_again()")
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


@dataclass(frozen=True)
class Table:
    """How the rows of one model are made from numbers."""

    model: type[models.Model]
    rows: str
    columns: dict[str, str]

    def write(self, cursor: Any, values: dict[str, Any]) -> None:
        """Insert them; a column that is not named gets the field's default."""
        columns = {}
        more = dict(values)
        for field in self.model._meta.concrete_fields:
            name = str(field.column)
            if name in self.columns:
                columns[name] = self.columns[name]
            elif not (field.null or field.has_db_default() or isinstance(field, models.AutoField)):
                columns[name] = f"%({name})s"
                more[name] = field.get_db_prep_save(field.get_default(), connection)
        cursor.execute(
            f"INSERT INTO {self.model._meta.db_table} ({', '.join(columns)}) "
            f"SELECT {', '.join(columns.values())} FROM {self.rows}",
            more,
        )


def _id(kind: str, number: str = "n") -> str:
    return f"md5('{kind}' || ({number})::text)::uuid"


def _one_of(name: str, number: str = "n") -> str:
    """One of an array, by a number that does not run with the others."""
    return f"(%({name})s)[1 + abs(hashint8({number})) %% cardinality(%({name})s)]"


#: 0 to 1, the same for a number each time.
def _share(number: str) -> str:
    return f"(abs(hashint8({number})) %% 10000) / 10000.0"


def _tables() -> list[Table]:
    cases = "generate_series(%(first)s::bigint, %(last)s::bigint) AS n"
    lesions = f"generate_series(%(first)s::bigint / {CASES_OF_A_LESION}, %(last)s::bigint / {CASES_OF_A_LESION}) AS n"
    patients = (
        f"generate_series(%(first)s::bigint / {CASES_OF_A_PATIENT}, %(last)s::bigint / {CASES_OF_A_PATIENT}) AS n"
    )
    patient, lesion = _id("patient", f"n / {CASES_OF_A_PATIENT}"), _id("lesion", f"n / {CASES_OF_A_LESION}")
    clinic = f"(%(clinics)s::uuid[])[1 + (n / {CASES_OF_A_PATIENT}) %% cardinality(%(clinics)s::uuid[])]"
    clinic_of_patient = "(%(clinics)s::uuid[])[1 + n %% cardinality(%(clinics)s::uuid[])]"
    site = f"(%(sites)s)[1 + (n / {CASES_OF_A_LESION}) %% cardinality(%(sites)s)]"
    seen = "%(now)s - make_interval(mins => ((n - %(first)s) %% 500000)::int)"
    sent = f"%(now)s - make_interval(secs => {_share('n * 7')} * 86400 * 12)"
    hours = "CASE {urgency} WHEN 'urgent_suspected_cancer' THEN 24 WHEN 'soon' THEN 72 ELSE 336 END"
    dermatologist = "(%(dermatologists)s::uuid[])[1 + n %% cardinality(%(dermatologists)s::uuid[])]"
    risk = _share("n * 13")
    urgency = f"CASE WHEN {_share('n * 3')} < 0.08 THEN 'urgent_suspected_cancer' WHEN {_share('n * 3')} < 0.4 THEN 'soon' ELSE 'routine' END"
    state = f"CASE WHEN {_share('n * 5')} < 0.9 THEN 'sent' WHEN {_share('n * 5')} < 0.99 THEN 'accepted' ELSE 'more_information_asked' END"
    step = "CASE urgency WHEN 'urgent_suspected_cancer' THEN 0 WHEN 'soon' THEN 1 ELSE 2 END"
    open_rows = (
        f"(SELECT n, {urgency} AS urgency, {state} AS state, {sent} AS sent, {risk} AS risk "
        "FROM generate_series(%(first)s::bigint, %(with_open)s::bigint) AS n) AS made"
    )
    due = f"sent + make_interval(hours => {hours.format(urgency='urgency')})"
    long_ago = "%(now)s - make_interval(mins => (20 + (n - %(with_open)s) * 525600 / greatest(1, %(with_answer)s - %(with_open)s))::int)"
    answered_rows = (
        f"(SELECT n, {urgency} AS urgency, {long_ago} AS sent, {_share('n * 11')} AS luck "
        "FROM generate_series(%(with_open)s::bigint + 1, %(with_answer)s::bigint) AS n) AS made"
    )
    answered_at = "least(%(now)s, sent + make_interval(secs => luck * 86400 * 4))"
    lesion_made = _id("lesion", f"n / {CASES_OF_A_LESION}")
    return [
        Table(DataKey, patients, {"id": _id("patient"), "master_key_id": "'crowd'", "wrapped": "%(key)s", "created_at": "%(now)s"}),
        Table(Patient, patients, {
            "id": _id("patient"), "organisation_id": clinic_of_patient, "data_key_id": _id("patient"),
            "record_number_index": "sha256(('record' || n)::bytea)", "sealed_name": "%(note)s",
            "sex": "CASE n %% 2 WHEN 0 THEN 'female' ELSE 'male' END", "created_by_id": "%(clinician)s::uuid",
            "fitzpatrick_skin_type": "(ARRAY['I', 'II', 'II', 'III', 'III', 'IV', 'V', 'VI', ''])[1 + n %% 9]",
            "created_at": "%(now)s - make_interval(mins => (n %% 500000)::int)",
        }),
        Table(ConsentEvent, f"{patients}, unnest(ARRAY['analysis', 'teledermatology']) AS scope", {
            "id": "md5('consent' || scope || n)::uuid", "patient_id": _id("patient"), "scope": "scope", "change": "'granted'",
            "policy_id": "%(policy)s::uuid", "captured_at": "%(now)s - interval '3 years'",
            "recorded_at": "%(now)s - interval '3 years'", "effective_at": "%(now)s - interval '3 years'",
            "method": "'paper'", "language": "'en'", "recorded_by_id": "%(clinician)s::uuid",
        }),
        Table(Lesion, lesions, {
            "id": _id("lesion"), "patient_id": _id("patient", f"n * {CASES_OF_A_LESION} / {CASES_OF_A_PATIENT}"),
            "anatom_site_general": "(%(sites)s)[1 + n %% cardinality(%(sites)s)]", "created_at": "%(now)s",
            "created_by_id": "%(clinician)s::uuid",
        }),
        Table(Case, cases, {
            "id": _id("case"), "organisation_id": clinic, "patient_id": patient, "lesion_id": lesion,
            "submitted_by_id": "%(clinician)s::uuid", "submitted_at": seen, "seen_at": seen,
            "submission_digest": "sha256(n::text::bytea)", "age_approx": "20 + 5 * (n %% 13)",
            "sex": f"CASE (n / {CASES_OF_A_PATIENT}) %% 2 WHEN 0 THEN 'female' ELSE 'male' END",
            "fitzpatrick_skin_type": f"(ARRAY['I', 'II', 'II', 'III', 'III', 'IV', 'V', 'VI', ''])[1 + (n / {CASES_OF_A_PATIENT}) %% 9]",
            "anatom_site_general": site,
            "suspicion": "(ARRAY['malignant', 'unsure', 'unsure', 'benign'])[1 + n %% 4]",
            "change_in_size": "n %% 3 = 0", "irregular_colour": "n %% 5 = 0",
            "impression": "(ARRAY['', 'nv', 'nv', 'mel', 'bkl'])[1 + n %% 5]", "sealed_note": "%(note)s",
        }),
        Table(CaseImage, cases, {
            "id": _id("image"), "case_id": _id("case"), "position": "1", "kind": "'dermoscopic'",
            "sha256": "repeat(md5(n::text), 2)", "width": "600", "height": "450", "received_format": "'JPEG'",
            "quality": "%(quality)s::jsonb", "photograph_file": "'sealed/00/' || md5('photograph' || n)",
            "view_file": "'sealed/00/' || md5('view' || n)",
        }),
        Table(Analysis, f"(SELECT n, {risk} AS risk FROM {cases}) AS made", {
            "id": _id("analysis"), "case_id": _id("case"), "waiting_since": "NULL", "attempts": "1",
            "state": "CASE WHEN n %% 20 = 0 THEN 'abstained' ELSE 'answered' END",
            "reason": "CASE WHEN n %% 20 = 0 THEN 'poor_image' ELSE '' END",
            "model_version_id": "%(version)s::uuid",
            "probabilities": "CASE WHEN n %% 20 = 0 THEN NULL ELSE ARRAY[0, 0, 0, 0, risk, 1 - risk, 0]::float8[] END",
            "predicted": "CASE WHEN n %% 20 = 0 THEN '' WHEN risk > 0.5 THEN 'mel' ELSE 'nv' END",
            "malignancy_risk": "CASE WHEN n %% 20 = 0 THEN NULL ELSE risk END",
            "recommendation": "CASE WHEN n %% 20 = 0 THEN 'human_review' WHEN risk > 0.8 THEN 'refer_urgently' "
                              "WHEN risk > 0.4 THEN 'refer' ELSE 'clinical_judgement' END",
            "network_level": "CASE WHEN n %% 20 = 0 THEN '' WHEN risk > 0.8 THEN 'refer_urgently' "
                             "WHEN risk > 0.4 THEN 'refer' ELSE 'clinical_judgement' END",
            "decided_by": "'network'", "deciding_position": "CASE WHEN n %% 20 = 0 THEN NULL ELSE 1 END",
            "readings": "%(readings)s::jsonb", "conditions": "%(conditions)s::jsonb", "sealed_map": "%(map)s",
            "finished_at": seen,
        }),
        Table(Referral, open_rows, {
            "id": _id("referral"), "case_id": _id("case"), "service_id": "%(service)s::uuid",
            "clinic_id": clinic, "anatom_site_general": site, "referred_by_id": "%(clinician)s::uuid", "urgency": "urgency", "state": "state", "sent_at": "sent",
            "due_at": due, "expires_at": f"{due} + interval '14 days'", "state_since": "sent",
            "changed_by_id": "%(clinician)s::uuid", "sealed_question": "%(note)s",
            "claimed_by_id": f"CASE WHEN state <> 'sent' THEN {dermatologist} END",
            "claimed_at": "CASE WHEN state <> 'sent' THEN sent END",
            "sort_key": f"(({step}) * 10 + CASE WHEN risk > 0.4 OR n %% 20 = 0 THEN 0 ELSE 1 END) * 100000000000000 "
                        f"+ (extract(epoch FROM {due}) * 1000)::bigint",
        }),
        Table(Referral, answered_rows, {
            "id": _id("referral"), "case_id": _id("case"), "service_id": "%(service)s::uuid",
            "clinic_id": clinic, "anatom_site_general": site, "referred_by_id": "%(clinician)s::uuid", "urgency": "urgency", "state": "'closed'", "sent_at": "sent",
            "due_at": due, "expires_at": f"{due} + interval '14 days'", "state_since": answered_at,
            "changed_by_id": "%(clinician)s::uuid", "sealed_question": "%(note)s", "claimed_by_id": dermatologist,
            "claimed_at": "sent", "answered_at": answered_at,
            "sort_key": f"({step}) * 1000000000000000 + (extract(epoch FROM {due}) * 1000)::bigint",
        }),
        Table(FirstRead, answered_rows, {
            "id": _id("read"), "referral_id": _id("referral"), "reader_id": dermatologist, "role": "'first'",
            "diagnosis": _one_of("diagnoses", "n * 17"), "confidence": "75", "recorded_at": answered_at, "blind": "true",
        }),
        Table(AnswerShown, answered_rows, {
            "referral_id": _id("referral"), "reader_id": dermatologist, "shown_at": answered_at,
        }),
        Table(Assessment, answered_rows, {
            "id": _id("assessment"), "referral_id": _id("referral"), "author_id": dermatologist,
            "diagnosis": _one_of("diagnoses", f"n * {'CASE WHEN n % 4 = 0 THEN 19 ELSE 17 END'}".replace("%", "%%")),
            "confidence": "80", "plan": "(ARRAY['reassure', 'excise', 'biopsy'])[1 + n %% 3]", "signed_at": answered_at,
            "authenticated_at": "sent", "authenticated_by": "'session'", "sealed_text": "%(note)s",
            "sealed_signature": "%(note)s",
        }),
        Table(Outcome, f"(SELECT DISTINCT ON ({lesion_made}) * FROM {answered_rows} WHERE n %% 3 = 0) AS made", {
            "id": _id("outcome"), "lesion_id": lesion_made, "kind": "'histology'",
            "diagnosis": _one_of("diagnoses", f"n * {'CASE WHEN n % 7 = 0 THEN 23 ELSE 17 END'}".replace("%", "%%")),
            "determined_on": f"({answered_at})::date", "recorded_at": "%(now)s", "source": "'import'",
        }),
    ]  # fmt: skip


def analyse_tables() -> None:
    """Let PostgreSQL count what is there, as autovacuum does in time."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.in_atomic_block else "VACUUM ANALYZE")


def let_wait(number: int) -> None:
    """Let the analyses of so many cases of the crowd wait for the network, as if they had just been submitted."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            """
            UPDATE diagnosis_analysis SET state = 'waiting', attempts = 0, probabilities = NULL, predicted = '',
                malignancy_risk = NULL, reason = '', finished_at = NULL, deciding_position = NULL, sealed_map = NULL,
                waiting_since = now() - make_interval(secs => random() * 3600), not_before = now() - interval '1 second'
            WHERE id IN (SELECT id FROM diagnosis_analysis WHERE state IN ('answered', 'abstained') ORDER BY id LIMIT %s)
            """,
            [number],
        )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
