"""Counters of attempts begin anew for each test, and are waited for on a machine that is busy."""

import time
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from pytest_django.fixtures import Settings

from diagnosis.api.throttles import counters


@pytest.fixture(autouse=True)
def _one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that happens falls into one window of the counters: the tenth and the eleventh attempt on a busy machine may
    otherwise lie in two minutes.
    """
    now = time.time()
    middle = now - now % 60 + 30
    monkeypatch.setattr("diagnosis.api.throttles.time", SimpleNamespace(time=lambda: middle, monotonic=time.monotonic))


@pytest.fixture(autouse=True)
def _counters(settings: Settings) -> None:
    patient = {**settings.CACHES["default"]["OPTIONS"], "socket_timeout": 10.0, "socket_connect_timeout": 10.0}
    settings.CACHES = {"default": {**settings.CACHES["default"], "OPTIONS": patient}}
    cache.clear()
    counters.silent_until = 0.0
