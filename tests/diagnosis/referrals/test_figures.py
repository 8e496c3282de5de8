"""What the insight page counts: the narrow rows say what the wide tables say, whatever happened."""

import random
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import psycopg2
import pytest
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bench import crowd
from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import Assessment, Case, FiguresWaiting, FirstRead, Outcome, Referral, ReferralFigures
from diagnosis.services.insight import upkeep
from diagnosis.services.insight.reads import Reads
from diagnosis.services.insight.report import insight
from diagnosis.services.insight.scope import Period
from diagnosis.services.insight.suppression import patients
from diagnosis.services.referrals import accept_referral, release_referral, take_over_referral
from skincare.accounts.models import User
from tests import factories
from tests.diagnosis.services.answers import version

LONG = Period.of(f"{timezone.now().year - 1}-{timezone.now().month:02}", "", timezone.now().date())
CALLS = ("clinician_call", "network_call", "read_call", "signed_call", "histology_call")
CLASSES = ("network_class", "signed_class", "histology_class")


def a_crowd(answered: int = 150) -> crowd.Crowd:
    """A service with answered referrals, two of three lesions of them with histology."""
    service = factories.service()
    dermatologists = [factories.dermatologist(service) for _ in range(3)]
    clinics = [factories.organisation() for _ in range(4)]
    made = crowd.Crowd(
        service, clinics, factories.clinician(clinics[0]), dermatologists, version(), factories.policy().pk
    )
    crowd.fill(made, first=4, cases=answered + 60, open_referrals=60, answered=answered)
    return made


def happen(people: crowd.Crowd, dice: random.Random) -> None:
    """What a service lives through: amendments, corrected and late histology, withdrawals, corrected patients."""
    codes = sorted(diagnoses())
    now = timezone.now()
    for referral in Referral.objects.filter(service=people.service).select_related("case").order_by("pk"):
        chance = dice.random()
        if chance < 0.15 and referral.answered_at:
            signed = referral.assessments.get(amended_by__isnull=True)
            Assessment.objects.create(
                referral=referral, amends=signed, author=signed.author, diagnosis=dice.choice(codes), confidence=60,
                plan="reassure", signed_at=now, authenticated_at=now, authenticated_by="session",
                sealed_signature=b"noise",
            )  # fmt: skip
        elif chance < 0.3:
            known = Outcome.objects.filter(lesion=referral.case.lesion_id, corrected_by__isnull=True).first()
            Outcome.objects.create(
                lesion_id=referral.case.lesion_id, kind=dice.choice(["histology", "histology", "follow_up"]),
                diagnosis=dice.choice(codes), recorded_at=now, source="person",
                determined_on=(referral.sent_at + timedelta(days=dice.randint(-3, 3))).date(),
                corrects=known if dice.random() < 0.5 else None,
            )  # fmt: skip
        elif chance < 0.4:
            Referral.objects.filter(pk=referral.pk).update(stopped_at=now)
        elif chance < 0.5:
            Case.objects.filter(pk=referral.case_id).update(sex=dice.choice(["female", "male"]), age_approx=35)
        elif chance < 0.6 and not referral.answered_at:
            Referral.objects.filter(pk=referral.pk).update(urgency=dice.choice(["routine", "soon"]), due_at=now)


