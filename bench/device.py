"""The compiled Keras backend over sizes of batches, on whatever device TensorFlow finds here.

    python -m bench.device [--short]

A batch goes through the backend as in service: filled up, copied to the device, run, copied back. Beside it the same
function on a batch that already lies on the device, which is what the device could do if nothing else were to be done.
"""

import argparse
import os
import statistics
import time
from typing import Final

import numpy as np

from bench import page

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SIZES: Final = (1, 2, 8, 32, 64, 128)


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="batches up to 32")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    import tensorflow as tf

    from bench.forward import bundle
    from diagnosis.classifier.backends.compiled import BATCH, Compiled

    found = tf.config.list_physical_devices("GPU")
    device = tf.config.experimental.get_device_details(found[0]).get("device_name", "a GPU") if found else "the CPU"
    rounds = 101 if found else 7
    rows = []
    for size in (size for size in SIZES if not options.short or size <= BATCH):
        backend = Compiled(bundle(), batch=size)
        views = np.random.default_rng(0).integers(0, 256, (size, 224, 224, 3), dtype=np.uint8)
        resident = tf.constant(views)
        served, bare = [], []
        for number in range(-2, rounds):
            begin = time.perf_counter()
            backend.forward(views)
            middle = time.perf_counter()
            backend._run(resident)["logits"].numpy()
            end = time.perf_counter()
            if number >= 0:
                served.append(middle - begin)
                bare.append(end - middle)
        low, middle_, high = (1000 * each for each in statistics.quantiles(served, n=4))
        share = statistics.median(theirs / mine for mine, theirs in zip(served, bare, strict=True))
        mark = " (served)" if size == BATCH else ""
        times, rate = f"{middle_:.1f} ({low:.1f} to {high:.1f})", f"{size * 1000 / middle_:,.0f}"
        times, rate = f"{middle_:.1f} ({low:.1f} to {high:.1f})", f"{size * 1000 / middle_:,.0f}"
        rows.append([f"{size}{mark}", times, rate, f"{share:.2f}"])
    print(page.conditions(before, f"TensorFlow {tf.__version__} on **{device}**, {rounds} rounds"))
    head = ["batch", "ms a batch (quartiles)", "views a second", "of the rate on data on the device"]
    print(f"\n{page.table(head, rows)}")


if __name__ == "__main__":
    main()
