"""Insight: figures agree with counting by hand, small groups cannot be told, and only who may sees them."""

import csv
import io
from collections import Counter
from datetime import date
from typing import Any

import numpy as np
import pytest
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from bench import crowd
from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import Assessment, ConsentScope, FirstRead, Outcome, Referral
from diagnosis.services.errors import Refusal
from diagnosis.services.insight.drift import Baseline, stability
from diagnosis.services.insight.figures import Hidden, Share, Table, kappa, share
from diagnosis.services.insight.report import insight
from diagnosis.services.insight.scope import Period, organisations_of
from diagnosis.services.insight.suppression import FEWEST, hidden, patients
from diagnosis.services.referral_messages import ask_clinician
from diagnosis.services.referrals import accept_referral, withdraw_referral
from skincare.accounts.models import Role, User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.referrals.walking import network_answers, read, sign
from tests.diagnosis.services.answers import version

LONG = Period.of(f"{timezone.now().year - 1}-{timezone.now().month:02}", "", timezone.now().date())


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    caches["figures"].clear()


@pytest.fixture
def people(db: None) -> crowd.Crowd:
    """A service with eight hundred answered referrals."""
    service = factories.service()
    dermatologists = [factories.dermatologist(service) for _ in range(3)]
    clinics = [factories.organisation() for _ in range(4)]
    made = crowd.Crowd(
        service, clinics, factories.clinician(clinics[0]), dermatologists, version(), factories.policy().pk
    )
    crowd.fill(made, first=4, cases=900, open_referrals=100, answered=800)
    crowd.analyse_tables()
    return made


def tables_of(people: crowd.Crowd, period: Period = LONG) -> dict[str, Table]:
    found = insight(user=people.dermatologists[0], organisation=people.service, period=period)
    return {table.key: table for table in found}


class TestFigures:
    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
    @given(st.lists(st.integers(0, 30), min_size=9, max_size=9))
    def test_kappa_is_that_of_scikit_learn_and_lies_in_its_interval(self, cells: list[int]) -> None:
        table = np.array(cells, np.int64).reshape(3, 3)
        found = kappa(table)
        if not isinstance(found, Share):
            assert max(table.sum(0).max(), table.sum(1).max(), 0) == table.sum()
            return
        one = [i for i in range(3) for j in range(3) for _ in range(table[i, j])]
        other = [j for i in range(3) for j in range(3) for _ in range(table[i, j])]
        assert found.value == pytest.approx(cohen_kappa_score(one, other))
        assert found.of == table.sum()
        assert found.low <= found.high

    def test_a_share_of_nobody_is_unmeasured_and_of_few_is_wide(self) -> None:
        assert share(0, 0) is Hidden.UNMEASURED
        few = share(3, 3)
        assert isinstance(few, Share)
        assert (few.value, few.high) == (1.0, 1.0)
        assert few.low == pytest.approx(0.4385, abs=1e-3)  # Wilson 1927, z = 1.96

    def test_stability_tells_a_shift_from_chance(self) -> None:
        baseline = Baseline(False, [0.2, 0.4, 0.6, 0.8], np.full(5, 200.0))
        draws = np.random.default_rng(1)
        alarms = [
            index > by_chance
            for index, by_chance in (
                stability(draws.multinomial(50, [0.2] * 5).astype(float), baseline) for _ in range(400)
            )
        ]
        assert 0.01 < np.mean(alarms) < 0.12
        index, by_chance = stability(np.array([5.0, 5, 5, 5, 80]), baseline)
        assert index > 0.25 > by_chance