class Straight:
    """The same figures, counted one referral after the other from the rows that people wrote."""

    def __init__(self, people: crowd.Crowd) -> None:
        known = diagnoses()
        self.parts: dict[str, Counter[tuple[Any, ...]]] = {
            part: Counter() for part in ("calls", "classes", "age", "sex", "site", "skin")
        }
        self.volumes: Counter[tuple[Any, str]] = Counter()
        self.hours: dict[str, list[float]] = {}
        self.network: dict[Any, list[tuple[float, float]]] = {}
        #: Patients by what a group is, whose figures are counted.
        self.patients: dict[tuple[str, Any], set[str]] = {}

        def call(code: str | None) -> bool | None:
            return None if code is None or known[code].undecided else known[code].malignant

        def class_of(code: str | None) -> str:
            return known[code].network_class if code else ""

        for referral in Referral.objects.filter(service=people.service).select_related("case__analysis"):
            case, analysis = referral.case, referral.case.analysis
            week = (referral.sent_at - timedelta(days=referral.sent_at.weekday())).date()
            self.volumes[week, referral.state] += 1
            if referral.answered_at:
                waited = (referral.answered_at - referral.sent_at).total_seconds() / 3600
                self.hours.setdefault(referral.urgency, []).append(waited)
            if referral.stopped_at:
                continue
            answered = analysis.state == "answered"
            if answered and not referral.open:
                assert analysis.malignancy_risk is not None
                assert analysis.deciding_position is not None
                distance = analysis.readings[analysis.deciding_position - 1]["distance"]
                self.network.setdefault(week, []).append((analysis.malignancy_risk, distance))
            signed = referral.assessments.filter(amended_by__isnull=True).first()
            if signed is None:
                continue
            read = FirstRead.objects.filter(referral=referral, role="first", blind=True, reader=signed.author).first()
            histology = (
                Outcome.objects.filter(
                    lesion=case.lesion_id, kind="histology", corrected_by__isnull=True,
                    determined_on__gte=referral.sent_at.date(),
                ).order_by("-determined_on", "-recorded_at").first()
            )  # fmt: skip
            found = histology.diagnosis if histology else None
            level = analysis.network_level
            self.parts["calls"][
                case.suspicion != "benign", {"": None, "clinical_judgement": False}.get(level, True),
                call(read.diagnosis if read else None), call(signed.diagnosis), call(found),
            ] += 1  # fmt: skip
            self.parts["classes"][
                analysis.predicted if answered else "", class_of(signed.diagnosis), class_of(found)
            ] += 1
            for part, value in (
                ("age", case.age_approx), ("sex", case.sex), ("site", case.anatom_site_general),
                ("skin", case.fitzpatrick_skin_type),
            ):  # fmt: skip
                self.parts[part][(value,)] += 1
                self.patients.setdefault((part, value), set()).add(str(case.patient_id))


COLUMNS = {
    "calls": CALLS, "classes": CLASSES, "age": ("age_approx",), "sex": ("sex",), "site": ("anatom_site_general",),
    "skin": ("fitzpatrick_skin_type",),
}  # fmt: skip


@pytest.mark.django_db
class TestEqual:
    @pytest.mark.parametrize("seed", range(2))
    def test_the_fast_figures_are_the_straight_ones_after_anything_that_happens(self, seed: int) -> None:
        people, dice = a_crowd(), random.Random(seed)
        upkeep.catch_up()
        for _time in range(2):
            happen(people, dice)
            assert FiguresWaiting.objects.exists()
            assert upkeep.catch_up()
            assert not FiguresWaiting.objects.exists()
            straight, reads = Straight(people), Reads(people.service, LONG)
            facts = reads.facts()
            for part, columns in COLUMNS.items():
                fast = {tuple(row[column] for column in columns): row["referrals"] for row in facts[part]}
                assert fast == dict(straight.parts[part]), part
                if len(columns) == 1:
                    for row in facts[part]:
                        behind = straight.patients[part, row[columns[0]]]
                        assert patients(row["patients"]) == len({sha256(pk.encode()).digest()[0] % 64 for pk in behind})
                        assert patients(row["patients_malignant"]) <= patients(row["patients"]) <= len(behind)
            assert sum(row["sent"] for row in reads.volumes()) == sum(straight.volumes.values())
            for row in reads.volumes():
                assert row["open"] == sum(
                    straight.volumes[row["week"], state] for state in ("sent", "accepted", "more_information_asked")
                )
            waiting = {row["urgency"]: row for row in reads.waiting()}
            for urgency, hours in straight.hours.items():
                assert waiting[urgency]["answer_hours"] == pytest.approx(np.quantile(hours, [0.5, 0.9]))
            network = {row["week"]: row for row in reads.network() if row["answered"]}
            assert network.keys() == straight.network.keys()
            everything = np.array([each for week in straight.network.values() for each in week])
            edges = reads.edges([0.2, 0.4, 0.6, 0.8])
            assert edges["risk"] == pytest.approx(np.quantile(everything[:, 0], [0.2, 0.4, 0.6, 0.8]))
            cuts = {"risk": [0.2, 0.5], "distance": [10.0, 40.0]}
            bins = Counter({(row["week"], row["part"], row["bin"]): row["referrals"] for row in reads.bins(cuts)})
            for week, answers in straight.network.items():
                risks, distances = np.array(answers).T
                assert (network[week]["risk"], network[week]["distance"]) == pytest.approx(
                    (np.median(risks), np.median(distances))
                )
                for part, values in (("risk", risks), ("distance", distances)):
                    for place, count in enumerate(np.bincount(np.digitize(values, cuts[part]), minlength=3)):
                        assert bins[week, part, place] == count

    def test_of_a_patient_who_withdrew_nothing_is_kept_but_the_work(self) -> None:
        people = a_crowd(20)
        referral = Referral.objects.filter(service=people.service, answered_at__isnull=False).first()
        assert referral is not None
        upkeep.catch_up()
        assert ReferralFigures.objects.get(referral=referral).sex
        Referral.objects.filter(pk=referral.pk).update(stopped_at=timezone.now())
        upkeep.catch_up()
        row = ReferralFigures.objects.get(referral=referral)
        assert (row.counted, row.signed, row.sex, row.age_approx, row.risk) == (False, False, "", None, None)
        assert row.answered_at == referral.answered_at

    def test_waiting_for_the_claim_ends_with_the_first_whoever_has_it_later(
        self, clinician: User, reader: User
    ) -> None:
        service = factories.organisation_of(reader)
        colleague = factories.dermatologist(service)
        referral = factories.accepted_referral(clinician, reader)

        def hours() -> float:
            assert upkeep.catch_up()
            (row,) = Reads(service, LONG).waiting()
            return float(row["claim_hours"])

        first = hours()
        assert 0 < first < 1
        take_over_referral(user=colleague, referral_id=referral.pk)
        assert hours() == first
        release_referral(user=colleague, referral_id=referral.pk)
        assert hours() == first
        accept_referral(user=reader, referral_id=referral.pk)
        assert hours() == first

    def test_a_consent_that_ends_by_the_clock_ends_the_counting_at_once(self) -> None:
        people = a_crowd(20)
        upkeep.catch_up()
        before = sum(row["referrals"] for row in Reads(people.service, LONG).facts()["sex"])
        ReferralFigures.objects.filter(signed=True).update(consent_ends_at=timezone.now() - timedelta(seconds=1))
        assert (before, Reads(people.service, LONG).facts()["sex"]) == (20, [])


