"""Promise: whatever becomes of a worker, each case is answered, once."""

import pytest

from tests.faults.platform import Platform, eventually

pytestmark = pytest.mark.faults


def test_kill_9_of_the_process_that_reads_loses_nothing(platform: Platform) -> None:
    ids = platform.freeze_in_the_middle(cases=20)
    held = platform.in_state("running")
    for child in platform.children("inference"):
        child.kill()
    platform.assert_answered_once(ids)
    assert platform.ask("SELECT count(*) FROM diagnosis_analysis WHERE attempts > 1") >= held > 0


def test_kill_9_of_the_whole_worker_loses_nothing_once_it_is_started_again(platform: Platform) -> None:
    ids = platform.freeze_in_the_middle(cases=20)
    platform.kill_tree("inference")
    platform.start_program("inference")
    platform.assert_answered_once(ids)


def test_a_worker_that_wakes_after_its_lease_ended_answers_nothing_twice(platform: Platform) -> None:
    ids = platform.freeze_in_the_middle(cases=20)
    held = platform.ask("SELECT array_agg(id::text) FROM diagnosis_analysis WHERE state = 'running'")
    eventually(
        "the sweep takes back what a frozen worker holds",
        lambda: (
            platform.ask("SELECT count(*) FROM diagnosis_analysis WHERE id::text = ANY(%s) AND state = 'running'", held)
            == 0
        ),
    )
    platform.thaw_workers()
    platform.assert_answered_once(ids)


def test_a_damaged_photograph_fails_with_a_reason_and_the_others_are_answered(platform: Platform) -> None:
    platform.freeze_workers()
    (damaged, *others) = platform.submit(4)
    path = platform.photograph_of(damaged)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    platform.thaw_workers()
    platform.assert_answered_once(others)
    assert (
        platform.ask("SELECT state || ' ' || reason FROM diagnosis_analysis WHERE case_id = %s::uuid", damaged)
        == "failed photograph_damaged"
    )


def test_a_photograph_missing_for_a_while_is_answered_when_it_is_back(platform: Platform) -> None:
    platform.freeze_workers()
    (case,) = platform.submit(1)
    path = platform.photograph_of(case)
    away = path.rename(path.with_suffix(".away"))
    platform.thaw_workers()
    eventually(
        "it was tried and went back",
        lambda: (
            platform.ask(
                "SELECT count(*) FROM audit_auditevent WHERE action = 'analysis.returned'"
                " AND details->>'fault' = 'store_unavailable'"
            )
            > 0
        ),
    )
    away.rename(path)
    platform.assert_answered_once([case])


@pytest.mark.parametrize("name", ["web", "inference"])
def test_neither_web_nor_cpu_worker_has_loaded_tensorflow(platform: Platform, name: str) -> None:
    platform.assert_answered_once(platform.submit(1))
    for process in platform.children(name):
        loaded = {path.path for path in process.memory_maps()}
        assert any("python" in path for path in loaded)
        assert not [path for path in loaded if "/tensorflow/" in path or "/jaxlib/" in path]
    assert any("litert" in path.path for path in platform.children("inference")[0].memory_maps())
