"""How many good photographs pass the quality checks, and how many degraded copies of them are caught.

    python -m bench.quality --images ../shared/data/ham10000 [--degraded 800]

Good means: an image of HAM10000, which dermatologists chose for publication. docs/quality.md holds the last result.
"""

import argparse
import csv
import io
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from diagnosis.classifier.quality import Quality, assess
from diagnosis.classifier.view import View, make_view


def motion(pixels: int, axis: int) -> Callable[[Image.Image], Image.Image]:
    """A camera that moved by `pixels` (odd, of 224) down (axis 0), across (1) or along both (2)."""

    def degrade(image: Image.Image) -> Image.Image:
        original, half = np.asarray(image, np.float32), pixels // 2
        padded = np.pad(original, ((half, half), (half, half), (0, 0)), mode="edge")
        height, width = original.shape[:2]
        total = np.zeros_like(original)
        for shift in range(pixels):
            down, across = (half if axis == 1 else shift), (half if axis == 0 else shift)
            total += padded[down : down + height, across : across + width]
        return Image.fromarray((total / pixels).astype(np.uint8))

    return degrade


def gain(factor: float) -> Callable[[Image.Image], Image.Image]:
    """More or less light, with channels that reach 255 lost. Factors are of the stored values, not of the light."""
    return lambda image: image.point(lambda value: min(255, round(value * factor)))


def flatten(share: float) -> Callable[[Image.Image], Image.Image]:
    """A veil over the picture: contrast reduced to `share` around its mean."""

    def degrade(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image, np.float32)
        mean = pixels.mean(axis=(0, 1))
        return Image.fromarray((mean + share * (pixels - mean)).round().astype(np.uint8))

    return degrade


def flash(image: Image.Image) -> Image.Image:
    """A white reflection over a quarter of the frame's width."""
    rows, columns = np.mgrid[0 : image.height, 0 : image.width]
    distance = np.hypot(rows / image.height - 0.4, columns / image.width - 0.6)
    veil = np.clip((0.35 - distance) / 0.08, 0, 1)[..., None]
    pixels = np.asarray(image, np.float32)
    return Image.fromarray((pixels * (1 - veil) + 255 * veil).astype(np.uint8))


def blur(sigma: float) -> Callable[[Image.Image], Image.Image]:
    """Out of focus, by a Gaussian of `sigma` pixels of 224."""
    return lambda image: image.filter(ImageFilter.GaussianBlur(sigma))


#: Name, degradation, and whether it is strong: one that the network must not be shown.
DEGRADATIONS: list[tuple[str, Callable[[Image.Image], Image.Image], bool]] = [
    ("blur, sigma 1", blur(1), False),
    ("blur, sigma 1.5", blur(1.5), True),
    ("blur, sigma 2", blur(2), True),
    ("blur, sigma 3", blur(3), True),
    ("blur, sigma 5", blur(5), True),
    ("motion, 5 pixels across", motion(5, 1), False),
    ("motion, 9 pixels across", motion(9, 1), True),
    ("motion, 9 pixels down", motion(9, 0), True),
    ("motion, 9 pixels aslant", motion(9, 2), True),
    ("motion, 15 pixels across", motion(15, 1), True),
    ("brightness x 0.5", gain(0.5), False),
    ("brightness x 0.25", gain(0.25), True),
    ("brightness x 0.15", gain(0.15), True),
    ("brightness x 1.4", gain(1.4), False),
    ("brightness x 1.8", gain(1.8), True),
    ("brightness x 2.5", gain(2.5), True),
    ("contrast x 0.3", flatten(0.3), False),
    ("contrast x 0.15", flatten(0.15), True),
    ("contrast x 0.08", flatten(0.08), True),
    ("flash over a third", flash, True),
    ("without colour", lambda image: image.convert("L").convert("RGB"), True),
]


def photographs(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """Every image of the HAM10000 archives in `folder`, with its diagnosis."""
    with (folder / "HAM10000_metadata.csv").open() as table:
        diagnosis = {row["image_id"]: row["dx"] for row in csv.DictReader(table)}
    for path in sorted(folder.glob("HAM10000_images_part_*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(name for name in archive.namelist() if name.endswith(".jpg")):
                yield diagnosis[Path(name).stem], Image.open(io.BytesIO(archive.read(name))).convert("RGB")


def as_photographed(image: Image.Image) -> View:
    """The view of the image after a JPEG, as a camera would have stored it."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return make_view(Image.open(out).convert("RGB"))


def judge(view: View) -> Quality:
    """Apart from the size, which these copies do not have."""
    return assess(view, 600, 450)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("../shared/data/ham10000"))
    parser.add_argument("--degraded", type=int, default=800, help="images to degrade, chosen at random (seed 1)")
    options = parser.parse_args()

    everything = list(photographs(options.images))
    problems: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    begin = time.perf_counter()
    for diagnosis, image in everything:
        quality = judge(make_view(image))
        problems.update(quality.problems)
        warnings.update(quality.warnings)
        passed[diagnosis] += quality.acceptable
    seconds = time.perf_counter() - begin
    total = Counter(diagnosis for diagnosis, _ in everything)
    print(
        f"good images: {sum(passed.values())} of {len(everything)} pass ({sum(passed.values()) / len(everything):.1%})"
    )
    print("  by diagnosis:", ", ".join(f"{name} {passed[name]}/{total[name]}" for name in sorted(total)))
    print("  stopped by:", dict(problems), " warned of:", dict(warnings))
    print(f"  {seconds / len(everything) * 1000:.1f} ms each")

    chosen = np.random.default_rng(1).choice(len(everything), min(options.degraded, len(everything)), replace=False)
    good = [everything[index][1] for index in chosen if judge(make_view(everything[index][1])).acceptable]
    print(f"\ndegraded copies of {len(good)} good images that pass:")
    strong_caught = strong_total = 0
    for name, degrade, strong in DEGRADATIONS:
        reasons: Counter[str] = Counter()
        caught = warned = 0
        for image in good:
            quality = judge(as_photographed(degrade(image)))
            caught += not quality.acceptable
            warned += quality.acceptable and bool(quality.warnings)
            reasons.update(quality.problems[:1])
        strong_caught += caught * strong
        strong_total += len(good) * strong
        mark = "*" if strong else " "
        print(f"{mark} {name:26} stopped {caught:4} ({caught / len(good):6.1%})  warned {warned:4}  {dict(reasons)}")
    print(f"* strong ones together: {strong_caught} of {strong_total} ({strong_caught / strong_total:.1%}) stopped")


if __name__ == "__main__":
    main()
