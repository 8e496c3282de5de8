"""One platform for all fault tests; each test leaves it running."""

from collections.abc import Iterator

import pytest

from tests.faults.platform import Platform


@pytest.fixture(scope="session")
def running_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Started once; everything it started is ended with the session."""
    platform = Platform(tmp_path_factory.mktemp("platform"))
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


@pytest.fixture
def platform(running_platform: Platform) -> Iterator[Platform]:
    """The running platform, with nothing left to do."""
    assert running_platform.unfinished() == 0
    yield running_platform
    running_platform.thaw_workers()
