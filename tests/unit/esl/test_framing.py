"""Bytes into frames: every recorded conversation in every chunking, and peers that do not keep to the protocol."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.esl import framing
from fsbridge.esl.errors import EslProtocolError
from fsbridge.esl.framing import Frame, FrameDecoder, parse_headers
from tests.traces import loader

pytestmark = pytest.mark.unit


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def by_line(data: bytes) -> Iterator[bytes]:
    yield from data.splitlines(keepends=True)


def by_byte(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


def at_random(data: bytes) -> Iterator[bytes]:
    dice = random.Random(7)
    at = 0
    while at < len(data):
        size = dice.choice((1, 2, 3, 60, 1_000, 5_000))
        yield data[at : at + size]
        at += size


def frames_of(chunks: Iterator[bytes] | list[bytes]) -> list[Frame]:
    decoder = FrameDecoder()
    found: list[Frame] = []
    for chunk in chunks:
        decoder.receive_data(chunk)
        found += decoder.frames()
    assert decoder.pending == 0
    return found


def split_by_hand(raw: bytes) -> Frame:
    """A recorded frame, read in the simplest way: the recording has one frame an entry."""
    head, _, body = raw.partition(b"\n\n")
    lines = [line.partition(b": ") for line in head.split(b"\n")]
    return Frame({name.decode(): value.strip().decode() for name, _, value in lines}, body)


@pytest.mark.parametrize("name", loader.names())
@pytest.mark.parametrize("cut", [whole, by_line, at_random])
def test_a_recorded_conversation_gives_its_frames_in_any_chunking(
    name: str, cut: Callable[[bytes], Iterator[bytes]]
) -> None:
    recorded = loader.received(name)
    found = frames_of(cut(b"".join(recorded)))
    assert len(found) == len(recorded)
    assert found == [split_by_hand(raw) for raw in recorded]


@pytest.mark.parametrize("name", ["wrong_password", "filters"])
def test_a_recorded_conversation_gives_its_frames_byte_by_byte(name: str) -> None:
    recorded = loader.received(name)
    assert frames_of(by_byte(b"".join(recorded))) == [split_by_hand(raw) for raw in recorded]


def test_the_selection_in_the_tree_is_enough_for_a_strangers_clone() -> None:
    packed = list(loader.HERE.glob("*.jsonl.gz"))
    assert len(packed) >= 10
    assert sum(path.stat().st_size for path in packed) < 1_500_000


def outcome(chunks: list[bytes]) -> tuple[list[Frame], str | None]:
    decoder = FrameDecoder()
    found: list[Frame] = []
    for chunk in chunks:
        decoder.receive_data(chunk)
        try:
            for frame in decoder.frames():
                found.append(frame)
        except EslProtocolError as error:
            return found, str(error)
    return found, None


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                b"\n",
                b"\n\n",
                b"Content-Length: 3\n\nabc",
                b"Content-Length: 0\n\n",
                b"Content-Length: -1\n\n",
                b"Content-Length: 99999999999\n\n",
                b"Content-Type: auth/request\n\n",
                b"\xff\xfe: \xff\n",
                b": \n",
            ]
        ),
    ),
    max_size=12,
).map(b"".join)


@settings(deadline=None)
@given(data=PIECES, seed=st.integers(0, 2**16))
def test_frames_and_faults_do_not_depend_on_the_chunks(data: bytes, seed: int) -> None:
    cuts = sorted(random.Random(seed).randrange(len(data) + 1) for _ in range(6))
    edges = [0, *cuts, len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert outcome(pieces) == outcome([data])


@pytest.mark.parametrize("length", ["-1", "abc", "", "1 2", "0x10", "+5", "١", "1.0"])
def test_a_length_that_is_no_number_ends_the_stream(length: str) -> None:
    _, fault = outcome([f"Content-Type: api/response\nContent-Length: {length}\n\nbody".encode()])
    assert fault is not None
    assert "is no number" in fault


@pytest.mark.parametrize("length", [str(framing.MAX_BODY_BYTES + 1), "9" * 13, "9" * 5_000])
def test_a_body_beyond_the_bound_ends_the_stream_before_it_is_read(length: str) -> None:
    decoder = FrameDecoder()
    decoder.receive_data(f"Content-Length: {length}\n\n".encode())
    with pytest.raises(EslProtocolError, match="at most"):
        list(decoder.frames())
    decoder.receive_data(b"x" * 1_000)
    assert decoder.pending == 0


def test_a_missing_length_means_no_body() -> None:
    found, fault = outcome([b"Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK\n\n"])
    assert fault is None
    assert [frame.headers["Content-Type"] for frame in found] == ["auth/request", "command/reply"]


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("step", [1, 65_536 * 2])
def test_a_header_block_is_bounded_alike_in_every_chunking(extra: int, step: int) -> None:
    name = b"X: "
    block = name + b"a" * (framing.MAX_HEADER_BYTES - len(name) + extra)
    data = block + b"\n\n"
    found, fault = outcome([data[at : at + step] for at in range(0, len(data), step)])
    assert (len(found), fault is None) == ((1, True) if extra == 0 else (0, False))


def test_frames_before_a_fault_are_kept_and_the_fault_stays() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(b"A: 1\n\nB: 2\n\nContent-Length: no\n\nC: 3\n\n")
    frames = decoder.frames()
    assert [dict(next(frames).headers), dict(next(frames).headers)] == [{"A": "1"}, {"B": "2"}]
    with pytest.raises(EslProtocolError):
        next(frames)
    decoder.receive_data(b"D: 4\n\n")
    with pytest.raises(EslProtocolError):
        list(decoder.frames())


def test_a_slow_body_is_not_searched_again() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(b"Content-Length: 6\n\n\n\n\n")
    assert list(decoder.frames()) == []
    decoder.receive_data(b"\n\n\n")
    assert [frame.body for frame in decoder.frames()] == [b"\n" * 6]


def test_headers_are_split_before_they_are_decoded() -> None:
    block = b"Caller: a%0AEvent-Name: FORGED\nEvent-Name: REAL\nBad-Utf8: %ff\nno header\nEvent-Name: SECOND"
    headers = parse_headers(block, decode=True)
    assert headers == {"Caller": "a\nEvent-Name: FORGED", "Event-Name": "REAL", "Bad-Utf8": "\ufffd"}
    assert parse_headers(b"X: 100%25", decode=False) == {"X": "100%25"}
