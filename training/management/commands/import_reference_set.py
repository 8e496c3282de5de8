"""Imports a public reference set, shown beside cases that look alike: from a folder made for it, or from a dataset."""

import io
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from PIL import Image

from diagnosis.models import Confirmation
from diagnosis.services.errors import Refusal
from diagnosis.services.reference_sets import (
    MOST_IMAGES,
    About,
    NewReferenceImage,
    import_reference_set,
    read_folder,
    see_reference_sets,
)
from training.datasets.manifest import MANIFEST, Manifest, ManifestUnusable

#: Views of a dataset are whole frames squashed to a square; most were 4:3.
_SHAPE = (299, 224)


class Command(BaseCommand):
    """``manage.py import_reference_set PATH [--licence-address ADDRESS] [--per-class N]``; can be repeated."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "path", type=Path, help="a folder with set.json, labels.csv and photographs, or a dataset with its manifest"
        )
        parser.add_argument("--licence-address", default="", help="of a dataset's licence, to be linked to")
        parser.add_argument("--per-class", type=int, default=MOST_IMAGES // 7, help="images of a dataset's class")

    def handle(self, *args: object, path: Path, licence_address: str, per_class: int, **options: object) -> None:
        """Import, let the version in service see it, and report."""
        try:
            if (path / MANIFEST).is_file():
                manifest = Manifest.load(path)
                about = About(manifest.name, manifest.licence, licence_address, manifest.attribution)
                images = list(_of_dataset(manifest, path, per_class))
            else:
                about, images = read_folder(path)
            imported = import_reference_set(about=about, images=images)
        except (Refusal, ManifestUnusable) as refused:
            raise CommandError(str(refused)) from refused
        see_reference_sets()
        self.stdout.write(f"{imported.name}: {imported.images.count()} images, {imported.licence}")


def _of_dataset(manifest: Manifest, folder: Path, per_class: int) -> Iterator[NewReferenceImage]:
    """So many images of each class, one of a lesion, those known by histology first; nothing of the frozen test."""
    views = manifest.views(folder)
    known = {kind: place for place, kind in enumerate(Confirmation.values)}
    rows = [
        (known[entry.record.confirmed_by], number, entry)
        for number, entry in enumerate(manifest.entries)
        if entry.record.confirmed_by in known and entry.splits["lesion"] != "test"
    ]
    taken: dict[str, set[str]] = defaultdict(set)
    for _, number, entry in sorted(rows, key=lambda row: row[:2]):
        groups = taken[entry.record.diagnosis]
        if len(groups) >= per_class or entry.group in groups:
            continue
        groups.add(entry.group)
        out = io.BytesIO()
        frame = Image.fromarray(views[number]).resize(_SHAPE, Image.Resampling.BICUBIC)
        frame.save(out, "JPEG", quality=92, subsampling=0)
        yield NewReferenceImage(
            entry.record.image_id, entry.record.diagnosis, entry.record.confirmed_by, out.getvalue()
        )
