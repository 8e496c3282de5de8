"""What the settings demand of a deployment, and what they tell when it is missing."""

import base64
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured

from skincare.settings import environment, logs
from skincare.settings.base import BASE_DIR, broker

KEY = base64.b64encode(bytes(32)).decode()
DEPLOYMENT = {
    "ALLOWED_HOSTS": "clinic.example",
    "CSRF_TRUSTED_ORIGINS": "https://clinic.example",
    "DJANGO_SECRET_KEY": "a-text-of-fifty-characters-that-nobody-else-has-0123456789",
    "SKINCARE_MASTER_KEYS": f"2026-11:{KEY}",
    "SKINCARE_INDEX_KEY": KEY,
    "DATABASE_URL": "postgresql://skincare:secret@db.example/skincare",
    "REDIS_URL": "rediss://cache.example:6379/0",
    "AWS_STORAGE_BUCKET_NAME": "photographs",
}


def manage(*arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a command under the production settings, with one variable of the deployment left out."""
    told = {name: value for name, value in DEPLOYMENT.items() if name != without}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "skincare.settings.production", **told},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_deployment_as_documented_passes_djangos_own_deployment_check_without_a_warning() -> None:
    checked = manage("check", "--deploy", "--fail-level", "WARNING")

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "missing",
    [
        "ALLOWED_HOSTS",
        "DJANGO_SECRET_KEY",
        "SKINCARE_MASTER_KEYS",
        "SKINCARE_INDEX_KEY",
        "DATABASE_URL",
        "REDIS_URL",
        "AWS_STORAGE_BUCKET_NAME",
    ],
)
def test_a_deployment_that_lacks_a_variable_stops_at_once_and_names_it(missing: str) -> None:
    checked = manage("check", without=missing)

    assert checked.returncode != 0
    assert f"ImproperlyConfigured: Set the environment variable {missing}" in checked.stderr


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("no-colon", "must read id:base64key"),
        (f":{KEY}", "must read id:base64key"),
        ("a:not base64!", "not base64"),
        ("a:AAAA", "a key of 3 bytes, 32 needed"),
        (f"a:{KEY},a:{KEY}", "names the key a twice"),
    ],
)
def test_master_keys_that_cannot_be_keys_are_refused_without_repeating_them(keys: str, sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=sentence) as refusal:
        environment.named_keys("SKINCARE_MASTER_KEYS", keys)

    assert KEY not in str(refusal.value)


def test_the_first_master_key_is_the_current_one() -> None:
    old, new = bytes(32), bytes(range(32))
    text = f"new:{base64.b64encode(new).decode()}, old:{base64.b64encode(old).decode()}"

    assert environment.named_keys("SKINCARE_MASTER_KEYS", text) == [("new", new), ("old", old)]


@pytest.mark.parametrize(
    ("value", "accepted"), [("4", True), (" 4 ", True), ("0", False), ("-1", False), ("four", False)]
)
def test_a_number_of_workers_is_a_whole_number_of_at_least_one(
    monkeypatch: pytest.MonkeyPatch, value: str, accepted: bool
) -> None:
    monkeypatch.setenv("SKINCARE_INFERENCE_THREADS", value)

    if accepted:
        assert environment.integer("SKINCARE_INFERENCE_THREADS", 1, minimum=1) == 4
    else:
        with pytest.raises(ImproperlyConfigured, match=r"SKINCARE_INFERENCE_THREADS=.*at least 1"):
            environment.integer("SKINCARE_INFERENCE_THREADS", 1, minimum=1)


@pytest.mark.parametrize(
    ("redis_url", "celery_url"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("rediss://cache:6379/1", "rediss://cache:6379/1"),
        ("unix:///var/run/valkey.sock?db=3", "redis+socket:///var/run/valkey.sock?virtual_host=3"),
    ],
)
def test_celery_and_redis_are_told_of_the_same_broker(redis_url: str, celery_url: str) -> None:
    assert broker(redis_url) == celery_url


def test_what_lies_in_valkey_is_never_unpickled(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    cache.set("counted", 41)
    client = cache._cache.get_client(write=True)
    client.set(cache.make_key("planted"), pickle.dumps(_Runs(ran)))

    with pytest.raises(ValueError, match="invalid literal"):
        cache.get("planted")
    with pytest.raises(TypeError, match="keeps no list"):
        cache.set("objects", [1])

    assert not ran.exists()
    assert cache.incr("counted") == cache.get("counted") == 42


class _Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.ran,)


def test_logs_keep_neither_what_follows_the_path_of_a_request_nor_what_describes_a_person() -> None:
    event = {
        "event": "request_started",
        "request": "GET /api/v1/patients/?record_number=12345",
        "user_agent": "Mozilla/5.0",
        "request_id": "1b9d",
        "user_id": "0f",
    }

    assert logs.scrub(None, "info", event) == {
        "event": "request_started",
        "request": "GET /api/v1/patients/",
        "request_id": "1b9d",
        "user_id": "0f",
    }


def test_no_secret_lies_in_the_repository() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=BASE_DIR, capture_output=True, text=True, check=True).stdout

    assert "manage.py" in tracked
    assert [
        name for name in tracked.splitlines() if name.startswith("var/") or Path(name).suffix in {".pem", ".env"}
    ] == []


class TestSecretsInFiles:
    def test_several_master_keys_stand_in_a_file_one_a_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = base64.b64encode(bytes(range(32))).decode()
        (tmp_path / "keys").write_text(f"2026-11:{KEY}\n2025-11:{other}\n")
        monkeypatch.delenv("SKINCARE_MASTER_KEYS", raising=False)
        monkeypatch.setenv("SKINCARE_MASTER_KEYS_FILE", str(tmp_path / "keys"))
        keys = environment.named_keys("SKINCARE_MASTER_KEYS", environment.text("SKINCARE_MASTER_KEYS"))
        assert keys == [("2026-11", bytes(32)), ("2025-11", bytes(range(32)))]

    @pytest.mark.parametrize(
        ("content", "variable", "sentence"),
        [
            ("", "", "the file is empty"),
            (None, "", "cannot be read"),
            (f"a:{KEY}", f"a:{KEY}", "not both"),
        ],
    )
    def test_a_file_that_is_of_no_use_is_named_and_its_content_is_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, variable: str, sentence: str
    ) -> None:
        if content is not None:
            (tmp_path / "keys").write_text(content)
        monkeypatch.setenv("SKINCARE_MASTER_KEYS", variable)
        monkeypatch.setenv("SKINCARE_MASTER_KEYS_FILE", str(tmp_path / "keys"))
        with pytest.raises(ImproperlyConfigured, match=sentence) as refusal:
            environment.text("SKINCARE_MASTER_KEYS")
        assert "SKINCARE_MASTER_KEYS_FILE" in str(refusal.value)
        assert KEY not in str(refusal.value)

    def test_what_is_no_secret_is_read_from_no_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALLOWED_HOSTS_FILE", "/etc/passwd")
        monkeypatch.delenv("ALLOWED_HOSTS", raising=False)
        assert environment.text("ALLOWED_HOSTS") == ""