class TestSuppression:
    @given(st.dictionaries(st.text(max_size=3), st.integers(0, 40), min_size=1, max_size=8))
    def test_what_is_hidden_cannot_be_computed_from_the_total(self, counts: dict[str, int]) -> None:
        away = hidden(counts)
        shown = {name: count for name, count in counts.items() if name not in away}
        assert all(count == 0 or count >= FEWEST for count in shown.values())
        missing = sum(counts.values()) - sum(shown.values())
        if away and any(shown.values()):
            assert len(away) > 1
            assert missing >= FEWEST
        if not any(0 < count < FEWEST for count in counts.values()):
            assert away == set()

    @given(st.lists(st.integers(0, 63), max_size=40))
    def test_marks_never_tell_of_more_patients_than_there_are(self, bits: list[int]) -> None:
        marks = 0
        for bit in bits:
            marks |= 1 << bit if bit < 63 else -(2**63)  # as PostgreSQL gives it
        assert patients(marks) == len(set(bits))
        assert patients(None) == 0

    def test_a_group_of_few_hides_the_next_smallest_too(self) -> None:
        assert hidden({"I": 3, "II": 50, "III": 20, "VI": 0}) == {"I", "III"}
        assert hidden({"I": 3, "II": 4, "III": 40}) == {"I", "II", "III"}


class TestAgainstCountingByHand:
    def test_accuracy_and_waiting(self, people: crowd.Crowd) -> None:
        tables = tables_of(people)
        malignant = {code for code, each in diagnoses().items() if each.malignant}
        counts: Counter[tuple[str, bool, bool]] = Counter()
        answered = Referral.objects.filter(service=people.service, answered_at__isnull=False)
        for referral in answered.select_related("case__analysis"):
            outcome = (
                Outcome.objects.filter(lesion=referral.case.lesion_id, determined_on__gte=referral.sent_at.date())
                .order_by("-determined_on", "-recorded_at")
                .first()
            )
            if outcome is None:
                continue
            truth = outcome.diagnosis in malignant
            counts["signed", truth, Assessment.objects.get(referral=referral).diagnosis in malignant] += 1
            counts["read", truth, FirstRead.objects.get(referral=referral).diagnosis in malignant] += 1
            counts["clinician", truth, referral.case.suspicion != "benign"] += 1
            if referral.case.analysis.network_level:
                counts["network", truth, referral.case.analysis.network_level != "clinical_judgement"] += 1
        assert sum(counts.values()) > 300
        for row, who in zip(tables["accuracy"].rows, ("clinician", "network", "read", "signed"), strict=True):
            for key, truth in (("sensitivity", True), ("specificity", False)):
                found = row[key]
                assert isinstance(found, Share)
                right, wrong = counts[who, truth, truth], counts[who, truth, not truth]
                assert (found.value, found.of) == (pytest.approx(right / (right + wrong)), right + wrong)
        late = tables["waiting"].rows
        in_time = sum(referral.answered_at <= referral.due_at for referral in answered)
        assert sum(round(row["in_time"].value * row["in_time"].of) for row in late) == in_time  # type: ignore[union-attr]
        assert sum(row["sent"] for row in tables["volumes"].rows) == 900  # type: ignore[misc]

    def test_groups_are_complete_hidden_or_unmeasured(self, people: crowd.Crowd) -> None:
        rows = tables_of(people)["subgroups"].rows
        by = {(row["dimension"], row["group"]): row for row in rows}
        assert by["Site", "Oral or genital (mucosa)"]["sensitivity"] is Hidden.UNMEASURED
        assert by["Age", "under 18"]["referrals"] is Hidden.UNMEASURED
        sexes = [by["Sex", sex]["referrals"] for sex in ("Female", "Male")]
        assert all(isinstance(count, int) and count % 5 == 0 for count in sexes)
        assert isinstance(by["Sex", "Female"]["sensitivity"], Share)

    @pytest.mark.django_db
    def test_one_patient_with_twelve_moles_is_no_group(self, clinician: User, reader: User) -> None:
        patient = factories.patient(clinician)
        for scope in (ConsentScope.ANALYSIS, ConsentScope.TELEDERMATOLOGY):
            factories.grant(patient, clinician, scope)
        for _mole in range(12):
            case = factories.submit(clinician, factories.new_case(consents=[], patient=patient.pk)).case
            referral = factories.referral(clinician, factories.organisation_of(reader), of=case)
            accept_referral(user=reader, referral_id=referral.pk)
            read(reader, referral)
            sign(reader, referral)
        tables = insight(user=reader, organisation=factories.organisation_of(reader), period=LONG)
        by = {(row["dimension"], row["group"]): row for row in tables[-1].rows}
        assert by["Site", "Posterior torso (back)"]["referrals"] is Hidden.SMALL

    def test_a_withdrawn_consent_leaves_the_volumes_only(self, people: crowd.Crowd) -> None:
        before = tables_of(people)
        Referral.objects.filter(service=people.service, state="closed").update(stopped_at=timezone.now())
        caches["figures"].clear()
        after = tables_of(people)
        assert after["volumes"].rows == before["volumes"].rows
        assert after["accuracy"].rows[0]["sensitivity"] is Hidden.UNMEASURED

    def test_a_year_takes_a_fixed_number_of_queries(self, people: crowd.Crowd) -> None:
        with CaptureQueriesContext(connection) as captured:
            tables = tables_of(people)
        assert len(captured) <= 22
        assert tables["drift"].rows
        assert {row["risk_says"] for row in tables["drift"].rows} <= {
            "steady",
            "shifted a little",
            "shifted",
            "too few to say",
        }


