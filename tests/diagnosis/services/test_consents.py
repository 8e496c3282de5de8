"""What is allowed now, and by which event; and that withdrawal takes effect at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from diagnosis.models import AnalysisState, ConsentChange, ConsentEvent, ConsentPolicy, ConsentScope, EvidenceMethod
from diagnosis.services.analysis_queue import answer, claim, retry
from diagnosis.services.consents import ConsentStatement, consent_in_force, record_consent
from diagnosis.services.errors import Conflict, Refusal
from tests import factories
from tests.diagnosis.services.answers import answered

GRANTED, WITHDRAWN = ConsentChange.GRANTED, ConsentChange.WITHDRAWN
ANALYSIS = ConsentScope.ANALYSIS


@pytest.mark.django_db
class TestWhatIsInForce:
    def test_nothing_is_allowed_without_a_grant(self) -> None:
        by = factories.clinician()
        assert consent_in_force(factories.patient(by), ANALYSIS) is None

    def test_a_grant_allows_its_scope_only_and_is_named(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        event = factories.grant(patient, by)
        assert consent_in_force(patient, ANALYSIS) == event
        assert consent_in_force(patient, ConsentScope.RESEARCH) is None

    def test_a_grant_captured_offline_before_a_withdrawal_but_sent_after_it_allows_nothing(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        captured = timezone.now() - timedelta(hours=2)
        factories.withdraw(patient, by)
        record_consent(user=by, patient=patient, statement=factories.statement(captured_at=captured))
        assert consent_in_force(patient, ANALYSIS) is None

    def test_a_grant_after_a_withdrawal_allows_again(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        factories.grant(patient, by)
        factories.withdraw(patient, by)
        assert consent_in_force(patient, ANALYSIS) is None
        event = factories.grant(patient, by)
        assert consent_in_force(patient, ANALYSIS) == event

    def test_a_withdrawal_dated_before_the_grant_but_recorded_after_it_wins(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        factories.grant(patient, by)
        late = factories.statement(WITHDRAWN, captured_at=timezone.now() - timedelta(days=3))
        record_consent(user=by, patient=patient, statement=late)
        assert consent_in_force(patient, ANALYSIS) is None


class TestTheRuleInPythonAndInTheDatabase(TestCase):
    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from([GRANTED, WITHDRAWN]), st.integers(0, 6), st.sampled_from(ConsentScope)),
            max_size=8,
        )
    )
    def test_agree_for_any_history(self, history: list[tuple[ConsentChange, int, ConsentScope]]) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        start = timezone.now() - timedelta(hours=10)
        for change, hour, scope in history:
            moment = start + timedelta(hours=hour)
            ConsentEvent.objects.create(
                patient=patient,
                policy=factories.policy(),
                scope=scope,
                change=change,
                captured_at=moment,
                recorded_at=moment,
                effective_at=moment,
                recorded_by=by,
                method=EvidenceMethod.PAPER,
            )
        for scope in ConsentScope:
            last = max(((hour, change == WITHDRAWN) for change, hour, of in history if of == scope), default=(0, True))
            with connection.cursor() as cursor:
                cursor.execute("SELECT diagnosis_consent_in_force(%s, %s)", [patient.pk, scope])
                in_database = cursor.fetchone()[0]
            assert (consent_in_force(patient, scope) is not None) == in_database == (not last[1])


@pytest.mark.django_db
class TestEvidence:
    def test_a_time_in_the_future_is_refused(self) -> None:
        by = factories.clinician()
        tomorrow = factories.statement(captured_at=timezone.now() + timedelta(days=1))
        with pytest.raises(Refusal, match="lies in the future"):
            record_consent(user=by, patient=factories.patient(by), statement=tomorrow)

    def test_a_clock_slightly_ahead_cannot_make_a_grant_outlast_a_withdrawal(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        record_consent(
            user=by,
            patient=patient,
            statement=factories.statement(captured_at=timezone.now() + timedelta(seconds=60)),
        )
        factories.withdraw(patient, by)
        assert consent_in_force(patient, ANALYSIS) is None

    def test_spoken_consent_needs_a_witness(self) -> None:
        by = factories.clinician()
        spoken = ConsentStatement(factories.policy(), ANALYSIS, GRANTED, timezone.now(), EvidenceMethod.SPOKEN)
        with pytest.raises(Refusal, match="witness"):
            record_consent(user=by, patient=factories.patient(by), statement=spoken)

    def test_the_same_event_sent_twice_is_recorded_once(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        once = ConsentStatement(factories.policy(), ANALYSIS, GRANTED, timezone.now(), EvidenceMethod.PAPER, id=uuid4())
        assert record_consent(user=by, patient=patient, statement=once) == record_consent(
            user=by, patient=patient, statement=once
        )
        with pytest.raises(Conflict):
            record_consent(user=by, patient=factories.patient(by), statement=once)

    @pytest.mark.parametrize("verb", ["update", "delete"])
    @pytest.mark.parametrize("model", [ConsentEvent, ConsentPolicy])
    def test_events_and_policies_cannot_be_changed_even_past_the_service(self, model: type, verb: str) -> None:
        by = factories.clinician()
        factories.grant(factories.patient(by), by)
        rows = model.objects.all()  # type: ignore[attr-defined]
        with pytest.raises(IntegrityError, match="append-only"):
            rows.update(id=uuid4()) if verb == "update" else rows._raw_delete("default")


@pytest.mark.django_db
class TestAnalysisNeedsConsent:
    def test_a_case_without_consent_is_stored_and_its_analysis_not_requested(self) -> None:
        case = factories.submit(factories.clinician(), factories.new_case(consents=[])).case
        assert (case.analysis.state, case.analysis.reason) == (AnalysisState.NOT_REQUESTED, "no_consent")

    def test_consent_given_later_lets_the_analysis_be_asked_for(self) -> None:
        by = factories.clinician()
        case = factories.submit(by, factories.new_case(consents=[])).case
        with pytest.raises(Conflict, match="consent to analysis is not in force"):
            retry(user=by, case=case)
        factories.grant(case.patient, by)
        assert retry(user=by, case=case).state == AnalysisState.WAITING

    def test_withdrawal_stops_what_waits(self) -> None:
        by = factories.clinician()
        case = factories.case(by)
        factories.withdraw(case.patient, by)
        case.analysis.refresh_from_db()
        assert (case.analysis.state, case.analysis.reason) == (AnalysisState.NOT_REQUESTED, "consent_withdrawn")
        assert claim(limit=10) is None

    def test_withdrawal_while_a_worker_reads_drops_its_answer(self) -> None:
        by = factories.clinician()
        case = factories.case(by)
        lease = claim(limit=10)
        assert lease is not None
        factories.withdraw(case.patient, by)
        assert answer(lease, [answered(lease.analyses[0])]) == set()
        case.analysis.refresh_from_db()
        assert (case.analysis.state, case.analysis.probabilities) == (AnalysisState.NOT_REQUESTED, None)

    def test_an_analysis_cannot_be_queued_without_consent_even_past_the_service(self) -> None:
        case = factories.submit(factories.clinician(), factories.new_case(consents=[])).case
        case.analysis.state = AnalysisState.WAITING
        case.analysis.waiting_since = timezone.now()
        with pytest.raises(IntegrityError, match="no consent to analysis is in force"):
            case.analysis.save()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_", range(12))
def test_a_withdrawal_racing_with_the_answer_leaves_one_clear_outcome(_: int) -> None:
    by = factories.clinician()
    case = factories.case(by)
    lease = claim(limit=1)
    assert lease is not None
    analysis = answered(lease.analyses[0])

    def write() -> bool:
        try:
            return bool(answer(lease, [analysis]))
        finally:
            connection.close()

    def stop() -> None:
        try:
            factories.withdraw(case.patient, by)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        written, stopped = pool.submit(write), pool.submit(stop)
        stopped.result()
    case.analysis.refresh_from_db()
    assert case.analysis.state == (AnalysisState.ANSWERED if written.result() else AnalysisState.NOT_REQUESTED)
