"""Writes the model card of a version, from what its bundle measured: Markdown and HTML."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis.classifier.bundle import BundleRefused
from training.evaluation import model_card
from training.evaluation.versions import open_version


class Command(BaseCommand):
    """``manage.py model_card``: docs/model-card.md and .html for the version that ships, or --model and --output."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--model", metavar="NAME", help="a version, or a bundle's folder (default: the shipped one)"
        )
        parser.add_argument(
            "--evaluation",
            type=Path,
            metavar="REPORT_JSON",
            help="what `evaluate --masks` wrote of this version: says whether its maps look at the lesion",
        )
        parser.add_argument("--output", type=Path, default=Path("docs"), metavar="FOLDER", help="default: %(default)s")

    def handle(self, *args: object, **options: Any) -> None:
        """Write both files and name them."""
        try:
            bundle, digest = open_version(options["model"])
            report = json.loads(options["evaluation"].read_text(encoding="utf-8")) if options["evaluation"] else None
            paths = model_card.write(bundle.manifest, digest, options["output"], report)
        except BundleRefused as error:
            raise CommandError(str(error)) from error
        except (ValueError, LookupError, TypeError) as error:
            raise CommandError(f"{options['evaluation']}: cannot be used: {error}") from error
        except OSError as error:
            raise CommandError(f"{error.filename}: cannot be read or written ({error.strerror})") from error
        for path in paths:
            self.stdout.write(str(path))
