"""Reads photographs from the command line, with the network that ships: no server, no database, nothing stored."""

import hashlib
import json
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.core.management.base import BaseCommand, CommandError

from diagnosis.classifier import maps, shipped
from diagnosis.classifier.bundle import BUNDLES, MANIFEST, Bundle, BundleRefused
from diagnosis.classifier.network import Network
from diagnosis.classifier.photograph import Photograph, PhotographRefused, check_bytes, receive
from diagnosis.classifier.quality import Quality
from diagnosis.classifier.reading import Reading
from diagnosis.classifier.recommendation import Answer, ClinicalPicture, Kind, ReadImage, Thresholds, conclude
from diagnosis.classifier.taxonomy import MALIGNANT, NAMES
from diagnosis.classifier.view import View, decode_view
from diagnosis.services import wording

#: Longer side of a map drawn with --map, in pixels.
MAP_SIDE: Final = 896


@dataclass(frozen=True)
class Analysed:
    """What came of one file: an answer, or an error."""

    path: Path
    photograph: Photograph | None
    reading: Reading | None
    answer: Answer | None
    error: str | None


class Command(BaseCommand):
    """``manage.py analyse IMAGE...``; exit status 1 where a file could not be taken as a photograph."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="JPEG or PNG, each a case of its own")
        parser.add_argument("--json", action="store_true", help="print a list with one entry for each image")
        parser.add_argument(
            "--map",
            type=Path,
            metavar="OUT.png",
            help="write the activation map over the photograph (with one image only): orientation, not evidence",
        )
        parser.add_argument(
            "--kind",
            choices=[str(kind) for kind in Kind],
            default=str(Kind.DERMOSCOPIC),
            help="how the photographs were taken (default: dermoscopic)",
        )

        parser.add_argument(
            "--bundle",
            type=Path,
            metavar="FOLDER",
            help="a bundle that was trained here, instead of the one that ships; taken as it is, released or not",
        )

    def handle(self, *args: object, **options: Any) -> None:
        """Read, print, and say which files could not be read."""
        paths, kind, target = options["images"], Kind(options["kind"]), options["map"]
        if target is not None and len(paths) > 1:
            raise CommandError(f"--map goes with one image, and {len(paths)} were given: run it once for each")
        try:
            bundle = chosen(options["bundle"])
            network = Network.open(bundle)
        except BundleRefused as error:
            raise CommandError(f"the network cannot be loaded: {error}") from error

        results = [analyse(path, kind, network) for path in paths]
        if options["json"]:
            self.stdout.write(json.dumps([entry(result, bundle.name) for result in results], indent=2))
        else:
            for result in results:
                if result.answer is not None:
                    self.stdout.write(report(result, kind, bundle.thresholds) + "\n")
            if any(result.answer is not None for result in results):
                self.stdout.write(f"Network {bundle.name}. Research use. {wording.SUPPORT}")
        if target is not None:
            self._draw(results[0], target, bundle.temperature)
        failed = [result for result in results if result.error is not None]
        for result in failed:
            self.stderr.write(f"{result.path}: {result.error}")
        if failed:
            raise CommandError(f"{len(failed)} of {len(results)} files were not read")

    def _draw(self, result: Analysed, target: Path, temperature: float) -> None:
        if result.answer is None:
            return
        if result.reading is None or result.photograph is None or result.answer.abstained:
            self.stderr.write(f"{target}: not written, because the network abstained")
            return
        heat = maps.malignant_share(result.reading.map, temperature)
        scale = MAP_SIDE / max(result.photograph.width, result.photograph.height)
        size = round(result.photograph.width * scale), round(result.photograph.height * scale)
        try:
            target.write_bytes(maps.render(heat, decode_view(result.photograph.stored_view), *size))
        except OSError as error:
            raise CommandError(f"{target}: cannot be written ({error.strerror})") from error


def chosen(folder: Path | None) -> Bundle:
    """The bundle in `folder`, whatever its manifest's digest, or without one the bundle that ships.

    Raises:
        BundleRefused: its files are not what the manifest says.
    """
    if folder is None:
        return Bundle.open(BUNDLES / shipped.SHIPPED_BUNDLE, shipped.SHIPPED_MANIFEST_SHA256)
    try:
        digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise BundleRefused(f"{folder / MANIFEST}: cannot be read ({error.strerror})") from error
    return Bundle.open(folder, digest)


def analyse(path: Path, kind: Kind, network: Network) -> Analysed:
    """Read one file as a case of its own, of which nothing else is known."""
    try:
        check_bytes(path.stat().st_size)
        photograph = receive(path.read_bytes())
    except PhotographRefused as refused:
        return Analysed(path, None, None, None, str(refused))
    except OSError as error:
        return Analysed(path, None, None, None, error.strerror or str(error))
    reading = _read(decode_view(photograph.stored_view), kind, photograph.quality, network)
    answer = conclude([ReadImage(kind, photograph.quality, reading)], ClinicalPicture(), network.bundle.thresholds)
    return Analysed(path, photograph, reading, answer, None)


def _read(view: View, kind: Kind, quality: Quality, network: Network) -> Reading | None:
    if kind == Kind.OVERVIEW or not quality.acceptable:
        return None
    return network.read(view[np.newaxis])[0]


def entry(result: Analysed, model_version: str) -> dict[str, object]:
    """One element of the --json list. Where the file was no photograph, `error` says why and the rest is null."""
    photograph, answer = result.photograph, result.answer
    return {
        "image": str(result.path),
        "probabilities": answer and answer.probabilities,
        "malignancy_risk": answer and answer.malignancy_risk,
        "predicted": answer and answer.predicted,
        "recommendation": answer and answer.recommendation,
        "decided_by": answer and answer.decided_by,
        "abstained": answer and answer.abstained,
        "reason": answer and answer.reason,
        "notices": list(answer.notices) if answer else [],
        "quality": photograph and photograph.quality.as_dict(),
        "model_version": model_version,
        "error": result.error,
    }


def report(result: Analysed, kind: Kind, thresholds: Thresholds) -> str:
    """What a person reads about one photograph."""
    photograph, answer = result.photograph, result.answer
    assert photograph is not None
    assert answer is not None
    lines = [f"{result.path}  ({photograph.width}x{photograph.height}, {kind.replace('_', '-')})"]
    if answer.abstained:
        lines.append(f"  {answer.reason_text}")
    else:
        lines.append(f"  {wording.RECOMMENDATIONS[answer.recommendation]}")
    if answer.probabilities is not None:
        lines.append(
            f"  Malignancy risk {wording.per_cent(answer.malignancy_risk or 0.0)} "
            f"(refer from {thresholds.refer:.1%}, urgently from {thresholds.refer_urgently:.1%})"
        )
        for name, probability in sorted(answer.probabilities.items(), key=lambda item: -item[1]):
            mark = "!" if name in MALIGNANT else " "
            first = "  <- thought of first" if name == answer.predicted else ""
            lines.append(f"  {mark} {probability:6.1%} {'#' * round(probability * 20):20} {NAMES[name]}{first}")
        lines.append("  ! malignant or pre-malignant")
    lines += [f"  Note: {wording.NOTICES[notice]}" for notice in answer.notices]
    lines += [f"  Note: {advice}." for advice in photograph.quality.advice]
    return "\n".join(lines)
