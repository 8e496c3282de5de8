"""Promise: a photograph that kills, hangs or starves whoever reads it fails with a reason; the others are answered."""

import json
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest
import requests

from skincare.launch.up import ROOT, programs
from tests.faults import poisoned
from tests.faults.platform import Platform, eventually

pytestmark = pytest.mark.faults


@pytest.fixture
def worker_with_poison(platform: Platform) -> Iterator[Platform]:
    """The platform with a worker for which some photographs are poison; afterwards the usual one reads again."""
    platform.kill_tree("inference")
    command = [part.replace("--app=skincare", "--app=tests.faults.poisoned") for part in programs(0, 2)["inference"]]
    with (platform.var / "poisoned.log").open("ab") as log:
        platform.processes["poisoned"] = subprocess.Popen(
            command, cwd=ROOT, env=platform.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    eventually("the worker is ready", platform.ready)
    yield platform
    platform.kill_tree("poisoned")
    platform.start_program("inference")
    platform.assert_answered_once(platform.submit(1))  # readiness may still be the poisoned one's last sign of life


def submit(platform: Platform, photograph: bytes) -> str:
    """Submit a case with that photograph; its id."""
    key = str(uuid4())
    answer = requests.post(
        platform.url("cases/"),
        headers={**platform.headers, "Idempotency-Key": key},
        data={"case": json.dumps(platform.case())},
        files={"images": ("photograph.jpg", photograph, "image/jpeg")},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    return key


@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (poisoned.KILLS, "worker_lost"),
        (poisoned.HANGS, "worker_lost"),
        (poisoned.EATS_MEMORY, "reading_failed"),
    ],
    ids=["kills", "hangs", "eats memory"],
)
def test_poison_fails_with_a_reason_that_the_clinician_sees_and_the_queue_goes_on(
    worker_with_poison: Platform, poison: tuple[int, int, int], reason: str
) -> None:
    platform = worker_with_poison
    before = platform.submit(2)
    poisonous = submit(platform, poisoned.photograph_of(poison))
    after = platform.submit(2)

    def analysis() -> dict[str, str]:
        answer = requests.get(platform.url(f"cases/{poisonous}/"), headers=platform.headers, timeout=30)
        found: dict[str, str] = answer.json()["analysis"]
        return found

    eventually("the poison has used up its attempts", lambda: analysis()["state"] == "failed", 240)
    assert analysis()["reason"] == reason
    assert "human review" in analysis()["reason_text"]
    platform.assert_answered_once([*before, *after])
    platform.assert_answered_once(platform.submit(1))
    events = platform.ask(
        "SELECT count(*) FROM audit_auditevent e JOIN diagnosis_analysis a ON a.id::text = e.object_id"
        " WHERE a.case_id = %s::uuid AND e.action = 'analysis.failed'",
        poisonous,
    )
    assert events == 1
