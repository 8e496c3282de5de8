"""A child whose reading of uploads has every fault that the fuzzing looks for: run.py must find and name each."""

import os
import sys
from collections.abc import Callable

from tests.fuzz.run import child


def hang() -> str:
    """Never come back."""
    while True:
        pass


def abort() -> str:
    """End as a decoder does that writes where it must not."""
    os.abort()


#: What becomes of the inputs from 100 on. The second takes more memory than a child may have.
FAULTS: list[Callable[[], str]] = [
    lambda: "taken",
    lambda: str(bytearray(5_000_000_000)[0]),
    lambda: "damaged",
    abort,
    hang,
]

if __name__ == "__main__":
    first, _colon, last = sys.argv[2].partition(":")
    numbers = iter(range(int(first), int(last)))
    child(int(first), int(last), lambda _upload: FAULTS[next(numbers) - 100]())
