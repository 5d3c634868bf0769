"""What is kept of documents: by what it weighs, the longest unused go first."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid, Problem
from fsbridge.flow.library import shelf
from fsbridge.flow.library.shelf import Kept, Shelf

pytestmark = pytest.mark.unit

DOCUMENT = parse("steps: [{id: a, pause: 1}]")


def kept(size: int = 1, stamp: int = 0) -> Kept:
    return Kept((stamp, 1, 1), "v", size, DOCUMENT)


def test_another_stamp_is_another_document() -> None:
    found = Shelf()
    found.put(Path("a"), kept(stamp=1))
    assert found.get(Path("a"), (1, 1, 1)) is not None
    assert found.get(Path("a"), (2, 1, 1)) is None
    assert found.get(Path("b"), (1, 1, 1)) is None


def test_the_longest_unused_go_first_and_large_ones_count_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MAX_KEPT", 10_000)
    found = Shelf()
    for name in "abcd":
        found.put(Path(name), kept(2_500))
    assert found.get(Path("a"), (0, 1, 1)) is not None
    found.put(Path("e"), kept(5_000))
    assert [name for name in "abcde" if found.get(Path(name), (0, 1, 1)) is not None] == ["a", "d", "e"]
    found.put(Path("f"), kept(50_000))
    assert [name for name in "abcdef" if found.get(Path(name), (0, 1, 1)) is not None] == ["f"]


def test_what_is_put_again_or_dropped_weighs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MAX_KEPT", 6_000)
    found = Shelf()
    for _ in range(10):
        found.put(Path("a"), kept(5_000))
    found.drop(Path("a"))
    found.drop(Path("a"))
    found.put(Path("b"), kept(5_000))
    found.put(Path("c"), kept(1))
    assert found.get(Path("b"), (0, 1, 1)) is not None


def test_faults_weigh_as_well() -> None:
    faults = FlowInvalid(*(Problem("f", "x" * 500) for _ in range(100)))
    assert Kept((0, 1, 1), "v", 10, faults).weight > 50_000
