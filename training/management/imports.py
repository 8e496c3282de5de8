"""What the import commands share: they read a collection, import it, register it, and say what was found."""

from abc import ABC, abstractmethod
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from training.datasets.frozen import FrozenTestMoved
from training.datasets.importing import CONTACT_SHEET, Collection, ImportRefused, import_collection
from training.datasets.manifest import Manifest
from training.management.progress import Display
from training.services.registration import register_imported


class ImportCommand(BaseCommand, ABC):
    """Can be repeated, and resumed where it was killed. Subclasses say how the collection is read."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("path", type=Path, metavar="PATH", help="folder with labels and images")
        parser.add_argument(
            "--leave-out", action="store_true", help="import without what is missing, unreadable or labelled twice"
        )

    @abstractmethod
    def collection(self, path: Path, options: dict[str, Any]) -> Collection:
        """What is to be imported. Raises `ImportRefused`."""

    def handle(self, *args: object, **options: Any) -> None:
        """Import and report."""
        self._ensure_tables()
        path: Path = options["path"]
        try:
            collection = self.collection(path, options)
            with Display(self.stdout) as display:
                folder = import_collection(
                    collection, Path(settings.DATASETS_ROOT), leave_out=options["leave_out"], on_done=display.say
                )
        except (ImportRefused, FrozenTestMoved) as refused:
            raise CommandError(str(refused)) from refused
        dataset = register_imported(folder=folder)
        self._report(Manifest.load(folder), folder)
        self.stdout.write(f"{dataset.name}: dataset {dataset.fingerprint[:16]} in {folder}")

    def _ensure_tables(self) -> None:
        executor = MigrationExecutor(connection)
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return
        if not settings.DEMO_ALLOWED:
            raise CommandError("the database is not at this version of the program: manage.py migrate first")
        call_command("migrate", interactive=False, verbosity=0)

    def _report(self, manifest: Manifest, folder: Path) -> None:
        findings = manifest.findings
        counts = manifest.counts()
        self.stdout.write(f"{len(manifest.entries)} images of {manifest.lesions} lesions, {manifest.licence}")
        for split, by_class in counts.items():
            shares = ", ".join(f"{code} {count}" for code, count in by_class.items() if count)
            self.stdout.write(f"  {split:10} {sum(by_class.values()):6}  {shares}")
        self.stdout.write(
            f"  {len(findings.identical)} pairs with the same pixels, {len(findings.near_duplicates)} pairs joined as "
            f"near-duplicates, {len(findings.left_out)} left out"
        )
        for name, reason in list(findings.left_out.items())[:20]:
            self.stdout.write(f"    left out: {name}: {reason}")
        for note in findings.notes:
            self.stdout.write(f"  {note}")
        if (folder / CONTACT_SHEET).is_file():
            self.stdout.write(f"  candidates of near-duplicates, to look at: {folder / CONTACT_SHEET}")
