"""Promise: a version released while cases come in takes over, none is lost, and each answer names its version."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.faults.platform import Platform, eventually
from tests.faults.releasing import NAME

pytestmark = pytest.mark.faults


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform of its own: the version and the verdict that are put in by hand would stand in other tests' way."""
    made = Platform(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def answered_by(platform: Platform, name: str) -> int:
    """How many analyses name that version."""
    return int(
        platform.ask(
            "SELECT count(*) FROM diagnosis_analysis a JOIN diagnosis_modelversion v ON v.id = a.model_version_id"
            " WHERE v.name = %s",
            name,
        )
    )


def test_a_release_under_load_takes_over_and_each_answer_names_the_version_that_gave_it(platform: Platform) -> None:
    with Load(platform) as load:
        load.come_in(6)
        platform.command("shell", "-c", "from tests.faults.releasing import release; release()")
        eventually("the new version answers", lambda: answered_by(platform, NAME) > 10)
    assert not load.sent_again
    platform.assert_answered_once(load.accepted)
    released = platform.ask("SELECT released_at FROM diagnosis_modelversion WHERE name = %s", NAME)
    unnamed = platform.ask(
        "SELECT count(*) FROM diagnosis_analysis WHERE state = 'answered' AND model_version_id IS NULL"
    )
    wrong = platform.ask(
        "SELECT count(*) FROM diagnosis_analysis a JOIN diagnosis_modelversion v ON v.id = a.model_version_id"
        " WHERE v.name = %s AND a.finished_at < %s",
        NAME,
        released,
    )
    assert (unnamed, wrong) == (0, 0)
    eventually("every worker has loaded it", platform.ready)
