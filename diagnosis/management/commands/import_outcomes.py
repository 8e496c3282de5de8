"""Records what lesions turned out to be, from a CSV file, all lines or none; tries it first with --dry-run."""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from diagnosis.services.errors import Refusal
from diagnosis.services.outcomes import import_outcomes
from skincare.accounts.models import Organisation


class Command(BaseCommand):
    """``manage.py import_outcomes FILE --organisation NAME [--dry-run]``; "-" reads the standard input."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("file", type=Path, help="columns: lesion, kind, diagnosis, determined_on, note")
        parser.add_argument("--organisation", required=True, help="the clinic whose lesions they are, by name")
        parser.add_argument("--dry-run", action="store_true", help="say what it would do; change nothing")

    def handle(self, *args: object, file: Path, organisation: str, dry_run: bool, **options: object) -> None:
        """Import, or say why not."""
        clinic = Organisation.objects.filter(name=organisation).first()
        if clinic is None:
            raise CommandError(f"there is no organisation {organisation!r}")
        try:
            with open(0 if str(file) == "-" else file, newline="", encoding="utf-8-sig") as content:
                done = import_outcomes(file=content, organisation=clinic, user=None, dry_run=dry_run)
        except (Refusal, OSError) as error:
            raise CommandError(str(error)) from error
        for line in done.lines:
            self.stdout.write(f"line {line.number}: {line.does}: {line.detail}")
        refused = done.number("refused")
        if refused:
            raise CommandError(f"{refused} of {len(done.lines)} lines are refused; nothing was recorded")
        new = done.number("would be recorded" if dry_run else "recorded")
        verb = "would be recorded" if dry_run else "recorded"
        self.stdout.write(f"{new} {verb}, {done.number('known')} known already")