class TestBlindness:
    """What the network said of a case that is still to be read stands in no figure."""

    def told(self, by: User, key: str) -> list[dict[str, Any]]:
        """The rows of a table, as page, file and API tell them."""
        caches["figures"].clear()
        browser = signed_in(by)
        tables = browser.get("/api/v1/insight/").json()["tables"]
        rows: list[dict[str, Any]] = next(table["rows"] for table in tables if table["key"] == key)
        file = browser.get(f"/insight/?csv={key}").content.decode()
        assert len(list(csv.DictReader(io.StringIO(file)))) == len(rows)
        return rows

    @pytest.mark.django_db
    def test_a_case_counts_once_nobody_is_to_read_it_any_more(self, clinician: User, reader: User) -> None:
        read_one = factories.accepted_referral(clinician, reader)
        withdrawn = factories.accepted_referral(clinician, reader)
        asked_back = factories.accepted_referral(clinician, reader)
        waiting = factories.referral(clinician, factories.organisation_of(reader))
        network_answers(risk=0.875)
        ask_clinician(user=reader, referral_id=asked_back.pk, text="Since when?")
        assert (self.told(reader, "drift"), self.told(reader, "abstentions")) == ([], [])
        read(reader, read_one)
        assert self.told(reader, "drift") == []
        sign(reader, read_one)
        (week,) = self.told(reader, "abstentions")
        assert week["read"] == 1
        withdraw_referral(user=clinician, referral_id=withdrawn.pk)
        (week,) = self.told(reader, "abstentions")
        assert week["read"] == 2
        small = {"hidden": "small"}
        assert (week["abstained"], week["rate"]) == (small, small)
        (drift,) = self.told(reader, "drift")
        assert (drift["answers"], drift["risk"]) == (small, small)
        page = signed_in(reader).get("/insight/").content.decode()
        assert "still to read" in page
        assert "0.875" not in page
        assert waiting.open

    def test_a_week_of_enough_is_told(self, people: crowd.Crowd) -> None:
        crowd.fill(people, first=1000, cases=2800, open_referrals=0, answered=2800)
        tables = tables_of(people)
        for drift, kept_silent in zip(tables["drift"].rows, tables["abstentions"].rows, strict=True):
            assert isinstance(kept_silent["read"], int)
            few = drift["answers"] is Hidden.SMALL
            assert few == (kept_silent["rate"] is Hidden.SMALL)
            assert drift["risk"] is Hidden.SMALL or not few
            assert few or kept_silent["read"] >= FEWEST
        assert sum(isinstance(row["risk"], float) for row in tables["drift"].rows) > 40
        assert sum(row["read"] for row in tables["abstentions"].rows) == 3600  # type: ignore[misc]


