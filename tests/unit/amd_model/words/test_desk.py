"""Looks on their way: whole in any pieces, bounded, and nothing else is taken for one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.detector.evidence import WordEvidence
from amd_model.verdict import Answerer
from amd_model.words.desk import HEAD, MAX_LINE, MAX_SOUND_BYTES, Answer, Answers, DeskError, Request, Requests

pytestmark = pytest.mark.unit

requests = st.builds(
    Request,
    key=st.integers(0, 2**64 - 1),
    until_ms=st.integers(0, 60_000),
    deadline=st.floats(0, 1e9),
    pcm=st.binary(max_size=400),
)
evidence = st.builds(
    WordEvidence,
    live=st.sampled_from([0.0, 0.25, 1.0]),
    sure=st.sampled_from([0.0, 0.5, 1.0]),
    until_ms=st.integers(0, 60_000),
    person=st.sampled_from([Answerer.PERSON, Answerer.BUSINESS]),
    machine=st.sampled_from([Answerer.VOICEMAIL, Answerer.MENU]),
    language=st.sampled_from(["", "en"]),
    text=st.text(max_size=50),
)
answers = st.builds(
    Answer,
    key=st.integers(0, 2**64 - 1),
    words=st.none() | evidence,
    late=st.booleans(),
    cpu_s=st.sampled_from([0.0, 0.125]),
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@given(st.lists(requests, max_size=5), st.lists(st.integers(0), max_size=8))
def test_requests_arrive_whole(sent: list[Request], cuts: list[int]) -> None:
    reader = Requests()
    data = b"".join(request.encode() for request in sent)
    assert [got for piece in pieces(data, cuts) for got in reader.feed(piece)] == sent


@given(st.lists(answers, max_size=5), st.lists(st.integers(0), max_size=8))
def test_answers_arrive_whole(sent: list[Answer], cuts: list[int]) -> None:
    reader = Answers()
    data = b"".join(answer.encode() for answer in sent)
    assert [got for piece in pieces(data, cuts) for got in reader.feed(piece)] == sent


def test_too_much_sound_is_refused() -> None:
    with pytest.raises(DeskError, match="at most"):
        list(Requests().feed(HEAD.pack(1, 0, 0.0, MAX_SOUND_BYTES + 1)))


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b"{}\n", b'{"key":1,"late":false,"cpu":0,"words":{}}\n'])
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(DeskError, match="no answer"):
        Answers().feed(line)


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(DeskError, match="without an end"):
        Answers().feed(b"x" * (MAX_LINE + 1))
