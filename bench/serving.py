"""Serving, measured in one run: decode, view, forward passes, the worker, the API, and the ratios of the budgets.

    make bench        (or: python -m bench.serving [--cases 64] [--rounds 7])

Prints a Markdown page. Absolute times depend on the machine and on what else it does; ratios are taken round by round.
"""

import argparse
import os
import platform as machine
import tempfile
from datetime import UTC, datetime
from pathlib import Path

PHOTOGRAPHS = Path(__file__).resolve().parent.parent / "diagnosis" / "demo"


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=64, help="cases in a round of the worker")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skincare-bench-") as folder:
        # Before Django is imported: its settings ask the environment where the servers are.
        os.environ["SKINCARE_VAR"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
        measure(Path(folder), options.cases, options.rounds)


def measure(var: Path, cases: int, rounds: int) -> None:
    """Measure in ``var``, which is empty, and print."""
    import django

    from skincare.launch.servers import Servers

    django.setup()
    with Servers.wanted(var).borrowed():
        report(var, cases, rounds)


def report(var: Path, cases: int, rounds: int) -> None:
    """Measure everything and print it."""
    from django.core.management import call_command

    from bench import api, stages, worker
    from diagnosis.classifier import photograph, view

    call_command("migrate", verbosity=0)
    call_command("load_demo", verbosity=0, stdout=open(os.devnull, "w"))  # noqa: SIM115 (lives as long as the process)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {machine.machine()}, Python "
          f"{machine.python_version()}; medians in ms (and quartiles) of {rounds} rounds\n")  # fmt: skip

    small = sorted(PHOTOGRAPHS.glob("ISIC_*.jpg"))[0].read_bytes()
    large = stages.camera_photograph(sorted(PHOTOGRAPHS.glob("ISIC_*.jpg"))[0])
    for name, upload in (("600x450", small), (f"12 megapixels, {len(large) / 1e6:.1f} MB", large)):
        print(f"Receiving a photograph of {name}\n{stages.table(stages.photograph_stages(upload, rounds))}\n")
    forward = stages.forward_stages(view.decode_view(photograph.receive(small).stored_view), 5 * rounds)
    print(f"One view through the network, one thread\n{stages.table(forward)}")
    print(f"  tf.function takes {forward.compiled.times(forward.litert):.1f} times as long as LiteRT, "
          f"model.predict {forward.predict.times(forward.litert):.1f} times\n")  # fmt: skip

    work = worker.measure(PHOTOGRAPHS, cases, rounds)
    print(f"A case in the worker, {cases} waiting\n{stages.table(work)}")
    print(f"  worker throughput / bare forward loop: {work.bare.times(work.worker):.2f} (budget: 0.5 or more)")
    print(
        f"  worker throughput / loop over model.predict: {work.predict.times(work.worker):.1f} (budget: 10 or more)\n"
    )

    with api.platform(var / "platform") as port:
        password = (var / "platform" / "secrets" / "demo-password").read_text().strip()
        for name, upload in (("600x450", small), ("12 megapixels", large)):
            timings = api.measure(port, password, upload, rounds)
            print(f"One client at idle, {name}\n{stages.table(timings)}")
    print("  (budget: 12 megapixels posted in under 350 ms, the result visible within 300 ms more)")


if __name__ == "__main__":
    main()
