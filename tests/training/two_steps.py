"""Two steps of a small recipe on the backend that KERAS_BACKEND names; prints the losses and what they ran on."""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from training.batches import Examples
from training.fit import Training, outputs_of
from training.learning import spread_over_devices
from training.recipes import FIRST, Stage


def main() -> None:
    """`two_steps.py WEIGHTS [PRECISION]`: start from WEIGHTS, a whole network's, so that every backend starts alike."""
    recipe = dataclasses.replace(
        FIRST,
        stages=(Stage(epochs=1, view=32),),
        batch=8,
        dropout=0.0,
        warm_up_steps=1,
        augmentation=dataclasses.replace(FIRST.augmentation, cut_out=0.5, mix_up=0.4),
        precision=sys.argv[2] if len(sys.argv) > 2 else "float32",
    )
    devices = spread_over_devices(recipe.batch)
    rng = np.random.default_rng(5)
    views = rng.integers(0, 256, size=(16, 32, 32, 3), dtype=np.uint8)
    examples = Examples(views, np.arange(16, dtype=np.int64) % 7)
    losses: list[float] = []
    with np.load(sys.argv[1]) as saved, tempfile.TemporaryDirectory() as folder:
        weights = [saved[name] for name in saved.files]
        run = Training(recipe, examples, Path(folder), weights)
        run.run(examples, on_moment=lambda moment: losses.append(moment.loss) if moment.row is None else None)
    sys.stdout.write(
        json.dumps(
            {
                "backend": keras.backend.backend(),
                "devices": devices,
                "losses": losses,
                "logits": outputs_of(run.learner.kept, views[:2]).logits.tolist(),
                "learnt": [float(np.abs(each).sum()) for each in run.learner.kept.get_weights()],
            }
        )
    )


if __name__ == "__main__":
    main()
