"""The secrets of one checkout."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from skincare.launch import secrets
from skincare.settings import environment


def test_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    first, second = secrets.keep(folder), secrets.keep(folder)

    assert first == second
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_processes_that_start_at_once_get_the_same_secrets(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        kept = list(pool.map(secrets.keep, [tmp_path / "secrets"] * 8))

    assert all(each == kept[0] for each in kept)


def test_two_checkouts_never_share_a_secret(tmp_path: Path) -> None:
    one, other = secrets.keep(tmp_path / "one"), secrets.keep(tmp_path / "other")

    assert not set(one.values()) & set(other.values())


def test_the_secrets_made_are_those_that_the_settings_accept(tmp_path: Path) -> None:
    kept = secrets.keep(tmp_path / "secrets")

    [(name, key)] = environment.named_keys("SKINCARE_MASTER_KEYS", kept["SKINCARE_MASTER_KEYS"])
    assert name == "local-1"
    [index_key] = environment.keys("SKINCARE_INDEX_KEY", kept["SKINCARE_INDEX_KEY"])
    assert len(key) == len(index_key) == 32
    assert len(kept["DJANGO_SECRET_KEY"]) >= 50


def test_a_folder_of_secrets_that_others_may_enter_is_closed(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o755)

    secrets.keep(tmp_path / "secrets")

    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_half_written_file_is_not_taken_for_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "secrets.json.new").write_text("{")

    assert set(secrets.keep(folder)) == {
        "DJANGO_SECRET_KEY",
        "SKINCARE_MASTER_KEYS",
        "SKINCARE_INDEX_KEY",
        "SKINCARE_RELEASE_KEY",
        "SKINCARE_METRICS_TOKEN",
    }


def test_broken_secrets_are_reported_and_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "secrets.json").write_text("{")

    with pytest.raises(ValueError, match=r"secrets\.json"):
        secrets.keep(folder)

    assert (folder / "secrets.json").read_text() == "{"


def test_a_folder_from_before_the_release_key_gets_one_and_keeps_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    before = secrets.keep(folder)
    old = {name: value for name, value in before.items() if name != secrets.RELEASE_KEY}
    (folder / "secrets.json").write_text(json.dumps(old))

    kept = secrets.keep(folder)

    assert {name: kept[name] for name in old} == old
    assert len(environment.key(secrets.RELEASE_KEY, kept[secrets.RELEASE_KEY])) == 32
    assert secrets.keep(folder) == kept
