"""Broken photographs by the ten thousand: each is refused in words or stored clean, within time and memory."""

import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagnosis.classifier import images
from tests.fuzz.judge import judge
from tests.fuzz.mutations import CANARY, mutated, samples
from tests.fuzz.run import fuzz

#: For a longer run: SKINCARE_FUZZ_INPUTS=1000000 SKINCARE_FUZZ_SEED=50001 pytest tests/fuzz -m slow
INPUTS = int(os.environ.get("SKINCARE_FUZZ_INPUTS", "50000"))
SEED = int(os.environ.get("SKINCARE_FUZZ_SEED", "1"))


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_no_broken_photograph_crashes_hangs_or_leaves_rubbish() -> None:
    found = fuzz(SEED, INPUTS, processes=os.cpu_count() or 1, tell=True)
    print(f"{found.inputs} inputs from {SEED} on: {found.codes}; {found.slowest}; {found.peak_megabytes} MB")  # noqa: T201
    assert found.faults == []
    assert found.inputs == INPUTS
    # Neither all refused at the door nor all taken: the mutations reach the decoders.
    assert min(found.codes[code] for code in ("taken", "damaged", "too_many_pixels", "animated")) > INPUTS // 500


@given(seed=st.integers(10**6, 10**9))
@settings(max_examples=60, deadline=None)
def test_a_few_of_them_each_time(seed: int) -> None:
    judge(mutated(seed))


def test_a_number_always_makes_the_same_input() -> None:
    assert [mutated(n) for n in range(40)] == [mutated(n) for n in range(40)]
    assert len({mutated(n) for n in range(40)}) > 35
    assert any(CANARY in sample for sample in samples())


@pytest.mark.slow
def test_the_fuzzing_finds_and_names_a_crash_a_hang_and_too_much_memory() -> None:
    found = fuzz(100, 5, processes=1, silence=3.0, module="tests.fuzz.broken")
    assert dict(found.codes) == {"taken": 1, "damaged": 1}
    assert [(number, fault.partition(":")[0]) for number, fault in found.faults] == [
        (101, "MemoryError"),
        (103, "the process ended with -6"),
        (104, "the process ended with -9"),
    ]


def test_a_child_that_cannot_start_is_not_taken_for_a_finding() -> None:
    with pytest.raises(RuntimeError, match="before it read anything"):
        fuzz(0, 1, module="tests.fuzz.nowhere")


@pytest.mark.parametrize(
    "stored",
    [
        lambda: images.jpeg_with_metadata(),
        lambda: images.jpeg() + b"x",
        lambda: images.jpeg(progressive=True),
        lambda: images.jpeg(comment=CANARY),
    ],
    ids=["metadata", "trailing byte", "progressive", "comment"],
)
def test_the_judge_would_notice_rubbish(stored: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    rubbish = stored()
    monkeypatch.setattr("diagnosis.classifier.photograph._encode", lambda _image, _sampling: rubbish)
    with pytest.raises(AssertionError):
        judge(images.jpeg())


#: What fuzzing found, made anew by hand: what it was, and what it is refused as now.
FOUND: dict[str, tuple[Callable[[], bytes], str]] = {
    # Input 30967: libjpeg reads it and does not write it; the OSError said that the store does not answer.
    "a strip wider than a JPEG can be written": (lambda: _strip(), "too_many_pixels"),
}


def _strip() -> bytes:
    from PIL import Image

    return images.saved(Image.new("RGB", (65535, 230), "#a06050"), "PNG")


@pytest.mark.parametrize("what", list(FOUND))
def test_what_fuzzing_found_is_refused_in_words(what: str) -> None:
    make, code = FOUND[what]
    assert judge(make()) == code