@pytest.mark.django_db
class TestReading:
    def test_a_page_asks_few_questions_and_none_of_the_wide_tables(self) -> None:
        people = a_crowd()
        upkeep.catch_up()
        caches["figures"].clear()
        with CaptureQueriesContext(connection) as captured:
            insight(user=people.dermatologists[0], organisation=people.service, period=LONG)
        asked = [query["sql"] for query in captured.captured_queries]
        assert len(asked) <= 14, asked
        wide = [sql for sql in asked if any(f"diagnosis_{name}" in sql for name in ("case", "analysis", "outcome"))]
        assert wide == []

    def test_what_is_behind_is_said_and_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        people = a_crowd(40)
        monkeypatch.setattr(upkeep, "BATCH", 5)
        caches["figures"].clear()
        first = insight(user=people.dermatologists[0], organisation=people.service, period=LONG)
        assert any("still being counted" in note for note in first[0].notes)
        upkeep.catch_up()
        then = insight(user=people.dermatologists[0], organisation=people.service, period=LONG)
        assert not any("still being counted" in note for note in then[0].notes)
        assert sum(row["sent"] for row in then[0].rows) == 100  # type: ignore[misc]


@pytest.mark.django_db(transaction=True)
def test_what_commits_after_a_count_is_counted_by_the_next() -> None:
    referral = factories.referral(factories.clinician())
    upkeep.catch_up()
    other = psycopg2.connect(**connection.get_connection_params() | {"cursor_factory": None})
    try:
        with other.cursor() as cursor:
            cursor.execute("UPDATE diagnosis_referral SET urgency = 'soon' WHERE id = %s", [str(referral.pk)])
        Outcome.objects.create(
            lesion_id=referral.case.lesion_id, kind="histology", diagnosis="melanoma", recorded_at=timezone.now(),
            source="person", determined_on=timezone.now().date(),
        )  # fmt: skip
        upkeep.catch_up()
        row = ReferralFigures.objects.get(referral=referral)
        assert (row.urgency, row.histology_class) == (referral.urgency, "mel")
        other.commit()
    finally:
        other.close()
    upkeep.catch_up()
    row.refresh_from_db()
    assert (row.urgency, row.histology_class) == ("soon", "mel")
