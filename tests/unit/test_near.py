"""The word that was probably meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.near import Words
from tests.unit.work import work

pytestmark = pytest.mark.unit

WORDS = ("gather", "name", "next", "destinationNumber", "NORMAL_CLEARING", "answered", "done", "on")


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("gathr", "gather"),
        ("gahter", "gather"),
        ("gateher", "gather"),
        ("gather", "gather"),
        ("nmae", "name"),
        ("text", "next"),
        ("destination_number", "destinationNumber"),
        ("NORMAL_CLEARNG", "NORMAL_CLEARING"),
        ("normal-clearing", "NORMAL_CLEARING"),
        ("anserred", "answered"),
        ("no", None),
        ("ON", "on"),
        ("", None),
        ("something else", None),
        ("gather" * 20, None),
    ],
)
def test_the_nearest_word(word: str, near: str | None) -> None:
    assert Words(WORDS).nearest(word) == near


def test_the_nearer_of_two_and_the_first_of_two_as_near() -> None:
    assert Words(["stepping_one", "stepping_ones"]).nearest("stepping_ones") == "stepping_ones"
    assert Words(["abcd", "abce"]).nearest("abcf") == "abcd"


_NAMES = st.text("abcdeXY_-", min_size=1, max_size=70)


@given(st.lists(_NAMES, max_size=8), _NAMES)
def test_a_word_that_is_there_is_found_and_one_that_is_not_is_never_named(words: list[str], other: str) -> None:
    known = Words(words)
    assert known.nearest(other) in {*words, None}
    for word in words:
        found = known.nearest(word)
        assert found is not None
        assert _plain(found) == _plain(word)


def _plain(word: str) -> str:
    return word[:64].casefold().replace("_", "").replace("-", "")


@pytest.mark.parametrize("size", [5, 8, 12, 64])
def test_looking_up_costs_the_same_among_few_words_and_many(size: int) -> None:
    few, many = Words(_made(10, size)), Words(_made(1_000, size))
    asked = _made(1_050, size)[1_040:]
    of_few = work(lambda: [few.nearest(word) for word in asked])
    assert work(lambda: [many.nearest(word) for word in asked]) <= 2 * of_few


def _made(count: int, size: int) -> list[str]:
    return [f"{'q' * size}{number}"[-size:] for number in range(count)]
