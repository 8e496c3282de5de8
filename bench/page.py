"""docs/benchmarks.md: between markers what the last run of each section printed, around them what people make of it."""

import os
import platform as machine
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def put(section: str, text: str) -> None:
    """Put what a section printed in the place of what its last run printed.

    Raises:
        LookupError: the page has no place for it.
    """
    begin, end = f"<!-- {section}: written by `make bench` -->", f"<!-- {section}: end -->"
    page = PAGE.read_text(encoding="utf-8")
    if page.count(begin) != 1 or page.count(end) != 1:
        raise LookupError(f"{PAGE} has no place for {section!r}: one line {begin!r} and one {end!r} are needed")
    before, after = page.split(begin)[0], page.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def conditions(load: float, *more: str) -> str:
    """When and on what this was measured, with the load of the machine before it began."""
    with open("/proc/cpuinfo") as lines:
        models = re.findall(r"model name\s*: (.*)", lines.read())
    told = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"{os.cpu_count()} cores ({models[0] if models else machine.machine()})",
        f"Python {machine.python_version()}",
        f"load {load:.1f} before",
        *more,
    )
    return f"*{'; '.join(told)}.*"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, figures to the right."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
