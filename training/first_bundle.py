"""Train the first bundle on HAM10000: `python -m training.first_bundle --data FOLDER [--init-weights FILE]`.

Killed and started again, it goes on after the last epoch that it finished.
"""

import argparse
from pathlib import Path

from training.datasets import ham10000
from training.datasets.frozen import ham10000_splits
from training.export import write_balanced
from training.fit import Examples, Training
from training.recipes import FIRST, RECIPES


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with HAM10000's metadata and image archives")
    parser.add_argument("--init-weights", default="imagenet", help='"imagenet" (fetched), or a file without top')
    parser.add_argument("--recipe", choices=sorted(RECIPES), default=FIRST.name)
    parser.add_argument(
        "--continue-from",
        type=Path,
        help="start instead from a run's epochNN.weights.h5 or a bundle's folder",
    )
    parser.add_argument("--run", type=Path, default=Path("var/training/first"), help="folder for checkpoints and curve")
    parser.add_argument("--cache", type=Path, default=Path("var/cache"), help="folder for decoded images")
    options = parser.parse_args()
    dataset = ham10000.read(options.data, options.cache)
    splits = ham10000_splits(dataset.records)
    training, validation = splits.positions("training"), splits.positions("validation")
    labels = dataset.labels
    continued = options.continue_from
    if continued is not None and continued.is_dir():
        options.run.mkdir(parents=True, exist_ok=True)
        continued = write_balanced(continued, options.run / "start.weights.h5")
    run = Training(
        RECIPES[options.recipe],
        Examples(dataset.views[training], labels[training]),
        options.run,
        None if continued else options.init_weights,
        continued,
    )
    run.run(Examples(dataset.views[validation], labels[validation]))


if __name__ == "__main__":
    main()
