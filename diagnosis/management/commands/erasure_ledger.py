"""Writes the ledger to a file, to be kept elsewhere: what a restore must not undo.

Erasures, withdrawals of consent, and who may what.
"""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand

from diagnosis.services.ledger import write_ledger


class Command(BaseCommand):
    """``manage.py erasure_ledger FILE``: ids, codes and times only. Run it more often than backups are made."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", type=Path, metavar="FILE")

    def handle(self, *args: object, file: Path, **options: object) -> None:
        """Write it beside and rename it, so that a reader never sees half of it."""
        fresh = file.with_name(f"{file.name}.new")
        erasures, withdrawals = write_ledger(fresh)
        fresh.rename(file)
        self.stdout.write(f"{file}: {erasures} erasures, {withdrawals} withdrawals of consent")
