"""/metrics: who may fetch it, what it tells of the queue, and that one silent part hides no other."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from diagnosis.models import Analysis, AnalysisState
from diagnosis.services import analysis_queue
from skincare.health import metrics
from skincare.health.heartbeat import Heartbeat
from tests import factories
from training.metrics import share_done
from training.models import TrainingRun

ROOT = Path(__file__).resolve().parents[2]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def fetch(client: Client) -> Samples:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"})
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer wrong", "Basic x", "Bearer Ā"])
def test_nobody_without_the_token_learns_anything(client: Client, sent: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": sent.encode().decode("latin-1")})
    assert answer.status_code == 401
    assert b"skincare_" not in answer.content


def test_without_a_token_there_is_nothing_to_fetch(client: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.django_db
def test_a_prober_needs_no_host_name_and_no_tls(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    headers = {"Authorization": f"Bearer {settings.METRICS_TOKEN}", "Host": "10.0.0.7:8000"}
    assert client.get("/metrics", headers=headers).status_code == 200


@pytest.mark.django_db
def test_the_queue_is_told_by_depth_and_by_the_age_of_its_oldest(client: Client, broker: Redis) -> None:
    for seconds in (5, 90):
        waiting = factories.case(factories.clinician()).analysis
        Analysis.objects.filter(pk=waiting.pk).update(waiting_since=timezone.now() - timedelta(seconds=seconds))
    assert set(Analysis.objects.values_list("state", flat=True)) == {AnalysisState.WAITING}

    told = fetch(client)

    assert told[("skincare_analyses", (("state", "waiting"),))] == 2
    assert told[("skincare_analyses", (("state", "running"),))] == 0
    assert 90 <= told[("skincare_analyses_oldest_seconds", (("state", "waiting"),))] < 600


@pytest.mark.django_db
def test_workers_are_told_by_the_version_that_they_have_loaded(client: Client, broker: Redis) -> None:
    worker = Heartbeat(settings.REDIS_URL, "one")
    worker.beat("network-7")
    try:
        assert fetch(client)[("skincare_inference_workers", (("version", "network-7"),))] == 1
    finally:
        worker.stop()


@pytest.mark.django_db
def test_a_part_that_does_not_answer_is_told_as_such_and_hides_no_other(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    told = fetch(client)
    assert told[("skincare_metrics_told", (("part", "cases"),))] == 0
    assert told[("skincare_metrics_told", (("part", "audit"),))] == 1
    assert ("skincare_audit_unsealed", ()) in told


@pytest.mark.django_db(transaction=True)
def test_a_question_that_takes_too_long_is_given_up(client: Client, settings: Any) -> None:
    settings.METRICS = {**settings.METRICS, "slow": "tests.health.test_metrics.slow"}
    told = fetch(client)
    assert told[("skincare_metrics_told", (("part", "slow"),))] == 0
    assert told[("skincare_metrics_told", (("part", "audit"),))] == 1


def slow() -> list[Any]:
    """A question that PostgreSQL does not answer in time."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")
    return []


@pytest.mark.django_db
def test_an_analysis_that_uses_up_its_attempts_is_counted_with_its_reason(
    client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    key = (
        "skincare_analyses_finished_total",
        (("reason", "worker_lost"), ("state", "failed"), ("version", "")),
    )
    before = fetch(client).get(key, 0)
    analysis = factories.case(factories.clinician()).analysis
    analysis_queue.claim(limit=1)
    Analysis.objects.filter(pk=analysis.pk).update(
        attempts=analysis_queue.FAULTS["worker_lost"].attempts, lease_until=timezone.now() - timedelta(seconds=1)
    )

    with django_capture_on_commit_callbacks(execute=True):
        swept = analysis_queue.sweep()

    assert swept.failed == 1
    assert fetch(client)[key] == before + 1


@pytest.mark.django_db
def test_no_id_becomes_a_label(client: Client) -> None:
    case = factories.case(factories.clinician())
    client.get(f"/api/v1/cases/{case.pk}/")
    text = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).content.decode()
    assert 'route="api/v1/cases/<uuid:pk>/"' in text
    assert str(case.pk) not in text


@pytest.mark.parametrize(
    ("epoch", "epochs", "step", "steps", "share"),
    [(0, 0, 0, 0, 0), (1, 4, 0, 10, 0), (1, 4, 5, 10, 0.125), (4, 4, 10, 10, 1), (3, 4, 0, 0, 0.5)],
)
def test_how_far_a_run_is(epoch: int, epochs: int, step: int, steps: int, share: float) -> None:
    assert share_done(TrainingRun(epoch=epoch, epochs=epochs, step=step, steps=steps)) == pytest.approx(share)


COUNTING = """
from prometheus_client import Counter
Counter("tried", "Tried").inc()
"""


def test_what_one_process_counts_another_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, metrics.FOLDER: str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNTING], env=environment, check=True)
    monkeypatch.setenv(metrics.FOLDER, str(tmp_path))
    assert metrics.counted().get_sample_value("tried_total") == 2


def test_a_worker_that_shares_no_folder_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.delenv(metrics.FOLDER, raising=False)
    settings.WORKER_METRICS = "127.0.0.1:9101"
    with pytest.raises(ValueError, match=metrics.FOLDER):
        metrics.serve_what_workers_counted()


# --- What is drawn and what wakes somebody ----------------------------------------------------------------------------


def expressions() -> dict[str, str]:
    """Every expression of the alert rules and of the dashboard, by where it stands."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    found = {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    board = json.loads((ROOT / "deploy" / "grafana" / "skincare.json").read_text())
    for panel in board["panels"]:
        for number, target in enumerate(panel.get("targets", ())):
            found[f"{panel['title']} {number}"] = target["expr"]
    return found


@pytest.mark.django_db
def test_alerts_and_dashboard_ask_only_for_what_is_told(client: Client, broker: Redis) -> None:
    told = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).content.decode()
    families = set(re.findall(r"^# TYPE (\w+) ", told, re.MULTILINE))
    known = families | {f"{name}_{part}" for name in families for part in ("bucket", "count", "sum")}

    asked = {name: set(re.findall(r"\bskincare_\w+", expression)) for name, expression in expressions().items()}

    assert len(asked) > 20
    assert {name: unknown for name, names in asked.items() if (unknown := names - known)} == {}


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert set(rule["annotations"]) == {"summary", "what_to_do"}, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
