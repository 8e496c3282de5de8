"""The aggregates behind the figures, each in one query over ``ReferralFigures``: no row of them is one patient's, and
nothing sealed is opened.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from diagnosis.services.insight.scope import Period
from skincare.accounts.models import Organisation

Row = dict[str, Any]

#: Still to be read by a dermatologist.
_OPEN: Final = "state IN ('sent', 'accepted', 'more_information_asked')"
#: Referrals of an organisation in a period, by when they were sent.
_OURS: Final = "{whose} = %(organisation)s AND sent_at >= %(begins)s AND sent_at < %(ends)s"
#: Those whose patients' consent is in force: of the others only the work that was done is counted.
_COUNTED_NOW: Final = "{ours} AND counted AND (consent_ends_at IS NULL OR consent_ends_at > %(now)s)"

_VOLUMES: Final = """
SELECT week, count(*) AS sent,
    count(*) FILTER (WHERE answered_at IS NOT NULL) AS answered,
    count(*) FILTER (WHERE state = 'declined') AS declined,
    count(*) FILTER (WHERE state = 'withdrawn') AS withdrawn,
    count(*) FILTER (WHERE state = 'expired') AS expired,
    count(*) FILTER (WHERE {open}) AS open
FROM diagnosis_referralfigures WHERE {ours} GROUP BY week ORDER BY week
"""

_WAITING: Final = """
SELECT urgency, count(*) FILTER (WHERE answered_at IS NOT NULL) AS answered,
    count(*) FILTER (WHERE answered_at <= due_at) AS in_time,
    count(*) FILTER (WHERE {open} AND due_at < %(now)s) AS overdue,
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY answer_hours) AS answer_hours,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY claim_hours) AS claim_hours
FROM diagnosis_referralfigures WHERE {ours} GROUP BY urgency
"""

#: Counted in one pass: combinations of calls, combinations of classes, and groups of patients.
_COUNTED: Final = """
SELECT CASE WHEN grouping(clinician_call) = 0 THEN 'calls' WHEN grouping(signed_class) = 0 THEN 'classes'
        WHEN grouping(age_approx) = 0 THEN 'age' WHEN grouping(sex) = 0 THEN 'sex'
        WHEN grouping(anatom_site_general) = 0 THEN 'site' ELSE 'skin' END AS part,
    clinician_call, network_call, read_call, signed_call, histology_call, network_class, signed_class, histology_class,
    age_approx, sex, anatom_site_general, fitzpatrick_skin_type, count(*) AS referrals,
    count(*) FILTER (WHERE network_state IN ('answered', 'abstained')) AS read,
    count(*) FILTER (WHERE network_state = 'abstained') AS abstained,
    count(*) FILTER (WHERE histology_call AND network_call IS NOT NULL) AS malignant,
    count(*) FILTER (WHERE histology_call AND network_call) AS malignant_found,
    count(*) FILTER (WHERE NOT histology_call AND network_call IS NOT NULL) AS benign,
    count(*) FILTER (WHERE NOT histology_call AND NOT network_call) AS benign_left,
    bit_or(patient_mark) AS patients,
    bit_or(patient_mark) FILTER (WHERE network_state IN ('answered', 'abstained')) AS patients_read,
    bit_or(patient_mark) FILTER (WHERE histology_call AND network_call IS NOT NULL) AS patients_malignant,
    bit_or(patient_mark) FILTER (WHERE NOT histology_call AND network_call IS NOT NULL) AS patients_benign
