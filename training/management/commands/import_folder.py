"""Imports any labelled images that lie in one folder for each class (akiec, bcc, bkl, df, mel, nv, vasc)."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from training.datasets.importing import Collection
from training.datasets.published import read_folder
from training.management.imports import ImportCommand


class Command(ImportCommand):
    """``manage.py import_folder PATH --licence LICENCE``."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        super().add_arguments(parser)
        parser.add_argument("--licence", required=True, help="under which the images may be used; goes into bundles")
        parser.add_argument("--attribution", default="", help="who is to be named")
        parser.add_argument("--name", help="of the dataset (default: the folder's)")
        parser.add_argument("--report-only", action="store_true", help="all of it is a test, and never trained on")

    def collection(self, path: Path, options: dict[str, Any]) -> Collection:
        """The tree below `path`."""
        return read_folder(
            path,
            name=options["name"] or path.resolve().name,
            licence=options["licence"],
            attribution=options["attribution"],
            report_only=options["report_only"],
        )
