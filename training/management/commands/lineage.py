"""``manage.py lineage IMAGE``: which versions of the network were trained on an image."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training.datasets.manifest import ManifestUnusable
from training.services.lineage import lineage_of


class Command(BaseCommand):
    """Tell which versions have seen an image."""

    help = (
        "Tell which versions of the network were trained on an image, themselves or through the version whose weights "
        "they started from, and which only chose by it or were tested on it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which."""
        parser.add_argument("image", help="an id as in HAM10000 (ISIC_0024306), or of a photograph of this platform")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each use."""
        try:
            uses = lineage_of(options["image"])
        except ManifestUnusable as problem:
            raise CommandError(str(problem)) from problem
        if not uses:
            raise CommandError(f"{options['image']} is in no dataset of this platform")
        for use in uses:
            by = f"{use.version} ({use.version.get_state_display()})" if use.version else "no version yet"
            if use.through:
                by += f", through {use.through}"
            self.stdout.write(f"{use.split:10} {by:50} {use.dataset}")
