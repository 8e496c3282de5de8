"""The page of the benchmarks: each section has its place, and writing one leaves all else as people wrote it."""

from pathlib import Path

import pytest

from bench import page
from bench.__main__ import SECTIONS


def test_the_page_has_a_place_for_every_section() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    for name in SECTIONS:
        assert text.count(f"<!-- {name}: written by `make bench` -->") == 1
        assert text.count(f"<!-- {name}: end -->") == 1


def test_only_what_stands_between_the_marks_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "page.md"
    own.write_text("before\n<!-- one: written by `make bench` -->\nold\n<!-- one: end -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", own)

    page.put("one", "\nnew\n")

    assert own.read_text(encoding="utf-8") == (
        "before\n<!-- one: written by `make bench` -->\nnew\n<!-- one: end -->\nafter\n"
    )
    with pytest.raises(LookupError, match="no place for 'other'"):
        page.put("other", "text")
