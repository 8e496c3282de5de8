"""Imports images with ISIC 2018's one-hot ground truth (task 3), and its lesion groupings where there are any."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from training.datasets.importing import Collection
from training.datasets.published import read_isic2018
from training.management.imports import ImportCommand


class Command(ImportCommand):
    """``manage.py import_isic2018 PATH [--report-only]``."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        super().add_arguments(parser)
        parser.add_argument("--report-only", action="store_true", help="all of it is a test, and never trained on")

    def collection(self, path: Path, options: dict[str, Any]) -> Collection:
        """The images and the ground truth in `path`."""
        return read_isic2018(path, report_only=options["report_only"])
