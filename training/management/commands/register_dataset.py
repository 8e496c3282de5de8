"""``manage.py register_dataset FOLDER``: let runs learn from a dataset that is stored on this machine."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training.datasets.manifest import ManifestUnusable
from training.services.registration import register_imported


class Command(BaseCommand):
    """Register a stored dataset."""

    help = "Register a dataset that is stored below the datasets' folder, such as one copied from another machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which."""
        parser.add_argument("folder", type=Path, help="the folder with manifest.json and views.npy")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register it, or say why not."""
        folder: Path = options["folder"]
        if not folder.resolve().is_relative_to(Path(settings.DATASETS_ROOT).resolve()):
            raise CommandError(f"{folder} does not lie below {settings.DATASETS_ROOT}: move it there")
        try:
            dataset = register_imported(folder=folder)
        except ManifestUnusable as problem:
            raise CommandError(str(problem)) from problem
        test = "with a frozen test" if dataset.frozen_test else "no frozen test"
        self.stdout.write(f"{dataset}: {dataset.lesions} lesions, {test}")