FROM diagnosis_referralfigures WHERE {counted_now} AND signed
GROUP BY GROUPING SETS (
    (clinician_call, network_call, read_call, signed_call, histology_call),
    (network_class, signed_class, histology_class),
    (age_approx), (sex), (anatom_site_general), (fitzpatrick_skin_type)
)
"""

#: The network's readings of all referred cases under consent, answered by a dermatologist or not; but of none that is
#: still to be read: with few of them, a figure would tell a blind reader the network's answer.
_NETWORK: Final = """
SELECT week, count(*) FILTER (WHERE network_state = 'answered') AS answered,
    count(*) FILTER (WHERE network_state = 'abstained') AS abstained,
    count(*) FILTER (WHERE network_state = 'failed') AS failed,
    bit_or(patient_mark) FILTER (WHERE network_state IN ('answered', 'abstained')) AS patients,
    bit_or(patient_mark) FILTER (WHERE network_state = 'answered' AND risk IS NOT NULL) AS patients_risk,
    bit_or(patient_mark) FILTER (WHERE network_state = 'answered' AND distance IS NOT NULL) AS patients_distance,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY risk) FILTER (WHERE network_state = 'answered') AS risk,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY distance) FILTER (WHERE network_state = 'answered') AS distance
FROM diagnosis_referralfigures WHERE {counted_now} AND NOT {open} GROUP BY week ORDER BY week
"""

_EDGES: Final = """
SELECT count(*) AS referrals, percentile_cont(%(fractions)s::float8[]) WITHIN GROUP (ORDER BY risk) AS risk,
    percentile_cont(%(fractions)s::float8[]) WITHIN GROUP (ORDER BY distance) AS distance
FROM diagnosis_referralfigures WHERE {counted_now} AND NOT {open} AND network_state = 'answered'
"""

_BINS: Final = """
SELECT week, CASE WHEN grouping(risk) = 0 THEN 'risk' ELSE 'distance' END AS part, coalesce(risk, distance) AS bin,
    count(*) AS referrals
FROM (
    SELECT week, width_bucket(risk, %(risk)s::float8[]) AS risk,
        width_bucket(distance, %(distance)s::float8[]) AS distance
    FROM diagnosis_referralfigures WHERE {counted_now} AND NOT {open} AND network_state = 'answered'
) AS binned
GROUP BY GROUPING SETS ((week, risk), (week, distance))
"""


class Reads:
    """Asks for one organisation and one period."""

    def __init__(self, organisation: Organisation, period: Period) -> None:
        """Nothing is asked yet."""
        service = organisation.kind == Organisation.Kind.DERMATOLOGY_SERVICE
        ours = _OURS.format(whose="service_id" if service else "clinic_id")
        self._where = {"ours": ours, "counted_now": _COUNTED_NOW.format(ours=ours), "open": _OPEN}
        self._values: dict[str, Any] = {
            "organisation": organisation.pk,
            "begins": period.begins,
            "ends": period.ends,
            "now": timezone.now(),
        }

    def _ask(self, sql: str, **values: Any) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.execute(sql.format(**self._where), {**self._values, **values})
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def volumes(self) -> list[Row]:
        """Referrals by the week in which they were sent, and what became of them."""
        return self._ask(_VOLUMES)

    def waiting(self) -> list[Row]:
        """By urgency: answered, in time, overdue still, and hours."""
        return self._ask(_WAITING)

    def facts(self) -> dict[str, list[Row]]:
        """How often each combination of ``calls`` and of ``classes`` occurred, and counts by ``age``, ``sex``, ``site``
        and ``skin``, each by itself, with the patients' marks of each (see ``suppression.patients``).
        """
        parts: dict[str, list[Row]] = {part: [] for part in ("calls", "classes", "age", "sex", "site", "skin")}
        for row in self._ask(_COUNTED):
            parts[row["part"]].append(row)
        return parts

    def network(self) -> list[Row]:
        """By week: what the network answered, the medians of risk and of distance from the training data, and the
        patients' marks of each (see ``suppression.patients``).
        """
        return self._ask(_NETWORK)

    def edges(self, fractions: Sequence[float]) -> Row:
        """Number of answers, and quantiles of risk and distance."""
        return self._ask(_EDGES, fractions=list(fractions))[0]

    def bins(self, edges: Mapping[str, Sequence[float]]) -> list[Row]:
        """Answers by week and by which bin between the edges their risk or distance falls into.

        Args:
            edges: of ``risk`` and of ``distance``; a row says of which it is in ``part``. A row without a bin counts
                answers that have none.
        """
        return self._ask(_BINS, risk=list(edges["risk"]), distance=list(edges["distance"]))
