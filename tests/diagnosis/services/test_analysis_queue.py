"""The queue: every analysis reaches one final state, once, whatever becomes of workers, messages and clocks."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from diagnosis.models import Analysis, AnalysisState, Case
from diagnosis.services.analysis_queue import FAULTS, Lease, answer, claim, give_back, retry, sweep
from diagnosis.services.errors import Conflict
from skincare.accounts.models import User
from skincare.audit.models import AuditEvent
from tests import factories
from tests.diagnosis.services.answers import answered, version

pytestmark = pytest.mark.django_db


def cases(number: int, by: User | None = None) -> list[Case]:
    by = by or factories.clinician()
    return [factories.case(by) for _ in range(number)]


def lease_of(limit: int = 10) -> Lease:
    lease = claim(limit=limit)
    assert lease is not None
    return lease


def let_leases_end() -> None:
    """Move time instead of waiting for it."""
    past = timezone.now() - timedelta(seconds=1)
    Analysis.objects.filter(state=AnalysisState.RUNNING).update(lease_until=past)


def let_pauses_end() -> None:
    Analysis.objects.filter(state=AnalysisState.WAITING).update(not_before=timezone.now() - timedelta(seconds=1))


def test_the_longest_waiting_are_claimed_first_and_only_once() -> None:
    made = cases(5)
    first, second = lease_of(3), lease_of(3)
    assert [row.case_id for row in (*first.analyses, *second.analyses)] == [case.pk for case in made]
    assert claim(limit=3) is None


def test_an_answer_is_written_once_with_one_audit_event() -> None:
    cases(1)
    lease = lease_of()
    analysis = answered(lease.analyses[0], risk=0.75)
    assert answer(lease, [analysis]) == {analysis.pk}
    assert answer(lease, [analysis]) == set()
    stored = Analysis.objects.get()
    assert (stored.state, stored.malignancy_risk, stored.lease_token) == (AnalysisState.ANSWERED, 0.75, None)
    assert stored.probabilities == analysis.probabilities
    assert stored.finished_at is not None
    assert AuditEvent.objects.filter(action="analysis.answered", object_id=str(analysis.pk)).count() == 1


def test_a_worker_whose_lease_ended_cannot_answer_any_more() -> None:
    cases(1)
    slow = lease_of()
    let_leases_end()
    sweep()
    let_pauses_end()
    fast = lease_of()
    assert answer(slow, [answered(slow.analyses[0], risk=0.1)]) == set()
    assert answer(fast, [answered(fast.analyses[0], risk=0.9)]) != set()
    assert Analysis.objects.get().malignancy_risk == 0.9


def test_a_lease_that_still_runs_is_left_alone_by_the_sweep() -> None:
    cases(1)
    lease_of()
    assert sweep().returned == 0
    assert Analysis.objects.get().state == AnalysisState.RUNNING


def test_one_that_came_back_is_claimed_alone_and_rests_first() -> None:
    cases(3)
    lease_of(3)
    let_leases_end()
    assert sweep().returned == 3
    assert claim(limit=10) is None
    let_pauses_end()
    cases(1)
    assert [len(lease_of(10).analyses) for _ in range(4)] == [1, 1, 1, 1]


def test_a_case_that_kills_its_worker_each_time_fails_with_a_reason_and_the_others_are_answered() -> None:
    poison, *others = cases(4)
    for _ in range(20):
        lease = claim(limit=10)
        if lease is None:
            let_leases_end()
            sweep()
            let_pauses_end()
            continue
        if poison.pk not in {row.case_id for row in lease.analyses}:
            answer(lease, [answered(row) for row in lease.analyses])
    analysis = Analysis.objects.get(case=poison)
    assert (analysis.state, analysis.reason, analysis.attempts) == (AnalysisState.FAILED, "worker_lost", 3)
    assert "human review" in analysis.reason_text
    assert {Analysis.objects.get(case=case).state for case in others} == {AnalysisState.ANSWERED}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_uses_up_its_attempts_and_then_fails(fault: str) -> None:
    cases(1)
    for _ in range(FAULTS[fault].attempts):
        assert Analysis.objects.get().state == AnalysisState.WAITING
        lease = lease_of()
        give_back(lease, lease.analyses, fault=fault)
        let_pauses_end()
    analysis = Analysis.objects.get()
    assert (analysis.state, analysis.reason) == (AnalysisState.FAILED, fault)
    assert (analysis.recommendation, analysis.decided_by) == ("human_review", "abstention")
    assert AuditEvent.objects.filter(action="analysis.failed").count() == 1


def test_a_failed_analysis_can_be_asked_for_again_and_answered() -> None:
    by = factories.clinician()
    (case,) = cases(1, by)
    for _ in range(3):
        lease = lease_of()
        give_back(lease, lease.analyses, fault="reading_failed")
        let_pauses_end()
    retry(user=by, case=case)
    lease = lease_of()
    assert len(answer(lease, [answered(lease.analyses[0])])) == 1


@pytest.mark.parametrize("prepare", ["waiting", "running", "answered"])
def test_what_is_under_way_or_answered_cannot_be_asked_for_again(prepare: str) -> None:
    by = factories.clinician()
    (case,) = cases(1, by)
    if prepare != "waiting":
        lease = lease_of()
        if prepare == "answered":
            answer(lease, [answered(lease.analyses[0])])
    with pytest.raises(Conflict, match=prepare):
        retry(user=by, case=case)


@pytest.mark.parametrize(
    "change",
    [{"malignancy_risk": 0.01}, {"state": "waiting"}, {"recommendation": "clinical_judgement"}],
    ids=lambda change: next(iter(change)),
)
def test_an_answer_cannot_be_changed_even_past_the_service(change: dict[str, Any]) -> None:
    cases(1)
    lease = lease_of()
    answer(lease, [answered(lease.analyses[0])])
    with pytest.raises(IntegrityError, match="can not be changed"):
        Analysis.objects.update(**change)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"probabilities": None}, "analysis_answer_is_whole"),
        ({"probabilities": [0.5, 0.5]}, "analysis_answer_is_whole"),
        ({"malignancy_risk": None}, "analysis_answer_is_whole"),
        ({"malignancy_risk": 1.5}, "analysis_answer_is_whole"),
        ({"predicted": "good"}, "analysis_answer_is_whole"),
        ({"model_version": None}, "analysis_answer_is_whole"),
        ({"decided_by": ""}, "analysis_answer_is_whole"),
        ({"state": AnalysisState.ABSTAINED}, "analysis_silence_has_a_reason_and_no_answer"),
        ({"state": AnalysisState.FAILED, "reason": "x"}, "analysis_silence_has_a_reason_and_no_answer"),
    ],
    ids=str,
)
def test_half_an_answer_is_refused_by_the_database(change: dict[str, Any], constraint: str) -> None:
    cases(1)
    lease = lease_of()
    analysis = answered(lease.analyses[0])
    for name, value in change.items():
        setattr(analysis, name, value)
    with pytest.raises(IntegrityError, match=constraint):
        answer(lease, [analysis])


def test_an_analysis_cannot_be_deleted_even_past_the_service() -> None:
    cases(1)
    with pytest.raises(IntegrityError, match="not deleted"):
        Analysis.objects.all()._raw_delete("default")


def test_an_analysis_runs_only_under_a_lease() -> None:
    cases(1)
    with pytest.raises(IntegrityError, match="analysis_runs_under_a_lease"):
        Analysis.objects.update(state=AnalysisState.RUNNING)


@pytest.mark.django_db(transaction=True)
def test_many_workers_and_sweeps_at_once_answer_each_case_exactly_once() -> None:
    made = cases(30)

    def work(_: int) -> int:
        written = 0
        try:
            while (lease := claim(limit=4)) is not None:
                sweep()
                written += len(answer(lease, [answered(row) for row in lease.analyses]))
            return written
        finally:
            connection.close()

    version()
    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == len(made)
    assert Analysis.objects.filter(state=AnalysisState.ANSWERED).count() == len(made)
    events = AuditEvent.objects.filter(action="analysis.answered").values_list("object_id", flat=True)
    assert len(events) == len(set(events)) == len(made)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_machine_whose_clock_jumps_neither_starves_cases_nor_takes_what_is_held(
    hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases(2)
    held = lease_of(1)
    wrong = timezone.now() + timedelta(hours=hours)
    monkeypatch.setattr("django.utils.timezone.now", lambda: wrong)

    swept = sweep()
    other = lease_of(1)

    assert swept.returned == swept.failed == 0
    assert answer(held, [answered(held.analyses[0])]) != set()
    assert answer(other, [answered(other.analyses[0])]) != set()


def test_what_came_back_to_a_machine_with_a_wrong_clock_rests_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    cases(1)
    lease = lease_of()
    wrong = timezone.now() + timedelta(hours=2)
    monkeypatch.setattr("django.utils.timezone.now", lambda: wrong)
    give_back(lease, lease.analyses, fault="store_unavailable")
    monkeypatch.undo()
    assert Analysis.objects.get().not_before < timezone.now() + timedelta(minutes=1)


def test_a_lease_token_of_nobody_answers_nothing() -> None:
    cases(1)
    lease = lease_of()
    assert answer(Lease(uuid4(), lease.analyses), [answered(lease.analyses[0])]) == set()