class TestPage:
    def test_charts_tables_and_files_say_the_same(self, people: crowd.Crowd) -> None:
        # So many that weeks can be compared with one another.
        crowd.fill(people, first=1000, cases=2800, open_referrals=0, answered=2800)
        browser = signed_in(people.dermatologists[0])
        page = browser.get(f"/insight/?from={LONG.first:%Y-%m}")
        text = page.content.decode()
        assert page.status_code == 200
        assert text.count('<svg viewBox="0 0 760') == 8
        assert text.count("The same as a table") == 8
        assert "style=" not in text
        file = browser.get(f"/insight/?from={LONG.first:%Y-%m}&csv=accuracy")
        assert file["Content-Disposition"].startswith("attachment")
        rows = list(csv.DictReader(io.StringIO(file.content.decode())))
        api = browser.get(f"/api/v1/insight/?from={LONG.first:%Y-%m}").json()
        accuracy = next(table for table in api["tables"] if table["key"] == "accuracy")
        assert [float(row["sensitivity"]) for row in rows] == pytest.approx(
            [row["sensitivity"]["value"] for row in accuracy["rows"]], abs=1e-4
        )
        assert browser.get("/insight/?csv=nothing").status_code == 404
        event = AuditEvent.objects.filter(action="insight.seen").order_by("pk").first()
        assert event is not None
        assert (event.actor, event.organisation_id) == (people.dermatologists[0], people.service.pk)

    def test_nothing_yet(self, db: None) -> None:
        page = signed_in(factories.dermatologist()).get("/insight/").content.decode()
        assert "No referral was sent in these months." in page

    @pytest.mark.parametrize("query", ["from=2026-13", "from=2026-05&until=2026-04", "from=2001-01", "from=x"])
    def test_what_is_no_period_is_said(self, db: None, query: str) -> None:
        browser = signed_in(factories.dermatologist())
        assert browser.get(f"/insight/?{query}").status_code == 422
        assert browser.get(f"/api/v1/insight/?{query}").status_code == 422

    def test_pages_in_arabic_hold_numbers_that_svg_can_read(self, people: crowd.Crowd) -> None:
        browser = signed_in(people.dermatologists[0])
        browser.post("/appearance/", {"language": "ar"})
        page = browser.get("/insight/").content.decode()
        assert 'dir="rtl"' in page
        assert not any("," in value or "٫" in value for value in _attributes(page, "cx"))
        assert _attributes(page, "cx")


class TestWho:
    def test_a_dermatologist_of_the_service_its_administrator_and_a_clinics_administrator_of_the_clinic(
        self, people: crowd.Crowd
    ) -> None:
        lead = factories.member(Role.ADMINISTRATOR, people.service)
        manager = factories.member(Role.ADMINISTRATOR, people.clinics[1])
        assert list(organisations_of(people.dermatologists[0])) == [people.service]
        assert list(organisations_of(lead)) == [people.service]
        assert list(organisations_of(manager)) == [people.clinics[1]]
        assert not organisations_of(people.clinician).exists()
        own = insight(user=manager, organisation=people.clinics[1], period=LONG)
        sent = sum(row["sent"] for row in own[0].rows)  # type: ignore[misc]
        assert sent == Referral.objects.filter(clinic=people.clinics[1]).count() < 900
        browser = signed_in(manager)
        assert browser.get(f"/insight/?organisation={people.service.pk}").status_code == 404
        assert browser.get(f"/api/v1/insight/?organisation={people.service.pk}").status_code == 404
        assert browser.get(f"/insight/?organisation={people.clinics[1].pk}").status_code == 200
        assert signed_in(people.clinician).get("/insight/").status_code == 403


def test_whole_months_only() -> None:
    period = Period.of("2026-01", "2026-03", date(2026, 11, 26))
    assert (period.first, period.until, period.last) == (date(2026, 1, 1), date(2026, 4, 1), date(2026, 3, 1))
    assert Period.of("", "", date(2026, 2, 3)).first == date(2025, 9, 1)
    with pytest.raises(Refusal, match="at most 36"):
        Period.of("2020-01", "2026-03", date(2026, 11, 26))


def signed_in(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def _attributes(page: str, name: str) -> list[str]:
    return [part.partition('"')[0] for part in page.split(f' {name}="')[1:]]
