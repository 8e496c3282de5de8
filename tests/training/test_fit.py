"""Training: the same batches whatever happened before, and a killed run that goes on as if nothing had."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from diagnosis.classifier.architecture import build_network
from training.fit import (
    CheckpointForeign,
    Examples,
    Training,
    averaged,
    batches,
    class_priors,
    prepared_ahead,
    resized,
    settle_normalisation,
)
from training.recipes import FIRST, Recipe, Stage


def small_recipe(epochs: int) -> Recipe:
    return dataclasses.replace(FIRST, stages=(Stage(epochs=epochs, view=32),), batch=4, warm_up_steps=1, dropout=0.0)


def some_examples(count: int = 8, size: int = 32) -> Examples:
    rng = np.random.default_rng(5)
    views = rng.integers(0, 256, size=(count, size, size, 3), dtype=np.uint8)
    return Examples(views, np.arange(count, dtype=np.int64) % 7)


def test_an_epoch_gives_the_same_batches_again() -> None:
    recipe, examples = small_recipe(2), some_examples()

    once, again = (list(batches(examples, recipe, epoch=1)) for _ in range(2))

    assert len(once) == 2
    for (views, labels), (same_views, same_labels) in zip(once, again, strict=True):
        np.testing.assert_array_equal(views, same_views)
        np.testing.assert_array_equal(labels, same_labels)


@pytest.mark.slow
def test_settled_on_one_batch_the_network_serves_it_as_it_would_train_on_it() -> None:
    network, views = build_network(view=32), some_examples().views
    as_trained = np.asarray(network(views.astype(np.float32), training=True)["logits"])

    settle_normalisation(network, views, batches=1, batch=8)

    np.testing.assert_allclose(network(views.astype(np.float32))["logits"], as_trained, atol=1e-3)


@pytest.mark.slow
def test_the_mean_of_two_runs_lies_half_way_in_every_weight(tmp_path: Path) -> None:
    networks = [build_network(view=32) for _ in range(2)]
    paths = [tmp_path / f"{number}.weights.h5" for number in range(2)]
    for network, path in zip(networks, paths, strict=True):
        network.save_weights(path)

    one, other = (network.get_weights() for network in networks)
    for mean, first, second in zip(averaged(paths).get_weights(), one, other, strict=True):
        np.testing.assert_allclose(mean, (first + second) / 2, atol=1e-6)


def test_another_epoch_or_another_seed_gives_other_batches() -> None:
    recipe, examples = small_recipe(2), some_examples()
    views = next(batches(examples, recipe, epoch=0))[0]

    assert not np.array_equal(views, next(batches(examples, recipe, epoch=1))[0])
    assert not np.array_equal(views, next(batches(examples, dataclasses.replace(recipe, seed=2), epoch=0))[0])


def test_every_example_is_visited_once_in_an_epoch() -> None:
    examples = Examples(some_examples(8).views, np.arange(8, dtype=np.int64))

    seen = np.concatenate([labels for _, labels in batches(examples, small_recipe(1), epoch=0)])

    assert sorted(seen) == list(range(8))


def test_an_error_while_making_batches_reaches_the_training_loop() -> None:
    def broken():
        yield 1
        raise ValueError("image 7 cannot be read")

    with pytest.raises(ValueError, match="image 7"):
        list(prepared_ahead(broken()))


def test_priors_are_positive_even_for_a_class_that_does_not_occur() -> None:
    priors = class_priors(np.array([5, 5, 5, 4], dtype=np.int64))

    np.testing.assert_allclose(priors, np.array([1, 1, 1, 1, 2, 4, 1]) / 11)


def test_views_already_of_the_size_are_left_alone() -> None:
    views = some_examples().views

    assert resized(views, 32) is views
    assert resized(views, 16).shape == (8, 16, 16, 3)


@pytest.mark.slow
def test_a_run_that_was_killed_ends_where_the_unbroken_run_ends(tmp_path: Path) -> None:
    examples, recipe = some_examples(), small_recipe(2)
    start = tmp_path / "start.weights.h5"
    whole = Training(recipe, examples, tmp_path / "whole", weights=None)
    whole.network.save_weights(start)
    whole.run(examples)

    broken = Training(recipe, examples, tmp_path / "broken", weights=None)
    broken.network.load_weights(start)
    broken.average.load_weights(start)
    with pytest.raises(KeyboardInterrupt):
        broken.run(examples, after_epoch=_interrupt)
    resumed = Training(recipe, examples, tmp_path / "broken", weights=None)
    assert resumed.next_epoch == 1
    resumed.run(examples)

    for one, other in zip(whole.average.get_weights(), resumed.average.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    with pytest.raises(CheckpointForeign, match="another recipe"):
        Training(dataclasses.replace(recipe, seed=1), examples, tmp_path / "broken", weights=None)


def _interrupt(epochs_done: int) -> None:
    raise KeyboardInterrupt
