"""Promise: a retraining that is killed at any time goes on and ends once, and answers are given all the while."""

import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import requests

from tests.faults import platform as platforms
from tests.faults.platform import Platform
from tests.training.small import store_small

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


def eventually(what: str, holds: Callable[[], bool]) -> None:
    """With the patience that TensorFlow takes to start and compile on two busy cores."""
    platforms.eventually(what, holds, seconds=300)


@pytest.fixture
def steward(platform: Platform) -> dict[str, str]:
    """What requests by a steward carry; there is a dataset to learn from."""
    platform.command("register_dataset", str(store_small(platform.var / "datasets")))
    return platform.headers_of("steward@demo.example")


def start(platform: Platform, steward: dict[str, str], epochs: int) -> str:
    """Start a run of so many epochs; returns its id."""
    answer = requests.post(
        platform.url("training-runs/"),
        headers=steward,
        json={
            "recipe": "smoke",
            "datasets": [platform.ask("SELECT id::text FROM training_dataset")],
            "options": {"init_weights": "shipped", "epochs": epochs},
        },
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def shown(platform: Platform, steward: dict[str, str], run: str) -> dict[str, Any]:
    """The run as the API shows it."""
    answer = requests.get(platform.url(f"training-runs/{run}/"), headers=steward, timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["state"] != "failed", found["reason_text"]
    return found


def trainers(platform: Platform, run: str) -> list[psutil.Process]:
    """The processes that train a run, whoever started them."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] and process.info["cmdline"][-2:] == ["training.child", run]:
            found.append(process)
    return found


def test_killed_at_any_time_it_goes_on_and_ends_once(platform: Platform, steward: dict[str, str]) -> None:
    run = start(platform, steward, epochs=2)
    eventually("an epoch is done", lambda: len(shown(platform, steward, run)["curves"]) >= 1)

    # First the whole worker with the process that trains, then the worker alone: its trainer must follow it.
    platform.kill_tree("training")
    assert trainers(platform, run) == []
    platform.start_program("training")
    eventually("the run was taken up again", lambda: shown(platform, steward, run)["attempts"] == 2)
    eventually("a process trains again", lambda: len(trainers(platform, run)) == 1)
    platform.processes["training"].send_signal(signal.SIGKILL)
    platform.processes.pop("training").wait()
    eventually("its process has ended", lambda: trainers(platform, run) == [])
    platform.start_program("training")

    # Inference goes on undisturbed.
    platform.assert_answered_once(platform.submit(3))

    eventually("the run is done", lambda: shown(platform, steward, run)["state"] == "done")
    done = shown(platform, steward, run)
    assert done["attempts"] == 3
    assert [row["epoch"] for row in done["curves"]] == [1, 2]
    assert done["metrics"]["judgement"]["gates"]
    ended = "SELECT count(*) FROM audit_auditevent WHERE action = 'training_run.done' AND object_id = %s"
    assert platform.ask(ended, run) == 1
    assert platform.ask("SELECT count(*) FROM diagnosis_modelversion WHERE id = %s::uuid", done["model_version"]) == 1
    assert platform.ask("SELECT count(*) FROM diagnosis_modelversion WHERE origin = 'trained'") == 1


def test_cancelled_it_ends_within_seconds_and_nothing_trains_any_more(
    platform: Platform, steward: dict[str, str]
) -> None:
    run = start(platform, steward, epochs=50)
    eventually("a process trains", lambda: shown(platform, steward, run)["stage"] == "training")
    assert requests.post(platform.url(f"training-runs/{run}/cancel/"), headers=steward, timeout=30).status_code == 202
    eventually("the run is cancelled", lambda: shown(platform, steward, run)["state"] == "cancelled")
    assert trainers(platform, run) == []


def test_a_worker_that_is_asked_to_stop_gives_its_run_back_and_the_next_continues(
    platform: Platform, steward: dict[str, str]
) -> None:
    run = start(platform, steward, epochs=40)
    eventually("a process trains", lambda: shown(platform, steward, run)["stage"] == "training")
    platform.processes["training"].terminate()
    platform.processes.pop("training").wait(30)
    assert shown(platform, steward, run)["state"] == "queued"
    assert trainers(platform, run) == []
    platform.start_program("training")
    eventually("the run goes on", lambda: shown(platform, steward, run)["state"] == "running")
    assert shown(platform, steward, run)["attempts"] == 1
    requests.post(platform.url(f"training-runs/{run}/cancel/"), headers=steward, timeout=30)
    eventually("the run is cancelled", lambda: shown(platform, steward, run)["state"] == "cancelled")


def test_the_worker_that_waits_for_runs_has_loaded_no_tensorflow(platform: Platform) -> None:
    for process in [
        psutil.Process(platform.processes["training"].pid),
        *platform.children("default"),
    ]:
        assert not [path for path in process.memory_maps() if "/tensorflow/" in path.path or "/jaxlib/" in path.path]
