"""What is allowed now, and by which event; and that withdrawal takes effect at once."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from PIL import Image

from diagnosis.models import (
    Analysis,
    AnalysisState,
    ConsentChange,
    ConsentEvent,
    ConsentPolicy,
    ConsentScope,
    EvidenceMethod,
    ReferralState,
)
from diagnosis.services.analysis_queue import answer, claim, retry, sweep
from diagnosis.services.consents import ConsentStatement, consent_in_force, record_consent, record_expiries
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.referrals import accept_referral
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.services.answers import answered


def _png(picture: Image.Image) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


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
            st.tuples(
                st.sampled_from([GRANTED, WITHDRAWN]),
                st.integers(0, 6),
                st.sampled_from(ConsentScope),
                st.sampled_from([None, 1, 100]),
            ),
            max_size=8,
        )
    )
    def test_agree_for_any_history(self, history: list[tuple[ConsentChange, int, ConsentScope, int | None]]) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        start = timezone.now() - timedelta(hours=10)
        for change, hour, scope, hours in history:
            moment = start + timedelta(hours=hour)
            expires_at = moment + timedelta(hours=hours) if hours and change == GRANTED else None
            ConsentEvent.objects.create(
                patient=patient,
                policy=factories.policy(),
                scope=scope,
                change=change,
                captured_at=moment,
                recorded_at=moment,
                effective_at=moment,
                expires_at=expires_at,
                recorded_by=by,
                method=EvidenceMethod.PAPER,
                language="en",
            )
        record_expiries()
        for scope in ConsentScope:
            # Of several at the same instant the withdrawal wins, then the one recorded last; here no order tells, so
            # only histories without such ties are judged by this.
            said = [(hour, change == WITHDRAWN, hours == 1) for change, hour, of, hours in history if of == scope]
            last = max(said, default=(0, True, False))
            tie = len({ended for hour, gone, ended in said if (hour, gone) == last[:2]}) > 1
            with connection.cursor() as cursor:
                cursor.execute("SELECT diagnosis_consent_in_force(%s, %s)", [patient.pk, scope])
                in_database = cursor.fetchone()[0]
            allowed = consent_in_force(patient, scope) is not None
            assert tie or allowed == in_database == (not last[1] and not last[2])


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


def ends_in(**time: float) -> ConsentStatement:
    """A consent to analysis given long ago that ends so much later than now."""
    long_ago = factories.statement(captured_at=timezone.now() - timedelta(days=400))
    return replace(long_ago, expires_at=timezone.now() + timedelta(**time))


@pytest.mark.django_db
class TestExpiry:
    def test_a_text_says_for_how_many_months_it_is_valid_and_a_sooner_end_can_be_agreed(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        captured = datetime(2024, 8, 31, 12, tzinfo=UTC)
        text = factories.policy("yearly", valid_months=18)
        yearly = replace(factories.statement(captured_at=captured), policy=text)
        assert record_consent(user=by, patient=patient, statement=yearly).expires_at == datetime(
            2026, 2, 28, 12, tzinfo=UTC
        )
        sooner = replace(yearly, expires_at=captured + timedelta(days=30))
        assert record_consent(user=by, patient=patient, statement=sooner).expires_at == sooner.expires_at
        later = replace(yearly, expires_at=captured + timedelta(days=3000))
        assert record_consent(user=by, patient=patient, statement=later).expires_at == datetime(
            2026, 2, 28, 12, tzinfo=UTC
        )

    def test_it_ends_by_the_clock_whether_or_not_anybody_wrote_it_down(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        running = record_consent(user=by, patient=patient, statement=ends_in(hours=1))
        assert consent_in_force(patient, ANALYSIS) == running
        record_consent(user=by, patient=patient, statement=ends_in(seconds=-1))
        assert consent_in_force(patient, ANALYSIS) is None
        assert record_expiries() == 1
        assert consent_in_force(patient, ANALYSIS) is None

    def test_it_is_written_down_once_by_nobody_for_the_grant_that_ended(self) -> None:
        by = factories.clinician()
        patient = factories.patient(by)
        grant = record_consent(user=by, patient=patient, statement=ends_in(seconds=-1))
        assert [record_expiries(), record_expiries()] == [1, 0]
        expired = patient.consent_events.get(change=ConsentChange.EXPIRED)
        assert (expired.ends, expired.captured_at, expired.recorded_by) == (grant, grant.expires_at, None)
        assert AuditEvent.objects.get(action="consent.expired").details["grant"] == str(grant.pk)

    def test_what_was_renewed_or_withdrawn_before_its_end_does_not_expire(self) -> None:
        by = factories.clinician()
        renewed, withdrawn = factories.patient(by), factories.patient(by)
        for patient in (renewed, withdrawn):
            record_consent(user=by, patient=patient, statement=ends_in(seconds=-1))
        new = factories.grant(renewed, by)
        factories.withdraw(withdrawn, by)
        assert record_expiries() == 0
        assert consent_in_force(renewed, ANALYSIS) == new

    def test_what_waits_stops(self) -> None:
        by = factories.clinician()
        case = factories.submit(by, factories.new_case(consents=[ends_in(hours=1)])).case
        assert case.analysis.state == AnalysisState.WAITING
        factories.let_consents_end(case.patient)
        assert claim(limit=10) is None
        case.analysis.refresh_from_db()
        assert (case.analysis.state, case.analysis.reason) == (AnalysisState.NOT_REQUESTED, "consent_expired")

    def test_a_worker_that_reads_meanwhile_drops_that_answer_and_keeps_the_others(self) -> None:
        by = factories.clinician()
        other = factories.case(by)
        case = factories.submit(by, factories.new_case(consents=[ends_in(hours=1)])).case
        lease = claim(limit=10)
        assert lease is not None
        factories.let_consents_end(case.patient)
        assert answer(lease, [answered(each) for each in lease.analyses]) == {other.analysis.pk}
        case.analysis.refresh_from_db()
        assert (case.analysis.state, case.analysis.probabilities) == (AnalysisState.NOT_REQUESTED, None)

    def test_one_that_a_dead_worker_held_is_not_queued_again(self) -> None:
        by = factories.clinician()
        case = factories.submit(by, factories.new_case(consents=[ends_in(hours=1)])).case
        lease = claim(limit=10)
        assert lease is not None
        factories.let_consents_end(case.patient)
        Analysis.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        sweep()
        case.analysis.refresh_from_db()
        assert (case.analysis.state, case.analysis.reason) == (AnalysisState.NOT_REQUESTED, "consent_expired")

    def test_a_referral_stops_and_nobody_goes_on_with_it_meanwhile(self) -> None:
        by, reader = factories.clinician(), factories.dermatologist()
        referral = factories.referral(by, factories.organisation_of(reader))
        until = timezone.now() + timedelta(hours=1)
        said = replace(factories.statement(scope=ConsentScope.TELEDERMATOLOGY), expires_at=until)
        record_consent(user=by, patient=referral.case.patient, statement=replace(said, captured_at=timezone.now()))
        factories.let_consents_end(referral.case.patient)
        with pytest.raises(Conflict, match="consent to teledermatology has ended"):
            accept_referral(user=reader, referral_id=referral.pk)
        record_expiries()
        referral.refresh_from_db()
        assert (referral.state, referral.stopped_at is None) == (ReferralState.WITHDRAWN, False)

    @pytest.mark.parametrize(
        ("change", "shift", "code"),
        [(GRANTED, -500, "ends_before_it_begins"), (WITHDRAWN, 1, "only_a_grant_expires")],
    )
    def test_an_impossible_end_is_refused(self, change: ConsentChange, shift: int, code: str) -> None:
        by = factories.clinician()
        said = replace(ends_in(days=shift), change=change)
        with pytest.raises(Refusal) as refused:
            record_consent(user=by, patient=factories.patient(by), statement=said)
        assert (refused.value.code, refused.value.field) == (code, "expires_at")


@pytest.mark.django_db
class TestSignatures:
    @pytest.mark.parametrize("background", ["#00000000", "white"])
    def test_it_is_kept_as_a_clean_picture_under_the_patients_key(self, background: str) -> None:
        by = factories.clinician()
        drawn = replace(
            factories.statement(), method=EvidenceMethod.SIGNATURE, signature=factories.signature(background)
        )
        event = record_consent(user=by, patient=factories.patient(by), statement=drawn)
        with Image.open(io.BytesIO(event.signature)) as picture:
            assert (picture.format, picture.mode, picture.size, picture.info) == ("PNG", "L", (300, 100), {})
        assert b"\x89PNG\r\n" not in bytes(event.sealed_signature or b"")

    @pytest.mark.parametrize(
        ("sent", "code"),
        [
            ("", "signature_missing"),
            ("<svg/>", "signature_malformed"),
            (base64.b64encode(b"GIF89a" + bytes(50)).decode(), "signature_malformed"),
            (factories.signature()[:-60] + "====", "signature_malformed"),
            (base64.b64encode(base64.b64decode(factories.signature()[22:])[:-120]).decode(), "signature_malformed"),
            (base64.b64encode(bytes(110_000)).decode(), "signature_too_large"),
            (_png(Image.new("L", (300, 100), 255)), "signature_blank"),
            (_png(Image.new("L", (3000, 100), 0)), "signature_size"),
            (_png(Image.new("L", (300, 10), 0)), "signature_size"),
        ],
        ids=["none", "drawing", "gif", "cut base64", "cut png", "large", "blank", "wide", "flat"],
    )
    def test_what_is_none_is_refused_by_name(self, sent: str, code: str) -> None:
        by = factories.clinician()
        drawn = replace(factories.statement(), method=EvidenceMethod.SIGNATURE, signature=sent)
        with pytest.raises(Refusal) as refused:
            record_consent(user=by, patient=factories.patient(by), statement=drawn)
        assert (refused.value.code, refused.value.field) == (code, "signature")


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
