"""What the audit record costs: events written with and without the sealer at work, reads recorded, sealing, verifying.

    python -m bench.audit [--rounds 5] [--seconds 3] [--writers 4]

Pairs are taken in one run, in turns; the sealer is a process of its own that seals every second, as in service.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each half of a round")
    parser.add_argument("--writers", type=int, default=4, help="threads that write at once")
    parser.add_argument("--sealer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
    if options.sealer:
        be_the_sealer()
        return
    with tempfile.TemporaryDirectory(prefix="skincare-bench-") as folder:
        # Before Django is imported: its settings ask the environment where the servers are.
        os.environ["SKINCARE_VAR"] = folder
        import django

        from skincare.launch.servers import Servers

        django.setup()
        with Servers.wanted(Path(folder)).borrowed():
            report(options.rounds, options.seconds, options.writers)


def be_the_sealer() -> None:
    """Seal every second until killed."""
    import django

    django.setup()
    from skincare.audit.seals import seal_waiting

    while True:
        began = time.monotonic()
        seal_waiting()
        time.sleep(max(0.0, 1 - (time.monotonic() - began)))


@contextmanager
def sealer() -> Iterator[None]:
    """Another process that seals."""
    process = subprocess.Popen([sys.executable, "-m", "bench.audit", "--sealer"])
    time.sleep(2)  # until Django is there
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def report(rounds: int, seconds: float, writers: int) -> None:
    """Measure everything and print it."""
    from django.core.management import call_command
    from django.db import connection, transaction

    from skincare.accounts.models import Organisation, User
    from skincare.audit.models import AuditEvent
    from skincare.audit.record import record, record_reads
    from skincare.audit.seals import seal_waiting
    from skincare.audit.verification import verify

    call_command("migrate", verbosity=0)
    clinic = Organisation.objects.create(name="Bench", kind=Organisation.Kind.CLINIC)
    reader = User.objects.create_user("bench@clinic.example")

    def write_until(deadline: float) -> int:
        written = 0
        while time.monotonic() < deadline:
            with transaction.atomic():
                record("case.submitted", clinic, actor=reader, patient_id=uuid4(), organisation_id=clinic.pk)
            written += 1
        connection.close()
        return written

    def throughput() -> float:
        deadline = time.monotonic() + seconds
        with ThreadPoolExecutor(writers) as threads:
            return sum(threads.map(write_until, [deadline] * writers)) / seconds

    throughput()  # caches warm
    alone, together = [], []
    for turn in range(rounds):
        if turn % 2:
            alone.append(throughput())
        with sealer():
            together.append(throughput())
        if not turn % 2:
            alone.append(throughput())
    ratios = [pair[1] / pair[0] for pair in zip(alone, together, strict=True)]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians (lowest to highest) of {rounds} rounds\n")
    print(f"Events a second, {writers} writers, each event in a transaction of its own")
    print(f"  without the sealer  {spread(alone)}\n  with the sealer     {spread(together)}")
    print(f"  ratio, round by round  {spread(ratios, '.2f')}\n")

    def timed(call: Callable[[], object], repeat: int = 200) -> list[float]:
        times = []
        for _ in range(repeat):
            began = time.perf_counter()
            call()
            times.append((time.perf_counter() - began) * 1000)
        return times

    again = [(clinic.pk, uuid4()) for _ in range(25)]
    record_reads(reader, again)
    print("Recording reads, ms")
    for name, call in {
        "a query that does nothing": lambda: connection.cursor().execute("SELECT 1"),
        "one patient, first time in the quarter of an hour": lambda: record_reads(reader, [(clinic.pk, uuid4())]),
        "one patient, again": lambda: record_reads(reader, again[:1]),
        "a list of 25, first time": lambda: record_reads(reader, [(clinic.pk, uuid4()) for _ in range(25)]),
        "a list of 25, again": lambda: record_reads(reader, again),
    }.items():
        print(f"  {name:<50} {spread(timed(call), '.2f')}")

    while seal_waiting():
        pass
    count = 50_000
    AuditEvent.objects.bulk_create(
        (
            AuditEvent(
                actor=reader, action="patient.read", patient_id=uuid4(), organisation_id=clinic.pk,
                object_type="patient", object_id=str(uuid4()), request_id=str(uuid4()), address="192.0.2.1",
            )
            for _ in range(count)
        ),
        batch_size=1000,
    )  # fmt: skip
    began = time.perf_counter()
    while seal_waiting():
        pass
    print(f"\nSealing {count} events: {count / (time.perf_counter() - began):,.0f} a second")
    began = time.perf_counter()
    verified = verify()
    passed = time.perf_counter() - began
    print(f"Verifying {verified.events} events in {verified.seals} seals: {verified.events / passed:,.0f} a second")


def spread(values: list[float], form: str = ",.0f") -> str:
    """The median, and the lowest and the highest value."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


if __name__ == "__main__":
    main()
