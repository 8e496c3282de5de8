"""Mixed load with random faults for as long as one likes; at the end the counts must agree to the last case.

    make soak [MINUTES=30] [SEED=1]

Not among the tests that run by themselves: its name keeps pytest from finding it. A failure names its seed, which draws
the same faults in the same order; when each strikes depends on the machine.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.load import Load
from tests.faults.platform import Platform, eventually

Fault = Callable[[Platform], None]


def _kill_who_reads(platform: Platform) -> None:
    for child in platform.children("inference")[:1]:
        child.kill()


def _restarted(name: str, *, politely: bool) -> Fault:
    def strike(platform: Platform) -> None:
        (platform.stop_program if politely else platform.kill_tree)(name)
        time.sleep(1)
        platform.start_program(name)

    return strike


def _frozen(process_of: Callable[[Platform], psutil.Process | None]) -> Fault:
    def strike(platform: Platform) -> None:
        process = process_of(platform)
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)

    return strike


def _workers_frozen(platform: Platform) -> None:
    platform.freeze_workers()
    time.sleep(5)
    platform.thaw_workers()


def _broker_away(platform: Platform) -> None:
    platform.valkey.kill()
    time.sleep(3)
    platform.valkey.start()


def _broker_emptied(platform: Platform) -> None:
    platform.broker().flushall()


def _database_restarted(platform: Platform) -> None:
    platform.postgres.stop()
    platform.postgres.start()


def _power_cut(platform: Platform) -> None:
    platform.postgres.kill()
    platform.postgres.start()


FAULTS: dict[str, Fault] = {
    "the process that reads is killed": _kill_who_reads,
    "the worker is killed and started": _restarted("inference", politely=False),
    "the worker is updated": _restarted("inference", politely=True),
    "the workers freeze for 5 s": _workers_frozen,
    "the sweeper is killed and started": _restarted("default", politely=False),
    "the clock is killed and started": _restarted("clock", politely=False),
    "web is killed and started": _restarted("web", politely=False),
    "web is updated": _restarted("web", politely=True),
    "the broker is away for 3 s": _broker_away,
    "the broker is emptied": _broker_emptied,
    "the broker hangs for 3 s": _frozen(lambda platform: platform.valkey.process),
    "the database is restarted": _database_restarted,
    "the database loses its power": _power_cut,
}


def soak(platform: Platform, minutes: float, seed: int, clinicians: int) -> Load:
    """Load and faults for so many minutes. What was accepted, and how often it had to be sent again."""
    draw = random.Random(seed)
    end = time.monotonic() + 60 * minutes
    with Load(platform, clinicians, pause=0) as load:
        while time.monotonic() < end and not load.problems:
            name = draw.choice(list(FAULTS))
            print(f"{time.strftime('%H:%M:%S')}  {len(load.accepted):6} accepted  {name}", flush=True)
            FAULTS[name](platform)
            time.sleep(draw.uniform(2, 12))
        eventually("everything runs again", platform.ready)
    died = [name for name, process in platform.processes.items() if process.poll() is not None]
    assert died == [], f"no fault here killed {died} for good"
    return load


def account(platform: Platform, load: Load) -> list[str]:
    """Count what became of the accepted cases, print it, and return what does not agree."""
    eventually("every case is final", lambda: platform.unfinished() == 0, 600)
    ids = load.accepted
    states = Counter(
        platform.ask(
            "SELECT array_agg(a.state || CASE WHEN a.state = 'answered' THEN '' ELSE ': ' || a.reason END)"
            " FROM diagnosis_analysis a WHERE a.case_id = ANY(%s::uuid[])",
            ids,
        )
    )
    stored = platform.ask("SELECT count(*) FROM diagnosis_case WHERE id = ANY(%s::uuid[])", ids)
    finals = platform.ask(
        "SELECT count(*) FROM audit_auditevent e JOIN diagnosis_analysis a ON a.id::text = e.object_id"
        " WHERE a.case_id = ANY(%s::uuid[])"
        " AND e.action IN ('analysis.answered', 'analysis.abstained', 'analysis.failed')",
        ids,
    )
    submitted = platform.ask(
        "SELECT count(*) FROM audit_auditevent WHERE action = 'case.submitted' AND object_id = ANY(%s)", ids
    )
    print(f"\naccepted {len(ids)}, stored {stored}, events of submission {submitted}, of a final state {finals}")
    print(f"states {dict(states)}\nsent again after {dict(load.sent_again)}")
    problems = [
        f"{found} {what} for {len(set(ids))} accepted cases"
        for found, what in ((stored, "rows"), (submitted, "submissions"), (finals, "final states"), (len(ids), "ids"))
        if found != len(set(ids))
    ]
    unexplained = {state for state in states if state.startswith("failed") and state != "failed: worker_lost"}
    return problems + [f"{state}: no fault here explains it" for state in sorted(unexplained)]


@pytest.mark.timeout(0)
def test_every_case_is_accounted_for_after_all_that(tmp_path: Path) -> None:
    minutes, seed = float(os.environ.get("MINUTES") or 30), int(os.environ.get("SEED") or 1)
    platform = Platform(tmp_path)
    try:
        platform.start()
        problems = account(platform, soak(platform, minutes, seed, clinicians=3))
        platform.command("verify_audit")
    finally:
        platform.stop()
    assert problems == [], f"seed {seed}"
