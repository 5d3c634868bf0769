"""The server half of the audio WebSocket, against an independent peer (`websockets`' sans-I/O client)."""

from __future__ import annotations

import itertools
import struct
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import CLIENT, Protocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from amd_model.worker import websocket
from amd_model.worker.websocket import USUAL_SIZE, AudioReceiver, Refusal, parse_request, upgrade, usual_payloads

pytestmark = pytest.mark.unit

HANDSHAKE = (
    b"GET /amd HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: audio.drachtio.org\r\n\r\n"
)


def masked(opcode: int, payload: bytes, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), payload, fin=fin).serialize(mask=True)


def fed(*chunks: bytes) -> AudioReceiver:
    receiver = AudioReceiver()
    for chunk in chunks:
        receiver.receive(chunk)
    return receiver


def without(header: str) -> bytes:
    lines = HANDSHAKE.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(header.encode() + b":"))


# --- opening handshake -------------------------------------------------------------------------------------------


def test_the_rfc_example_gets_the_rfc_answer() -> None:
    parsed = parse_request(HANDSHAKE + b"rest")
    assert parsed is not None
    request, rest = parsed
    assert (request.method, request.path, rest) == ("GET", "/amd", b"rest")
    response = upgrade(request)
    assert response.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in response  # RFC 6455 section 1.3
    assert b"Sec-WebSocket-Protocol: audio.drachtio.org\r\n" in response


def test_an_independent_client_accepts_the_answer() -> None:
    client = ClientProtocol(parse_uri("ws://127.0.0.1:9/amd"), subprotocols=[Subprotocol(websocket.SUBPROTOCOL)])
    client.send_request(client.connect())
    parsed = parse_request(b"".join(client.data_to_send()))
    assert parsed is not None
    client.receive_data(upgrade(parsed[0]))
    client.events_received()
    assert client.handshake_exc is None
    assert client.subprotocol == websocket.SUBPROTOCOL


@pytest.mark.parametrize("cut", range(0, len(HANDSHAKE), 17))
def test_an_incomplete_head_is_waited_for(cut: int) -> None:
    assert parse_request(HANDSHAKE[:cut]) is None


def test_no_host_and_no_subprotocol_are_accepted() -> None:
    for header in ("host", "sec-websocket-protocol"):
        parsed = parse_request(without(header))
        assert parsed is not None
        response = upgrade(parsed[0])
        assert response.startswith(b"HTTP/1.1 101 ")
        assert (b"Sec-WebSocket-Protocol" in response) == (header == "host")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"\x16\x03\x01 tls hello\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\nb\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000, 431),
    ],
)
def test_what_can_never_be_a_request_is_refused(head: bytes, status: int) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_request(head)
    assert refusal.value.status == status
    assert refusal.value.response.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("head", "status", "header"),
    [
        (HANDSHAKE.replace(b"GET", b"POST"), 405, b"Allow: GET"),
        (without("connection"), 426, b"Upgrade: websocket"),
        (HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: h2c"), 426, b"Upgrade: websocket"),
        (HANDSHAKE.replace(b"Version: 13", b"Version: 8"), 426, b"Sec-WebSocket-Version: 13"),
        (without("sec-websocket-key"), 400, b"base64"),
        (HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="), 400, b"base64"),
        (HANDSHAKE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"%%%"), 400, b"base64"),
    ],
)
def test_a_wrong_handshake_says_what_is_wrong(head: bytes, status: int, header: bytes) -> None:
    parsed = parse_request(head)
    assert parsed is not None
    with pytest.raises(Refusal) as refusal:
        upgrade(parsed[0])
    assert refusal.value.status == status
    assert header in refusal.value.response


def test_an_http_answer_has_its_length_in_bytes() -> None:
    response = websocket.http_response(HTTPStatus.OK, "é", headers=(("Retry-After", "1"),))
    assert b"Content-Length: 2\r\n" in response
    assert b"Retry-After: 1\r\n" in response
    assert websocket.wants_upgrade(websocket.Request("GET", "/", {"upgrade": "websocket"}))
    assert not websocket.wants_upgrade(websocket.Request("GET", "/", {}))


# --- frames ------------------------------------------------------------------------------------------------------


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
        assert receiver.outgoing.endswith(websocket.close_frame(receiver.close_code, receiver.fault))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 319, 10_000, 65_535, 65_536, websocket.MAX_MESSAGE_BYTES])
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
    "oversized message": (b"\x82\xff" + struct.pack("!Q", websocket.MAX_MESSAGE_BYTES + 1) + b"mask", 1009),
    "impossible length": (b"\x82\xff" + b"\xff" * 8 + b"mask", 1009),
    "oversized text": (b"\x81\xfe" + struct.pack("!H", websocket.MAX_TEXT_BYTES + 1) + b"mask", 1009),
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
    assert receiver.outgoing == websocket.close_frame(code, receiver.fault)
    before = receiver.outgoing
    receiver.receive(masked(2, b"late"))
    assert (receiver.outgoing, bytes(receiver.audio)) == (before, b"")


def test_an_independent_peer_reads_what_we_send() -> None:
    peer = Protocol(CLIENT)
    peer.receive_data(
        websocket.text_frame("é" * 200) + websocket.text_frame("x" * 70_000) + websocket.close_frame(1001, "bye")
    )
    frames = [event for event in peer.events_received() if isinstance(event, Frame)]
    assert [bytes(frame.data).decode() for frame in frames[:2]] == ["é" * 200, "x" * 70_000]
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
