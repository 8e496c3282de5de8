"""What each step from an uploaded photograph to the network's outputs costs, measured in turns within one run.

    python -m bench.stages [--image tests/data/ham10000/ISIC_0030893.jpg] [--rounds 15]

Absolute times depend on the machine and on what else it does; the ratios, taken round by round, hardly do.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from diagnosis.classifier import container, photograph, quality, shipped
from diagnosis.classifier import view as views
from diagnosis.classifier.bundle import BUNDLES, WEIGHTS, Bundle

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one step over all rounds."""

    median: float
    first_quartile: float
    third_quartile: float
    rounds: tuple[float, ...]

    def times(self, other: "Timing") -> float:
        """How many times as long as `other`: the median of the ratios of each round."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))

    def __str__(self) -> str:
        return f"{self.median:8.2f} ({self.first_quartile:.2f} to {self.third_quartile:.2f})"


@dataclass(frozen=True)
class PhotographStages:
    """Taking in one photograph."""

    inspect: Timing
    decode: Timing
    view: Timing
    encode: Timing
    quality: Timing
    store_view: Timing
    receive: Timing
    """All of it, with the hash."""


@dataclass(frozen=True)
class ForwardStages:
    """One view through the network, alone."""

    litert: Timing
    compiled: Timing
    """`tf.function` over one view."""
    predict: Timing
    """`model.predict`, which is never called in service."""


def in_turns(steps: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Run all steps once to warm up, then `rounds` times one after the other."""
    for step in steps.values():
        step()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            taken[name].append((time.perf_counter() - begin) * 1000)
    return {name: timing_of(times) for name, times in taken.items()}


def timing_of(milliseconds: Sequence[float]) -> Timing:
    """Median and quartiles of at least two rounds."""
    low, middle, high = statistics.quantiles(milliseconds, n=4)
    return Timing(middle, low, high, tuple(milliseconds))


def camera_photograph(image: Path, width: int = 4032, height: int = 3024) -> bytes:
    """An image enlarged to what a phone delivers, with a sensor's noise, as a JPEG of about 3 MB."""
    noise = np.random.default_rng(0)
    with Image.open(image) as small:
        large = np.asarray(small.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), np.float32)
    noisy = large + noise.normal(0, 4, large.shape)
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=92)
    return out.getvalue()


def photograph_stages(upload: bytes, rounds: int) -> PhotographStages:
    """Time the steps of `photograph.receive` on one upload, each by itself and all together."""
    contents = container.inspect(upload)
    if contents is None:
        raise ValueError("a JPEG or PNG is needed")
    image, _, sampling = photograph._decode(upload, contents)
    network_view = views.make_view(image)
    timings = in_turns(
        {
            "inspect": lambda: container.inspect(upload),
            "decode": lambda: photograph._decode(upload, contents),
            "view": lambda: views.make_view(image),
            "encode": lambda: photograph._encode(image, sampling),
            "quality": lambda: quality.assess(network_view, image.width, image.height),
            "store_view": lambda: views.encode_view(network_view),
            "receive": lambda: photograph.receive(upload),
        },
        rounds,
    )
    return PhotographStages(**timings)


def forward_stages(network_view: views.View, rounds: int) -> ForwardStages:
    """Time one view through LiteRT, `tf.function` and `model.predict`, by turns. Loads TensorFlow."""
    from diagnosis.classifier.architecture import build_network
    from diagnosis.classifier.backends.compiled import Compiled
    from diagnosis.classifier.backends.litert import LiteRT

    bundle = Bundle.open(BUNDLES / shipped.SHIPPED_BUNDLE, shipped.SHIPPED_MANIFEST_SHA256)
    litert, compiled, model = LiteRT(bundle, threads=1), Compiled(bundle, batch=1), build_network()
    model.load_weights(bundle.folder / WEIGHTS)
    batch = network_view[np.newaxis]
    floats = batch.astype(np.float32)
    timings = in_turns(
        {
            "litert": lambda: litert.forward(batch),
            "compiled": lambda: compiled.forward(batch),
            "predict": lambda: model.predict(floats, verbose=0),
        },
        rounds,
    )
    return ForwardStages(**timings)


def table(stages: "DataclassInstance") -> str:
    """One line for each timing of a dataclass of timings, in milliseconds."""
    return "\n".join(f"  {field.name:12}{getattr(stages, field.name)}" for field in fields(stages))


def main() -> None:
    """Print all of it for one 12-megapixel photograph and its view."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, default=Path("tests/data/ham10000/ISIC_0030893.jpg"))
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()

    upload = camera_photograph(options.image)
    taking_in = photograph_stages(upload, options.rounds)
    print(f"a JPEG of 12 megapixels, {len(upload) / 1e6:.1f} MB\n{table(taking_in)}")
    forward = forward_stages(views.decode_view(photograph.receive(upload).stored_view), options.rounds)
    print(f"one view through the network\n{table(forward)}")
    print(f"  tf.function takes {forward.compiled.times(forward.litert):.1f} times as long as LiteRT,")
    print(f"  model.predict {forward.predict.times(forward.litert):.1f} times")


if __name__ == "__main__":
    main()
