"""How long the platform takes to start, how much memory its processes hold, how large and how slow an installation is.

    python -m bench.starting [--short]

Memory is PSS: what processes share is counted once, divided among them. `--short` leaves out the installation, which
fetches every package anew.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from bench import api, page
from bench.processes import program_of

ROOT: Final = Path(__file__).resolve().parent.parent
STARTS: Final = 5


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="without the installation")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="skincare-bench-") as folder:
        var = Path(folder) / "platform"
        begin = time.perf_counter()
        with api.platform(var):
            first = time.perf_counter() - begin
        again = []
        starts = 3 if options.short else STARTS
        for _ in range(starts):
            begin = time.perf_counter()
            with api.platform(var):
                again.append(time.perf_counter() - begin)
                if len(again) == starts:
                    time.sleep(20)  # until sweeper, clock and trainer run too
                    memory = memory_of(var)
    low, middle, high = statistics.quantiles(again, n=4)
    rows = [
        ["first start (tables, demonstration), until ready", f"{first:.1f} s"],
        ["started again, until ready", f"{middle:.1f} s ({low:.1f} to {high:.1f})"],
        *([name, f"{size / 2**20:.0f} MiB"] for name, size in memory.items()),
        ["everything together", f"{sum(memory.values()) / 2**20:.0f} MiB"],
        ["packages in .venv", f"{size_of(sysconfig.get_path('purelib')) / 1e9:.1f} GB"],
    ]
    if not options.short:
        rows += installation()
    print(page.conditions(before, f"medians (quartiles) of {starts} starts; memory is PSS, idle"))
    print(f"\n{page.table(['', 'measured'], rows)}")


def memory_of(var: Path) -> dict[str, int]:
    """Bytes (PSS) by program of the platform that runs in `var`."""
    found: dict[str, int] = {}
    for process in psutil.process_iter(["cmdline"]):
        try:
            name = program_of(process, process.info["cmdline"] or [], var)
            if name:
                found[name] = found.get(name, 0) + process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return dict(sorted(found.items()))


def size_of(folder: str) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())


def installation() -> list[list[str]]:
    """Install what is pinned into an empty environment."""
    with tempfile.TemporaryDirectory(prefix="skincare-install-") as folder:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        command = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "-r", str(ROOT / "requirements.txt")], check=True)
        taken = time.perf_counter() - begin
        size = sum(size_of(str(path)) for path in Path(folder).glob("lib/*/site-packages"))
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir()
    return [["a fresh installation of requirements.txt", f"{taken:.0f} s, {size / 1e9:.1f} GB"]]


if __name__ == "__main__":
    main()
