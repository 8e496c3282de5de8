"""Brings the database up to this code and puts the network and the demo clinic into it; prints the demo's log-ins.

This takes two seconds of processor time, so what it did is remembered: it runs again when a file of the project or the
database's record of migrations has changed since.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ("skincare", "diagnosis", "training")


def state_of_files() -> str:
    """A digest of the project's files, by size and time of change."""
    files = []
    for source in SOURCES:
        for folder, folders, names in os.walk(ROOT / source):
            folders[:] = [name for name in folders if name != "__pycache__"]
            for path in (Path(folder) / name for name in names):
                status = path.stat()
                files.append((str(path), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(sorted(files)).encode()).hexdigest()


def state_of_database(url: str) -> str:
    """A digest of the migrations that the database records and when; "" where it is new or does not answer."""
    import psycopg2

    try:
        connection = psycopg2.connect(url, connect_timeout=5)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT app, name, applied::text FROM django_migrations ORDER BY id")
                return hashlib.sha256(repr(cursor.fetchall()).encode()).hexdigest()
        finally:
            connection.close()
    except psycopg2.Error:
        return ""


def remembered(note: Path, files: str, database: str) -> str | None:
    """The log-ins that the last preparation printed, if it left these very states; else None."""
    try:
        kept = json.loads(note.read_text())
    except (OSError, ValueError):
        return None
    same = database and isinstance(kept, dict) and (kept["files"], kept["database"]) == (files, database)
    return str(kept["said"]) if same else None


def remember(note: Path, files: str, database: str, said: str) -> None:
    """Keeps what was printed, readable by its owner only: it holds the demo's password."""
    fresh = note.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"files": files, "database": database, "said": said}, file)
    fresh.rename(note)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "skincare.settings.local")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0, stdout=sys.stderr)
    call_command("load_demo", history=True)


if __name__ == "__main__":
    main()
