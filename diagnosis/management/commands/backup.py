"""Writes database, photographs and networks into a new folder and the wrapped data keys into another, all encrypted."""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from diagnosis.services.backup import BackupRefused, back_up
from skincare.launch.postgres_client import ProgramFailed


class Command(BaseCommand):
    """``manage.py backup FOLDER [--keys FOLDER]``, while everything runs."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="must not exist yet")
        parser.add_argument(
            "--keys", type=Path, metavar="FOLDER", help="for the wrapped data keys (default: FOLDER.keys)"
        )

    def handle(self, *args: object, folder: Path, keys: Path | None, **options: object) -> None:
        """Make the backup and say what belongs to it."""
        keys = keys or folder.with_name(f"{folder.name}.keys")
        try:
            with Progress(console=Console(stderr=True)) as progress:
                bar = progress.add_task("Copying files", total=None)
                made = back_up(folder, keys, lambda done, total: progress.update(bar, completed=done, total=total))
        except (BackupRefused, ProgramFailed) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{folder}: {made.patients} patients, {made.files} files, {made.bundles} trained networks "
            f"(backup {made.id})\n"
            f"{keys}: the wrapped data keys. Keep them apart and destroy them soon: as long as they last, who is "
            "erased meanwhile can be read from this backup.\n"
            "Not in either: the master keys and the index key, without which nothing opens."
        )
        if made.missing:
            raise CommandError(
                f"{len(made.missing)} stored files are missing, among them {made.missing[0]}; the rest was backed up"
            )
