"""Imports HAM10000 as it is published: metadata, images in zips or folders, and lesion masks where there are any."""

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.datasets.importing import Collection
from training.datasets.published import read_ham10000
from training.management.imports import ImportCommand


class Command(ImportCommand):
    """``manage.py import_ham10000 PATH``."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        super().add_arguments(parser)
        parser.add_argument(
            "--search",
            action="store_true",
            help="look for near-duplicates anew (minutes) and draw the candidates; the split stays the committed one",
        )

    def collection(self, path: Path, options: dict[str, Any]) -> Collection:
        """HAM10000 in `path`."""
        return replace(read_ham10000(path), search=options["search"])
