"""Compares two ways of answering on the same images: McNemar, DeLong, and differences over resampled lesions."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training.evaluation.comparison import PredictionsRefused, compare, read


class Command(BaseCommand):
    """``manage.py compare FIRST SECOND``: folders that `evaluate` wrote, or their predictions.csv; prints JSON."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("first", type=Path, help="what `manage.py evaluate` wrote for the one version")
        parser.add_argument("second", type=Path, help="and for the other, on the same images")

    def handle(self, *args: object, **options: Any) -> None:
        """Compare and print."""
        try:
            report = compare(read(options["first"]), read(options["second"]))
        except PredictionsRefused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(report, indent=2))
