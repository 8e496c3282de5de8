"""Waiting for another process to do its part."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 120.0
BROWSER_PATIENCE_MS = 60_000
POLL_SECONDS = 0.03  # asking without a pause would take the processor from the process that is waited for


def eventually(happened: Callable[[], object], complaint: Callable[[], str] = lambda: "it never happened") -> None:
    """Returns as soon as `happened` is true; fails with `complaint` when it never is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, complaint()
        time.sleep(POLL_SECONDS)
