"""Training: the same batches whatever happened before, and a killed run that goes on as if nothing had."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from diagnosis.classifier.architecture import build_network
from training.batches import Examples, batches, class_priors, prepared_ahead, resized
from training.fit import CheckpointForeign, TooFewImages, Training, TrainingCancelled, averaged, settle_normalisation
from training.learner import rates_of
from training.recipes import FIRST, HOUSE, PAPER, Augmentation, Recipe, Stage

ROOT = Path(__file__).resolve().parent.parent.parent


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
    for (inputs, labels), (same_inputs, same_labels) in zip(once, again, strict=True):
        assert set(inputs) == {"views", "affine", "mixing", "mixed_share", "tones", "saturation"}
        for name, value in inputs.items():
            np.testing.assert_array_equal(value, same_inputs[name])
        np.testing.assert_array_equal(labels, same_labels)


def test_an_epoch_that_is_taken_up_in_its_middle_goes_on_with_the_same_batches() -> None:
    recipe, examples = small_recipe(1), some_examples(16)

    whole = list(batches(examples, recipe, epoch=0))
    rest = list(batches(examples, recipe, epoch=0, first=2))

    assert [labels.tolist() for _, labels in rest] == [labels.tolist() for _, labels in whole[2:]]
    for (inputs, _), (same, _) in zip(rest, whole[2:], strict=True):
        np.testing.assert_array_equal(inputs["affine"], same["affine"])


def test_examples_take_only_the_views_that_are_theirs() -> None:
    examples = some_examples(8)
    some = Examples(examples.views, examples.labels[[6, 1]], np.array([6, 1]))

    np.testing.assert_array_equal(some.taken(np.array([1, 0])), examples.views[[1, 6]])


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
    affine = next(batches(examples, recipe, epoch=0))[0]["affine"]

    other_seed = dataclasses.replace(recipe, seed=2)
    assert not np.array_equal(affine, next(batches(examples, recipe, epoch=1))[0]["affine"])
    assert not np.array_equal(affine, next(batches(examples, other_seed, epoch=0))[0]["affine"])


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


class Stop:
    """Says stop when it has been asked so many times."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_was_stopped_in_an_epoch_ends_where_the_unbroken_run_ends(tmp_path: Path) -> None:
    examples = some_examples()
    recipe = dataclasses.replace(small_recipe(2), dropout=0.3)
    whole = Training(recipe, examples, tmp_path / "whole", weights=None)
    whole.run(examples)

    with pytest.raises(TrainingCancelled, match="epoch 2 after step 1"):
        Training(recipe, examples, tmp_path / "broken", weights=None).run(examples, cancelled=Stop(after=3))
    resumed = Training(recipe, examples, tmp_path / "broken", weights=None)
    assert (resumed.next_epoch, resumed.next_step) == (1, 1)
    resumed.run(examples)

    for one, other in zip(whole.learner.kept.get_weights(), resumed.learner.kept.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    measured = [{name: value for name, value in row.items() if name != "seconds"} for row in resumed.curve]
    for row, unbroken in zip(measured, whole.curve, strict=True):
        assert row["loss"] == pytest.approx(unbroken["loss"], abs=2e-3)
    assert (tmp_path / "broken" / "curve.csv").read_text().count("\n") == 3
    with pytest.raises(CheckpointForeign, match="another recipe"):
        Training(dataclasses.replace(recipe, seed=1), examples, tmp_path / "broken", weights=None)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("augmentation", [FIRST.augmentation, HOUSE.augmentation], ids=["first", "house"])
def test_a_run_goes_on_at_the_next_stages_size(tmp_path: Path, augmentation: Augmentation) -> None:
    recipe = dataclasses.replace(
        small_recipe(1), stages=(Stage(epochs=1, view=32), Stage(epochs=1, view=48)), augmentation=augmentation
    )

    run = Training(recipe, some_examples(), tmp_path, weights=None)
    run.run(some_examples())

    assert [row["view"] for row in run.curve] == [32, 48]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_taught_alone_a_network_learns_the_same_whatever_the_labels_say(tmp_path: Path) -> None:
    examples = some_examples()
    others = dataclasses.replace(examples, labels=examples.labels[::-1].copy())
    keras.utils.set_random_seed(7)
    teacher = build_network(view=None).get_weights()
    taught = dataclasses.replace(small_recipe(1), taught_share=1.0)
    runs = {
        name: Training(recipe, given, tmp_path / name, weights=None, teachers=teachers)
        for name, recipe, given, teachers in (
            ("one", taught, examples, [teacher]),
            ("other", taught, others, [teacher]),
            ("labels", taught, others, []),
        )
    }
    for run in runs.values():
        run.run(examples)

    one, other, labels = (run.learner.kept.get_weights() for run in runs.values())
    for first, second in zip(one, other, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
    assert any(not np.allclose(first, second, atol=1e-5) for first, second in zip(one, labels, strict=True))
    for before, after in zip(teacher, runs["one"].learner.teachers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    averaged([runs["one"].weights_after(1)])  # what is kept is a network alone
    with pytest.raises(CheckpointForeign, match="other teachers"):
        Training(taught, examples, tmp_path / "one", weights=None)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_without_a_better_epoch_stops_early_and_keeps_the_best(tmp_path: Path) -> None:
    examples = some_examples()
    recipe = dataclasses.replace(
        small_recipe(9), peak_rate=0.0, average_decay=0.0, chosen_by="accuracy", patience=2, norm_momentum=1.0
    )

    run = Training(recipe, examples, tmp_path, weights=None)
    run.run(examples)

    assert len(run.curve) == 3
    assert run.best_epoch == 1
    assert run.finished
    opened = averaged([run.weights_after(run.best_epoch)])
    for one, other in zip(opened.get_weights(), run.learner.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)  # at a rate of zero nothing was learnt


def test_fewer_images_than_a_batch_are_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(TooFewImages, match="3 images to train on; one batch of the recipe first takes 4"):
        Training(small_recipe(1), some_examples(3), tmp_path, weights=None)


def test_the_recipe_of_the_paper_halves_its_rate_every_six_epochs() -> None:
    rates = rates_of(PAPER, steps_an_epoch=10)

    assert [round(float(rates(step)), 6) for step in (0, 59, 60, 120, 180)] == [0.005, 0.005, 0.0025, 0.00125, 0.000625]


def test_a_short_run_still_warms_up_and_ends_at_nothing() -> None:
    rates = rates_of(small_recipe(1), steps_an_epoch=4)

    assert float(rates(1)) == pytest.approx(FIRST.peak_rate)
    assert float(rates(4)) == pytest.approx(0.0, abs=1e-9)


def test_a_recipe_is_shortened_and_lengthened_by_epochs() -> None:
    assert FIRST.shortened(8).stages == (Stage(7, 160), Stage(1, 192))
    assert FIRST.shortened(12).stages == (Stage(7, 160), Stage(5, 192))
    with pytest.raises(ValueError, match="at least one"):
        FIRST.shortened(0)


def two_steps(tmp_path: Path, backend: str, *arguments: str, devices: int = 1) -> dict:
    """What tests/training/two_steps.py says in a process of its own."""
    weights = tmp_path / "start.npz"
    if not weights.is_file():
        keras.utils.set_random_seed(7)  # some random networks begin far from an even guess
        np.savez(weights, *build_network(view=None).get_weights())
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.two_steps", str(weights), *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tensorflow_jax_and_two_devices_learn_the_same_from_the_same_batches(tmp_path: Path) -> None:
    tensorflow = two_steps(tmp_path, "tensorflow")
    jax = two_steps(tmp_path, "jax")
    spread = two_steps(tmp_path, "jax", devices=2)

    assert (tensorflow["backend"], jax["backend"]) == ("tensorflow", "jax")
    assert (jax["devices"], spread["devices"]) == (1, 2)
    for other in (tensorflow, spread):
        np.testing.assert_allclose(other["losses"][0], jax["losses"][0], rtol=1e-3)
        np.testing.assert_allclose(other["losses"], jax["losses"], rtol=5e-3)
        np.testing.assert_allclose(other["learnt"], jax["learnt"], rtol=2e-2, atol=1e-2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mixed_precision_learns_about_the_same(tmp_path: Path) -> None:
    said = two_steps(tmp_path, "jax", "mixed_bfloat16")

    assert len(said["losses"]) == 2
    assert said["losses"][0] == pytest.approx(np.log(7), abs=0.6), said["losses"]
    assert np.isfinite(said["logits"]).all()
