"""The frames of the audio WebSocket, against an independent peer (`websockets`' sans-I/O client)."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from amd_model.websocket import frames
from amd_model.websocket.frames import USUAL_SIZE, AudioReceiver, usual_payloads

pytestmark = pytest.mark.unit


def masked(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), payload, fin=fin).serialize(mask=True)


def fed(*chunks: bytes) -> AudioReceiver:
    receiver = AudioReceiver()
    for chunk in chunks:
        receiver.receive(chunk)
    return receiver


@given(
    payloads=st.lists(st.binary(max_size=700), max_size=8),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    text=st.text(max_size=40),
)
def test_the_audio_is_the_same_however_the_bytes_are_cut(payloads: list[bytes], cuts: list[int], text: str) -> None:
    data = masked(1, text.encode()) + b"".join(masked(2, payload) for payload in payloads) + masked(9, b"are you there")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    receiver = fed(*(data[a:b] for a, b in itertools.pairwise(edges)))
    assert bytes(receiver.audio) == b"".join(payloads)
    assert receiver.texts == [text]
    assert receiver.outgoing == b"\x8a\x0dare you there"
    assert receiver.close_code is None


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_at_all_are_survived(chunks: list[bytes]) -> None:
    receiver = fed(*chunks)
    if receiver.close_code is not None and receiver.fault:
        assert receiver.outgoing.endswith(frames.close_frame(receiver.close_code, receiver.fault))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 319, 10_000, 65_535, 65_536, frames.MAX_MESSAGE_BYTES])
def test_every_length_form(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = masked(2, payload)
    assert bytes(fed(data[:3], data[3:9], data[9:]).audio) == payload


def test_fragments_are_joined_with_a_ping_between() -> None:
    receiver = fed(
        masked(2, b"ab", fin=False) + masked(9, b"") + masked(0, b"c", fin=False) + masked(0, b"d") + masked(2, b"e")
    )
    assert bytes(receiver.audio) == b"abcde"
    assert receiver.outgoing == b"\x8a\x00"
    assert fed(masked(1, b"{", fin=False), masked(0, b"}")).texts == ["{}"]


def test_an_unasked_pong_is_ignored() -> None:
    receiver = fed(masked(10, b"x"))
    assert (receiver.outgoing, receiver.close_code) == (b"", None)


BAD_FRAMES = {
    "unmasked": (Frame(Opcode.BINARY, b"x").serialize(mask=False), 1002),
    "reserved bits": (b"\xc2\x81\0\0\0\0x", 1002),
    "unknown data opcode": (b"\x83\x80\0\0\0\0", 1002),
    "unknown control opcode": (b"\x8b\x80\0\0\0\0", 1002),
    "fragmented ping": (b"\x09\x80\0\0\0\0", 1002),
    "long ping": (b"\x89\xfe\x00\x7e", 1002),
    "very long ping": (b"\x89\xff\x00", 1002),
    "stray continuation": (masked(0, b"x"), 1002),
    "message inside a message": (masked(2, b"a", fin=False) + masked(2, b"b"), 1002),
    "text is not UTF-8": (masked(1, b"\xff\xfe"), 1007),
    "oversized message": (b"\x82\xff" + struct.pack("!Q", frames.MAX_MESSAGE_BYTES + 1) + b"mask", 1009),
    "impossible length": (b"\x82\xff" + b"\xff" * 8 + b"mask", 1009),
    "oversized text": (b"\x81\xfe" + struct.pack("!H", frames.MAX_TEXT_BYTES + 1) + b"mask", 1009),
    "oversized by fragments": (masked(2, bytes(100_000), fin=False) + masked(0, bytes(100_000)), 1009),
    "close with one byte": (masked(8, b"\x03"), 1002),
    "close with code 1005": (masked(8, b"\x03\xed"), 1002),
    "close with code 2999": (masked(8, b"\x0b\xb7"), 1002),
    "close reason is not UTF-8": (masked(8, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
@pytest.mark.parametrize("step", [1, 10_000_000])
def test_a_broken_frame_is_answered_with_its_close_code(name: str, step: int) -> None:
    data, code = BAD_FRAMES[name]
    step = max(step, len(data) // 5_000)
    receiver = fed(*(data[i : i + step] for i in range(0, len(data), step)))
    assert receiver.close_code == code
    assert receiver.outgoing == frames.close_frame(code, receiver.fault)
    before = receiver.outgoing
    receiver.receive(masked(2, b"late"))
    assert (receiver.outgoing, bytes(receiver.audio)) == (before, b"")


def test_an_independent_peer_reads_what_we_send() -> None:
    peer = Protocol(CLIENT)
    peer.receive_data(frames.text_frame("é" * 200) + frames.text_frame("x" * 70_000) + frames.close_frame(1001, "bye"))
    received = [event for event in peer.events_received() if isinstance(event, Frame)]
    assert [bytes(frame.data).decode() for frame in received[:2]] == ["é" * 200, "x" * 70_000]
    assert peer.close_rcvd is not None
    assert (peer.close_rcvd.code, peer.close_rcvd.reason) == (1001, "bye")


@pytest.mark.parametrize(("code", "reported"), [(CloseCode.NORMAL_CLOSURE, 1000), (None, 1005)])
def test_a_close_is_echoed(code: CloseCode | None, reported: int) -> None:
    peer = Protocol(CLIENT)
    peer.send_close(code)
    receiver = fed(b"".join(peer.data_to_send()))
    assert receiver.close_code == reported
    assert receiver.fault == ""
    peer.receive_data(receiver.outgoing)
    peer.receive_eof()
    assert peer.close_code == reported


def test_discarding_drops_data_and_still_hears_control_frames() -> None:
    receiver = AudioReceiver()
    receiver.discard = True
    receiver.receive(
        masked(2, b"x" * 320) + masked(1, b"\xff") + masked(2, b"y", fin=False) + masked(0, b"z") + masked(9, b"p")
    )
    assert (bytes(receiver.audio), receiver.texts, receiver.outgoing) == (b"", [], b"\x8a\x01p")
    receiver.receive(masked(8, b"\x03\xe8"))
    assert receiver.close_code == 1000


# --- many at once ------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=320, max_size=320), max_size=20))
def test_usual_frames_are_unmasked_together(payloads: list[bytes]) -> None:
    frames = b"".join(masked(2, payload) for payload in payloads)
    assert usual_payloads(frames) == (b"".join(payloads), [])


def test_what_is_no_usual_frame_is_named() -> None:
    ping = masked(9, bytes(100))
    odd = ping + masked(2, bytes(USUAL_SIZE - len(ping) - 8))
    assert len(odd) == USUAL_SIZE
    data = masked(2, bytes(range(64)) * 5) + odd + masked(2, bytes(320))
    payloads, others = usual_payloads(memoryview(data))
    assert others == [1]
    assert payloads[:320] == bytes(range(64)) * 5
    assert payloads[640:] == bytes(320)


def test_a_receiver_knows_when_it_is_between_two_messages() -> None:
    whole = masked(2, bytes(320))
    assert fed().between
    assert fed(whole).between
    assert not fed(whole[:50]).between
    assert not fed(masked(2, b"ab", fin=False)).between
    assert not fed(masked(8, b"")).between
    idle = fed()
    idle.discard = True
    assert not idle.between
