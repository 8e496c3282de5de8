"""Phones that talk to a real server and real workers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.diagnosis.web.capture.dermatologist import Dermatologist
from tests.diagnosis.web.capture.phone import Phone
from tests.faults.conftest import running_platform
from tests.faults.platform import Platform

__all__ = ["running_platform"]


@pytest.fixture
def new_phone(
    chromium: Browser, running_platform: Platform, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Phone]]:
    """Makes phones with an empty memory; what a page throws fails the test."""
    phones: list[Phone] = []

    def make(**options: Any) -> Phone:
        folder: Path = tmp_path_factory.mktemp("phone")
        phones.append(Phone(chromium, running_platform, folder, **options))
        return phones[-1]

    yield make
    for phone in phones:
        phone.close()
    assert [complaint for phone in phones for complaint in phone.complaints] == []


@pytest.fixture
def phone(new_phone: Callable[..., Phone]) -> Phone:
    """Signed in, with a PIN, and kept for offline use."""
    found = new_phone()
    found.begin()
    return found


@pytest.fixture
def dermatologist(running_platform: Platform) -> Dermatologist:
    """Who answers, at the API."""
    return Dermatologist(running_platform)
