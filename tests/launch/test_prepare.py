"""What a start may skip because the last one did it."""

from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from skincare.launch import places, prepare

SAID = "clinician@demo.example  secret\n"


def test_a_preparation_is_remembered_with_its_log_ins_for_the_owner_only(tmp_path: Path) -> None:
    note = tmp_path / "prepared.json"

    prepare.remember(note, "files", "database", SAID)

    assert prepare.remembered(note, "files", "database") == SAID
    assert note.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("files", "database"),
    [("changed", "database"), ("files", "restored from elsewhere"), ("files", "")],
)
def test_a_preparation_of_other_files_or_another_database_counts_for_nothing(
    tmp_path: Path, files: str, database: str
) -> None:
    note = tmp_path / "prepared.json"
    prepare.remember(note, "files", "database", SAID)

    assert prepare.remembered(note, files, database) is None


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_without_a_whole_note_everything_is_prepared(tmp_path: Path, content: str | None) -> None:
    note = tmp_path / "prepared.json"
    if content is not None:
        note.write_text(content)

    assert prepare.remembered(note, "files", "database") is None


def test_a_database_that_was_never_prepared_never_counts_as_prepared(tmp_path: Path) -> None:
    note = tmp_path / "prepared.json"
    never = prepare.state_of_database(places.database_url(tmp_path))
    prepare.remember(note, "files", never, SAID)

    assert never == ""
    assert prepare.remembered(note, "files", never) is None


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_is_taken_back_changes_the_databases_state(process_environment: dict[str, str]) -> None:
    url = process_environment["DATABASE_URL"]
    before = prepare.state_of_database(url)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'audit' RETURNING app, name, applied")
        removed = cursor.fetchall()

    after = prepare.state_of_database(url)

    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", removed)
    assert before
    assert after not in ("", before)


def test_a_changed_file_of_the_project_changes_its_state_and_compiled_files_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "ROOT", tmp_path)
    source = tmp_path / "diagnosis" / "models.py"
    (source.parent / "__pycache__").mkdir(parents=True)
    source.write_text("1")
    states = [prepare.state_of_files()]
    (source.parent / "__pycache__" / "models.pyc").write_text("compiled")
    states.append(prepare.state_of_files())
    source.write_text("22")
    states.append(prepare.state_of_files())

    assert states[0] == states[1] != states[2]


def test_the_state_of_this_project_is_more_than_that_of_an_empty_folder() -> None:
    assert settings.BASE_DIR == prepare.ROOT
    assert all((prepare.ROOT / source).is_dir() for source in prepare.SOURCES)
