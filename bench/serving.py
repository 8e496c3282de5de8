"""Serving, in one run: the worker against the bare network, one client at idle, and the ratios of the budgets.

    python -m bench.serving [--cases 64] [--rounds 7]

Prints Markdown. Absolute times depend on the machine and on what else it does; ratios are taken round by round.
"""

import argparse
import os
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from bench import page

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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
    from bench.processes import wait_until_at_rest

    before = os.getloadavg()[0]

    call_command("migrate", verbosity=0)
    call_command("load_demo", verbosity=0, stdout=open(os.devnull, "w"))  # noqa: SIM115 (lives as long as the process)
    print(page.conditions(before, f"medians (quartiles) of {rounds} rounds"))
    work = worker.measure(PHOTOGRAPHS, cases, rounds)
    print(f"\n**A case in the worker**, {cases} waiting\n\n{_table(work)}")
    bare, predict = work.bare.times(work.worker), work.predict.times(work.worker)
    rows = [["the bare forward loop", f"{bare:.2f}", "0.5"], ["a loop over `model.predict`", f"{predict:.1f}", "10"]]
    print(f"\n{page.table(['throughput of the worker against', 'reached', 'budget'], rows)}")
    small = sorted(PHOTOGRAPHS.glob("ISIC_*.jpg"))[0].read_bytes()
    large = stages.camera_photograph(sorted(PHOTOGRAPHS.glob("ISIC_*.jpg"))[0])
    with api.platform(var / "platform") as port:
        password = (var / "platform" / "secrets" / "demo-password").read_text().strip()
        wait_until_at_rest(var / "platform")
        for name, upload in (("600x450", small), (f"12 megapixels, {len(large) / 1e6:.1f} MB", large)):
            print(f"\n**One client at idle**, {name}\n\n{_table(api.measure(port, password, upload, rounds))}")
    print("\nBudget: 12 megapixels posted in under 350 ms, the result visible within 300 ms more.")


def _table(stages: "DataclassInstance") -> str:
    rows = [[field.name, str(getattr(stages, field.name)).strip()] for field in fields(stages)]
    return page.table(["", "ms"], rows)


if __name__ == "__main__":
    main()
