"""Backup and restore: database, stored files, trained networks and wrapped data keys, each file with its digest.

The wrapped keys lie apart. Everything of patients is encrypted as it is in service. The master keys and the index key
are in none of it.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import F, Model, UUIDField, Value
from django.utils import timezone

from diagnosis.classifier.bundle import BundleRefused
from diagnosis.models import (
    CaseImage,
    DataKey,
    Erasure,
    MessageImage,
    ModelVersion,
    Patient,
    ReferenceImage,
    VersionOrigin,
)
from diagnosis.services.ledger import FORMAT, Replayed, read_ledger, replay, write_ledger
from diagnosis.services.model_versions import folder_of, open_bundle
from skincare.audit.models import AuditEvent
from skincare.launch import postgres_client

KEYS_TABLE: Final = "public.diagnosis_datakey"
#: Nobody is signed in after a restore: what was revoked since the backup must not be valid again.
EMPTIED_TABLES: Final = ("public.django_session", "public.accounts_browsersession", "public.accounts_apitoken")
CHUNK_BYTES: Final = 2**20
#: Where in a backup the networks lie, one folder each.
BUNDLES: Final = "bundles"
#: Columns that name files in the store, and how the patient is found whose they are (nobody's are public).
FILE_COLUMNS: Final[list[tuple[type[Model], str, str]]] = [
    (CaseImage, "photograph_file", "case__patient_id"),
    (CaseImage, "view_file", "case__patient_id"),
    (MessageImage, "photograph_file", "message__referral__case__patient_id"),
    (ReferenceImage, "photograph_file", ""),
]

Progress = Callable[[int, int], None]


class BackupRefused(Exception):
    """A backup cannot be made or restored as asked; the text says why and what to do."""


@dataclass(frozen=True)
class BackedUp:
    """What a backup holds."""

    id: UUID
    files: int
    patients: int
    #: Networks that were trained here; those that ship with the program come with it.
    bundles: int
    #: Files that the database names and the store does not have, though their patients were not erased; and networks
    #: without their files.
    missing: list[str]


@dataclass(frozen=True)
class Restored:
    """What a restore brought back."""

    id: UUID
    files: int
    patients: int
    bundles: int
    #: Why networks that were trained here cannot serve; of each that is not the one which the register pins.
    refused_bundles: list[str]
    #: What was over since the backup was made, and is over again.
    replayed: Replayed


# --- Backup -------------------------------------------------------------------------------------------------------


def back_up(folder: Path, keys_folder: Path, progress: Progress = lambda done, total: None) -> BackedUp:
    """Write the database and the files into ``folder`` and the wrapped data keys into ``keys_folder``.

    Database and keys are of one instant, while everything goes on. Folders appear under their names when whole.

    Raises:
        BackupRefused: a folder exists already.
        ProgramFailed: pg_dump is missing or failed.
    """
    for wanted in (folder, keys_folder):
        if wanted.exists():
            raise BackupRefused(f"{wanted} exists already; name a new folder")
    partial, partial_keys = (path.with_name(f"{path.name}.partial") for path in (folder, keys_folder))
    for path in (partial, partial_keys):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700, parents=True)
    backup_id = uuid4()
    with _snapshot() as snapshot:
        common = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
        left_out = [f"--exclude-table-data={table}" for table in (KEYS_TABLE, *EMPTIED_TABLES)]
        _run("pg_dump", [*common, *left_out, f"--file={partial / 'database.dump'}"])
        keys = ["--data-only", f"--table={KEYS_TABLE}", f"--file={partial_keys / 'keys.dump'}"]
        _run("pg_dump", [*common, *keys])
        files = _stored_files()
        patients = Patient.objects.count()
        versions = list(_trained_here())
    missing = _copy_files(files, partial / "media", progress)
    without_files = _copy_bundles(versions, partial / BUNDLES)
    write_ledger(partial / "erasures.json")
    about = {"format": FORMAT, "id": backup_id, "created_at": timezone.now()}
    missing_here = [*missing, *without_files]
    manifest = {**about, "patients": patients, "missing": missing_here, **_digests(partial)}
    _write_json(partial / "manifest.json", manifest)
    _write_json(partial_keys / "manifest.json", {**about, **_digests(partial_keys)})
    partial_keys.rename(keys_folder)
    partial.rename(folder)
    _record("platform.backed_up", backup_id, {"patients": patients, "files": len(files), "missing": len(missing)})
    bundles = len(versions) - len(without_files)
    return BackedUp(backup_id, len(files) - len(missing), patients, bundles, missing_here)


def _stored_files() -> list[tuple[str, UUID | None]]:
    """Every file that the database names, with the patient whose it is."""
    found: list[tuple[str, UUID | None]] = []
    for model, column, patient in FILE_COLUMNS:
        rows = model._default_manager.exclude(**{column: ""})
        whose = F(patient) if patient else Value(None, output_field=UUIDField())
        found += rows.annotate(whose=whose).values_list(column, "whose")
    return found


def _trained_here() -> Iterable[ModelVersion]:
    return ModelVersion.objects.filter(origin=VersionOrigin.TRAINED).order_by("name")


def _copy_bundles(versions: list[ModelVersion], folder: Path) -> list[str]:
    """Copy the files of every version, as they are; returns which have none."""
    missing = []
    for version in versions:
        source = folder_of(version)
        if source.is_dir():
            shutil.copytree(source, folder / version.name)
        else:
            missing.append(f"{BUNDLES}/{version.name}")
    return missing


def _run(program: str, arguments: list[str]) -> None:
    connection.ensure_connection()
    server = connection.connection.server_version // 10_000
    postgres_client.run(program, arguments, connection.get_connection_params(), server=server)


class _snapshot:
    """The database as of one instant, for this connection and for the programs that are given its name."""

    def __enter__(self) -> str:
        self.atomic = transaction.atomic(durable=True)
        self.atomic.__enter__()
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            return str(cursor.fetchone()[0])

    def __exit__(self, *error: Any) -> None:
        self.atomic.__exit__(*error)


def _copy_files(files: list[tuple[str, UUID | None]], folder: Path, progress: Progress) -> list[str]:
    missing = []
    for number, (name, patient_id) in enumerate(files, start=1):
        target = folder / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with default_storage.open(name, "rb") as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, CHUNK_BYTES)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            # Files of a patient who was erased since the snapshot are gone rightly.
            if patient_id is None or not Erasure.objects.filter(pk=patient_id).exists():
                missing.append(name)
        progress(number, len(files))
    return missing


def _digests(folder: Path) -> dict[str, Any]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "files": {
            path.relative_to(folder).as_posix(): {"sha256": _sha256(path), "bytes": path.stat().st_size}
            for path in paths
        }
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, cls=DjangoJSONEncoder) + "\n")


def _record(action: str, backup_id: UUID, details: dict[str, object]) -> None:
    AuditEvent.objects.create(action=action, object_type="backup", object_id=str(backup_id), details=details)


# --- Restore ------------------------------------------------------------------------------------------------------


def restore(
    folder: Path, keys_folder: Path | None, ledgers: Iterable[Path] = (), progress: Progress = lambda done, total: None
) -> Restored:
    """Bring back a backup into an empty database and an empty store, and let be over again what was over since.

    Everything is checked against its digest before anything is changed.

    Args:
        keys_folder: nothing where the keys were destroyed in time: no patient can be read then, and what is not
            encrypted (snapshots, answers, audit record) comes back.
        ledgers: of newer backups, or written by ``manage.py erasure_ledger``.

    Raises:
        BackupRefused: the backup is damaged or incomplete, or database or store are not empty.
        LedgerRefused: a ledger cannot be read.
        ProgramFailed: pg_restore is missing or failed.
    """
    manifest = check(folder)
    if keys_folder is not None and (other := check(keys_folder)["id"]) != manifest["id"]:
        raise BackupRefused(f"{keys_folder} holds the keys of another backup, {other}")
    told = [read_ledger(path) for path in (folder / "erasures.json", *ledgers)]
    _insist_on_emptiness()
    _load("pre-data", folder / "database.dump")
    _load("data", folder / "database.dump")
    if keys_folder is not None:
        _load("data", keys_folder / "keys.dump")
    else:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE diagnosis_patient SET data_key_id = NULL")
    _load("post-data", folder / "database.dump")
    names = [name for name in manifest["files"] if name.startswith("media/")]
    for number, name in enumerate(names, start=1):
        with (folder / name).open("rb") as file:
            _put_back(name.removeprefix("media/"), file)
        progress(number, len(names))
    if (folder / BUNDLES).is_dir():
        shutil.copytree(folder / BUNDLES, settings.BUNDLES_ROOT, dirs_exist_ok=True)
    call_command("migrate", interactive=False, verbosity=0)
    with transaction.atomic():
        replayed = replay(told)
        _record("platform.restored", manifest["id"], {"files": len(names), **asdict(replayed)})
    versions = list(_trained_here())
    refused = [why for version in versions if (why := _why_refused(version))]
    patients = DataKey.objects.count()
    return Restored(UUID(manifest["id"]), len(names), patients, len(versions) - len(refused), refused, replayed)


def _why_refused(version: ModelVersion) -> str:
    """The register pins each manifest, and the manifest every file: a backup whose own list was forged is seen here."""
    try:
        open_bundle(version)
    except BundleRefused as error:
        return str(error)
    return ""


def _load(section: str, dump: Path) -> None:
    options = ["--exit-on-error", "--no-owner", "--no-privileges", "--single-transaction", f"--section={section}"]
    _run("pg_restore", [*options, f"--dbname={connection.settings_dict['NAME']}", str(dump)])


def check(folder: Path) -> dict[str, Any]:
    """Compare a folder with its manifest, file by file, and return the manifest.

    Raises:
        BackupRefused: something is missing, altered, or not mentioned.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise BackupRefused(f"{folder} is no whole backup: its manifest.json cannot be read ({error})") from error
    if manifest.get("format") != FORMAT:
        raise BackupRefused(f"{folder} has the format {manifest.get('format')!r}; this reads {FORMAT!r}")
    there = _digests(folder)["files"]
    there.pop("manifest.json")
    expected = manifest["files"]
    for name in sorted(expected.keys() | there.keys()):
        if name not in there:
            raise BackupRefused(f"{folder / name} is missing; nothing was restored")
        if name not in expected:
            raise BackupRefused(f"{folder / name} is not in the manifest; nothing was restored")
        if there[name] != expected[name]:
            raise BackupRefused(f"{folder / name} was altered since the backup; nothing was restored")
    return manifest


def _insist_on_emptiness() -> None:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    if tables:
        raise BackupRefused(
            f"the database {connection.settings_dict['NAME']!r} holds {len(tables)} tables; restore into an empty one"
        )
    if Path(settings.BUNDLES_ROOT).is_dir() and any(Path(settings.BUNDLES_ROOT).iterdir()):
        raise BackupRefused(f"{settings.BUNDLES_ROOT} holds networks; move them away, the backup brings its own")
    try:
        folders, files = default_storage.listdir("")
    except FileNotFoundError:
        return
    if folders or files:
        raise BackupRefused("the store of photographs is not empty; restore into an empty one")


def _put_back(name: str, file: IO[bytes]) -> None:
    stored = default_storage.save(name, File(file))
    if stored != name:
        raise BackupRefused(f"the store kept {stored!r} instead of {name!r}")
