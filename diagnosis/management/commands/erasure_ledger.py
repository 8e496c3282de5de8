"""Writes the ledger of erasures to a file, to be kept elsewhere: a restore needs it to keep the erased erased."""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand

from diagnosis.services.backup import write_ledger


class Command(BaseCommand):
    """``manage.py erasure_ledger FILE``: ids and times only. Run it more often than backups are made."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *args: object, file: Path, **options: object) -> None:
        """Write it beside and rename it, so that a reader never sees half of it."""
        fresh = file.with_name(f"{file.name}.new")
        number = write_ledger(fresh)
        fresh.rename(file)
        self.stdout.write(f"{file}: {number} erasures")
