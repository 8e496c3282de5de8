"""One platform for all tests of a package; each test leaves it running."""

from collections.abc import Iterator

import pytest

from tests.faults.platform import Platform, eventually


@pytest.fixture(scope="package")
def running_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Started once; everything it started is ended with the package, so that the next ones have the machine alone."""
    platform = Platform(tmp_path_factory.mktemp("platform"))
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


@pytest.fixture
def platform(running_platform: Platform) -> Iterator[Platform]:
    """The running platform, with nothing left to do; what a test that failed left over is waited for."""
    eventually("nothing is left to do", lambda: running_platform.unfinished() == 0)
    yield running_platform
    running_platform.thaw_workers()
