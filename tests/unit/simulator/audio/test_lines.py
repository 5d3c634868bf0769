"""Who hears whom: lines that are fed from others, in bridges, conferences and calls that come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.simulator.audio.lines import MAX_UTTERANCES, RATE, Line, silence

pytestmark = pytest.mark.unit


def pcm(*values: int) -> bytes:
    return np.array(values, "<i2").tobytes()


def values(sound: bytes) -> list[int]:
    return [int(value) for value in np.frombuffer(sound, "<i2")]


def test_a_fed_line_hears_the_other_where_it_plays_nothing_itself() -> None:
    other, line = Line(), Line()
    other.play(10, pcm(1, 2, 3, 4, 5, 6, 7, 8))
    line.feed(2, [(other, 10)])
    line.play(4, pcm(90, 91))
    assert values(line.read(0, 10)) == [0, 0, 3, 4, 90, 91, 7, 8, 0, 0]
    assert line.playing_at(2)
    assert line.playing_at(7)
    assert not line.playing_at(8)
    line.unfeed(6)
    assert values(line.read(5, 4)) == [91, 0, 0, 0]
    assert not line.playing_at(6)


def test_several_are_added_up_and_clipped() -> None:
    first, second, line = Line(), Line(), Line()
    first.play(0, pcm(1, 30_000, -30_000))
    second.play(1, pcm(5, 30_000, -30_000))
    line.feed(0, [(first, 0), (second, 1)])
    assert values(line.read(0, 3)) == [6, 32_767, -32_768]


def test_a_new_feed_takes_the_place_of_the_one_before() -> None:
    first, second, line = Line(), Line(), Line()
    first.play(0, pcm(*[1] * 10))
    second.play(0, pcm(*[2] * 10))
    line.feed(0, [(first, 0)])
    line.feed(4, [(second, 0)])
    assert values(line.read(0, 10)) == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    line.feed(8, [])
    assert values(line.read(6, 4)) == [2, 2, 0, 0]


def test_nobody_hears_themselves_through_others() -> None:
    first, second, third = Line(), Line(), Line()
    second.feed(0, [(first, 0)])
    third.feed(0, [(second, 0)])
    first.feed(0, [(third, 0)])
    first.feed(1, [(first, 0)])
    first.play(0, pcm(7))
    assert values(third.read(0, 2)) == [7, 0]
    assert values(first.read(0, 3)) == [7, 0, 0]


def test_what_is_kept_is_kept_where_it_comes_from() -> None:
    other, line = Line(keep_seconds=1), Line(keep_seconds=1)
    line.feed(0, [(other, 0)])
    line.keep(100 * RATE)
    assert other.keep_samples == 100 * RATE
    later = Line(keep_seconds=1)
    line.feed(10, [(later, 0)])
    assert later.keep_samples == 100 * RATE
    other.play(0, pcm(3))
    other.play(50 * RATE, pcm(4))
    assert values(line.read(0, 1)) == [3]


def test_old_feeds_are_forgotten() -> None:
    other, line = Line(), Line(keep_seconds=1)
    for second in range(100):
        line.feed(second * RATE, [(other, 0)])
    assert len(line._feeds) < 5


def test_words_are_heard_where_their_sound_is_and_not_when_it_was_cut() -> None:
    other, line = Line(), Line()
    other.play(100, silence(50), "hello")
    other.play(200, silence(50), "cut")
    other.cut(220)
    line.feed(0, [(other, 40)])
    line.play(5, silence(10), "mine")
    assert [(word.start, word.end, word.text) for word in line.words(0)] == [(5, 15, "mine"), (60, 110, "hello")]
    assert [word.text for word in line.words(20)] == ["hello"]
    line.unfeed(80)
    assert [word.text for word in line.words(20)] == []
    for turn in range(2 * MAX_UTTERANCES):
        other.play(1000 + turn, silence(1), str(turn))
    assert len(other.words(0)) == MAX_UTTERANCES


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=6), st.integers(0, 30), st.integers(-20, 20)
)
def test_reading_in_pieces_is_reading_at_once(pieces: list[tuple[int, int]], fed_at: int, offset: int) -> None:
    other, line = Line(), Line()
    for number, (at, count) in enumerate(sorted(pieces)):
        (other if number % 2 else line).play(at, pcm(*[number + 1] * count))
    line.feed(fed_at, [(other, offset)])
    whole = line.read(0, 60)
    assert len(whole) == 120
    assert b"".join(line.read(at, 3) for at in range(0, 60, 3)) == whole
