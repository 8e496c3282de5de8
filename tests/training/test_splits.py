"""Splits by lesion: no group straddles them, none ever moves, and the frozen test is the one that was committed."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets import frozen
from training.datasets.frozen import FOLDER, FrozenTestMoved, ham10000_splits, split_records
from training.datasets.ham10000 import LabelledImage
from training.datasets.splits import join_groups, split_of

LESIONS = st.lists(st.from_regex(r"HAM_000[0-9]{4}", fullmatch=True), min_size=1, max_size=30, unique=True)


@st.composite
def lesions_and_pairs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    lesions = draw(LESIONS)
    one = st.sampled_from(lesions)
    return lesions, draw(st.lists(st.tuples(one, one), max_size=20))


def image_of(lesion: str, number: int = 0) -> LabelledImage:
    return LabelledImage(f"{lesion}_{number}", lesion, "nv", "histo", 50.0, "female", "back")


@given(lesions_and_pairs())
def test_joined_lesions_share_a_group_named_after_the_smallest(case: tuple[list[str], list[tuple[str, str]]]) -> None:
    lesions, pairs = case

    group_of = join_groups(lesions, pairs)

    assert all(group_of[one] == group_of[other] for one, other in pairs)
    for group in set(group_of.values()):
        assert group == min(lesion for lesion in lesions if group_of[lesion] == group)


@given(lesions_and_pairs())
def test_the_order_of_pairs_makes_no_difference(case: tuple[list[str], list[tuple[str, str]]]) -> None:
    lesions, pairs = case

    turned = [(other, one) for one, other in reversed(pairs)]

    assert join_groups(lesions, pairs) == join_groups(reversed(lesions), turned)


@given(LESIONS)
def test_lesions_that_nothing_joins_stay_alone(lesions: list[str]) -> None:
    assert join_groups(lesions, []) == {lesion: lesion for lesion in lesions}


@given(lesions_and_pairs())
def test_no_group_straddles_two_splits(case: tuple[list[str], list[tuple[str, str]]]) -> None:
    lesions, pairs = case
    records = tuple(image_of(lesion, number) for lesion in lesions for number in range(2))

    splits = split_records(records, pairs)

    for group in np.unique(splits.groups):
        assert len(set(splits.split[splits.groups == group])) == 1
    for one, other in pairs:
        where = {record.lesion_id: split for record, split in zip(records, splits.split, strict=True)}
        assert where[one] == where[other]


@given(LESIONS, st.data())
def test_images_added_elsewhere_never_move_a_group(lesions: list[str], data: st.DataObject) -> None:
    fewer = data.draw(st.lists(st.sampled_from(lesions), min_size=1, unique=True))

    among_few = split_records(tuple(image_of(lesion) for lesion in fewer), [])
    among_all = split_records(tuple(image_of(lesion) for lesion in lesions), [])

    where = dict(zip(lesions, among_all.split, strict=True))
    assert [where[lesion] for lesion in fewer] == list(among_few.split)


def test_splits_are_about_as_large_as_stated() -> None:
    drawn = [split_of(f"HAM_{number:07d}") for number in range(10_000)]

    assert drawn.count("test") / 10_000 == pytest.approx(0.10, abs=0.01)
    assert drawn.count("validation") / 10_000 == pytest.approx(0.09, abs=0.01)


@pytest.mark.parametrize(
    ("group", "split"),
    [("HAM_0000000", "training"), ("HAM_0000011", "test"), ("HAM_0000014", "validation")],
)
def test_the_draw_is_the_one_the_frozen_test_was_made_by(group: str, split: str) -> None:
    assert split_of(group) == split


def test_every_committed_lesion_of_the_frozen_test_is_still_drawn_into_it() -> None:
    with (FOLDER / "frozen_test_lesions.csv").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))

    assert len(rows) == 745
    assert {split_of(row["group"]) for row in rows} == {"test"}


def test_a_split_that_would_train_on_the_frozen_test_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lesion = min(frozen.frozen_test_lesions())
    monkeypatch.setattr("training.datasets.frozen.split_of", lambda group: "training")

    with pytest.raises(FrozenTestMoved, match=lesion):
        ham10000_splits((image_of(lesion),))
