"""All measurements: each section runs in a process of its own and is put into docs/benchmarks.md.

    make bench                                  (or: python -m bench)
    python -m bench forward rivals --short      those sections, with few rounds

Every comparison is made of pairs in one run. A machine that does much else at the same time is told by its load.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

from bench import page
from bench.environment import comparison_python


@dataclass(frozen=True)
class Section:
    """A module that prints what it measured."""

    module: str
    arguments: tuple[str, ...] = ()
    short: tuple[str, ...] = ("--short",)
    compared: bool = False
    """Whether it needs the packages that the product is compared with."""
    tables: bool = True
    """Whether it prints Markdown, and not lines of plain text."""


SECTIONS: Final = {
    "forward": Section("bench.forward", compared=True),
    "case": Section("bench.case"),
    "serving": Section("bench.serving", short=("--rounds", "3", "--cases", "16")),
    "rivals": Section("bench.rivals"),
    "scale": Section("bench.scale"),
    "starting": Section("bench.starting"),
    "training": Section(
        "bench.training",
        ("--recipe", "paper", "--view", "224", "--batch", "64", "--steps", "2", "--rounds", "3"),
        ("--recipe", "paper", "--view", "96", "--batch", "16", "--steps", "2", "--rounds", "3"),
    ),
    "device": Section("bench.device"),
    "worklist": Section(
        "bench.worklist",
        ("--rounds", "5"),
        ("--cases", "20000", "--open", "5000", "--answered", "10000", "--rounds", "3"),
        tables=False,
    ),
}


def main() -> int:
    """Run sections; how many of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="all, unless some are named")
    parser.add_argument("--short", action="store_true", help="few rounds, to see that all of it works; not put in")
    options = parser.parse_args()
    failed = 0
    for name in options.sections or SECTIONS:
        section = SECTIONS[name]
        python = comparison_python() if section.compared else sys.executable
        more = section.short if options.short else section.arguments
        print(f"{name}: load {os.getloadavg()[0]:.1f} …", flush=True)
        begin = time.monotonic()
        done = subprocess.run([python, "-m", section.module, *more], capture_output=True, text=True, check=False)
        taken = time.monotonic() - begin
        if done.returncode:
            failed += 1
            print(f"{name} failed after {taken:.0f} s:\n{done.stderr[-3000:]}", flush=True)
        elif options.short:
            print(f"{done.stdout}\n{name}: {taken:.0f} s", flush=True)
        else:
            # Plans of queries are long, and for whoever runs the section alone.
            text = done.stdout.split("\nPlans\n")[0].strip()
            page.put(name, text if section.tables else f"```\n{text}\n```")
            print(f"{name}: {taken:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
