"""Restores a backup into an empty database and an empty store, without undoing what was over since: see the ledger."""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from diagnosis.services.backup import BackupRefused, restore
from diagnosis.services.ledger import LedgerRefused
from skincare.launch.postgres_client import ProgramFailed


class Command(BaseCommand):
    """``manage.py restore FOLDER [--keys FOLDER] [--ledger FILE]``; with web and workers stopped."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="made by manage.py backup")
        keys = parser.add_mutually_exclusive_group()
        keys.add_argument("--keys", type=Path, metavar="FOLDER", help="the wrapped data keys (default: FOLDER.keys)")
        keys.add_argument(
            "--without-keys", action="store_true", help="they were destroyed in time; no patient can be read then"
        )
        parser.add_argument(
            "--ledger",
            type=Path,
            action="append",
            default=[],
            metavar="FILE",
            help="a newer ledger, such as erasures.json of a newer backup; may be given several times",
        )

    def handle(
        self,
        *args: object,
        folder: Path,
        keys: Path | None,
        without_keys: bool,
        ledger: list[Path],
        **options: object,
    ) -> None:
        """Check, restore, replay."""
        if not without_keys:
            keys = keys or folder.with_name(f"{folder.name}.keys")
        try:
            with Progress(console=Console(stderr=True)) as progress:
                bar = progress.add_task("Storing files", total=None)
                back = restore(
                    folder, keys, ledger, lambda done, total: progress.update(bar, completed=done, total=total)
                )
        except (BackupRefused, LedgerRefused, ProgramFailed) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"backup {back.id}: {back.patients} readable patients, {back.files} files, {back.bundles} trained "
            f"networks. Over since, and over again: {back.replayed.erased} patients erased again, "
            f"{back.replayed.withdrawn} consents withdrawn, {back.replayed.rights} rights of people taken away. "
            "Everybody signs in anew; where the application has a database role of its own, run grant_application_role."
        )
        if back.refused_bundles:
            refused = "\n".join(back.refused_bundles)
            raise CommandError(
                f"all else was restored, but {len(back.refused_bundles)} trained networks cannot serve:\n{refused}"
            )
