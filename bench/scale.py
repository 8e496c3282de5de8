"""What grows and what must not: workers, the depth of the queue, the audit record.

    python -m bench.scale [--short]

One and two workers read the same number of waiting cases, in turns. Claiming is timed with a hundred and with 100,000
waiting. The audit record is verified as it grows. A million cases in lists: `python -m bench.worklist`.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from uuid import uuid4

from bench import page

FEW: Final = 100


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a tenth of everything")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
    if options.worker:
        be_a_worker()
        return
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="skincare-bench-") as folder:
        os.environ["SKINCARE_VAR"] = folder
        import django

        from skincare.launch.servers import Servers

        django.setup()
        with Servers.wanted(Path(folder)).borrowed():
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
            call_command("load_demo", verbosity=0, stdout=io.StringIO())
            scale = 10 if options.short else 1
            texts = [workers(320 // scale, 3 if options.short else 5), depth(100_000 // scale, 21 // min(scale, 3)),
                     audit([10_000 // scale, 30_000 // scale, 100_000 // scale])]  # fmt: skip
    print("\n\n".join([page.conditions(before, "medians (quartiles)"), *texts]))


def spread(values: list[float], form: str = ".2f") -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


# --- Workers ----------------------------------------------------------------------------------------------------------
def be_a_worker() -> None:
    """Open the network; then, at each line that comes in, read until nothing waits, and say so."""
    import django

    django.setup()
    from diagnosis.models import Analysis
    from diagnosis.services import reading

    reading.network_in_service()
    print("ready", flush=True)
    for _ in sys.stdin:
        while Analysis.objects.waiting().exists():
            reading.read_waiting_cases()
        print("done", flush=True)


class Workers:
    """Processes that wait until they are told to read."""

    def __init__(self, number: int) -> None:
        command = [sys.executable, "-m", "bench.scale", "--worker"]
        self.processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            for _ in range(number)
        ]
        for process in self.processes:
            self._hear(process, "ready")

    def _hear(self, process: "subprocess.Popen[str]", word: str) -> None:
        assert process.stdout is not None
        while (line := process.stdout.readline().strip()) != word:
            if not line and process.poll() is not None:
                raise RuntimeError("a worker of the benchmark has died")

    def read_all(self, number: int) -> float:
        """Let so many of them read what waits; seconds until the last is done."""
        begin = time.perf_counter()
        for process in self.processes[:number]:
            assert process.stdin is not None
            process.stdin.write("read\n")
            process.stdin.flush()
        for process in self.processes[:number]:
            self._hear(process, "done")
        return time.perf_counter() - begin

    def end(self) -> None:
        """End them."""
        for process in self.processes:
            process.terminate()
            process.wait()


def workers(cases: int, rounds: int) -> str:
    """One, two, … workers over the same cases, as far as there are cores."""
    from bench import worker
    from bench.rivals import PHOTOGRAPHS

    photographs = [path.read_bytes() for path in sorted(PHOTOGRAPHS.glob("ISIC_*.jpg"))]
    numbers = [number for number in (1, 2, 4, 8) if number <= (os.cpu_count() or 1)]
    crew = Workers(numbers[-1])
    taken: dict[int, list[float]] = {number: [] for number in numbers}
    try:
        for round_ in range(-1, rounds):
            for number in numbers if round_ % 2 else reversed(numbers):
                worker.submit([photographs[place % len(photographs)] for place in range(cases)])
                seconds = crew.read_all(number)
                if round_ >= 0:
                    taken[number].append(cases / seconds)
    finally:
        crew.end()
    rows = [
        [
            str(number),
            spread(rates, ".1f"),
            spread([mine / one for mine, one in zip(rates, taken[1], strict=True)]),
        ]
        for number, rates in taken.items()
    ]
    head = ["workers", f"cases a second, {cases} waiting", "times one worker, round by round"]
    return f"**Workers**\n\n{page.table(head, rows)}"


# --- Depth ------------------------------------------------------------------------------------------------------------
def depth(many: int, rounds: int) -> str:
    """Claiming sixteen, and what a sweep costs, with a hundred and with `many` waiting."""
    from django.db import transaction

    from bench import crowd
    from bench.worklist import _people
    from diagnosis.services.analysis_queue import claim, sweep

    people = _people()
    begin = time.perf_counter()
    crowd.fill(people, first=4, cases=many, open_referrals=0, answered=0)
    filled = time.perf_counter() - begin
    taken: dict[str, dict[int, list[float]]] = {"claim 16": {}, "sweep": {}}
    for deep in (FEW, many):
        crowd.let_wait(deep)
        crowd.analyse_tables()
        for name, act in (("claim 16", lambda: claim(limit=16)), ("sweep", sweep)):
            times = taken[name].setdefault(deep, [])
            for number in range(-3, rounds):
                with transaction.atomic():
                    begin = time.perf_counter()
                    act()
                    if number >= 0:
                        times.append((time.perf_counter() - begin) * 1000)
                    transaction.set_rollback(True)
    rows = [
        [name, spread(by[FEW]), spread(by[many]), f"{statistics.median(by[many]) / statistics.median(by[FEW]):.2f}"]
        for name, by in taken.items()
    ]
    head = ["ms", f"{FEW} waiting", f"{many:,} waiting", "ratio"]
    return f"**Depth of the queue** ({many:,} cases filled in {filled:.0f} s)\n\n{page.table(head, rows)}"


# --- Audit ------------------------------------------------------------------------------------------------------------
def audit(sizes: list[int]) -> str:
    """Sealing and verifying, as the record grows to each size."""
    from skincare.audit.models import AuditEvent
    from skincare.audit.seals import seal_waiting
    from skincare.audit.verification import verify

    while seal_waiting():
        pass
    rows = []
    for size in sizes:
        there = AuditEvent.objects.count()
        AuditEvent.objects.bulk_create(
            (
                AuditEvent(action="patient.read", patient_id=uuid4(), organisation_id=uuid4(), object_type="patient",
                           object_id=str(uuid4()), request_id=str(uuid4()), address="192.0.2.1")
                for _ in range(size - there)
            ),
            batch_size=1000,
        )  # fmt: skip
        begin = time.perf_counter()
        while seal_waiting():
            pass
        sealed = time.perf_counter() - begin
        rates = []
        for _ in range(3):
            begin = time.perf_counter()
            found = verify()
            rates.append((time.perf_counter() - begin) * 1e6 / found.events)
        rows.append(
            [f"{found.events:,}", f"{sealed * 1e6 / max(1, size - there):.1f}", f"{statistics.median(rates):.1f}"]
        )
    head = ["events", "µs an event to seal the new ones", "µs an event to verify all"]
    return f"**The audit record**\n\n{page.table(head, rows)}"


if __name__ == "__main__":
    main()
