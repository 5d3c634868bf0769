"""The server half of the opening handshake, against an independent peer (`websockets`' sans-I/O client)."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from websockets.client import ClientProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from amd_model.websocket import handshake
from amd_model.websocket.handshake import Refusal, parse_request, upgrade

pytestmark = pytest.mark.unit

HANDSHAKE = (
    b"GET /amd HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: audio.drachtio.org\r\n\r\n"
)


def without(header: str) -> bytes:
    lines = HANDSHAKE.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(header.encode() + b":"))


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
    client = ClientProtocol(parse_uri("ws://127.0.0.1:9/amd"), subprotocols=[Subprotocol(handshake.SUBPROTOCOL)])
    client.send_request(client.connect())
    parsed = parse_request(b"".join(client.data_to_send()))
    assert parsed is not None
    client.receive_data(upgrade(parsed[0]))
    client.events_received()
    assert client.handshake_exc is None
    assert client.subprotocol == handshake.SUBPROTOCOL


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/amd/7", "/amd/7"),
        ("/healthz?verbose", "/healthz"),
        ("http://worker:9201/healthz", "/healthz"),
        ("HTTP://10.0.0.1/healthz?x=http://y", "/healthz"),
        ("ws://worker:9201/amd/7", "/amd/7"),
        ("wss://worker", "/"),
        ("http://worker?x=/y", "/"),
        ("*", "*"),
        ("ftp://worker/healthz", "ftp://worker/healthz"),
        ("http:///healthz", "http:///healthz"),
    ],
)
def test_a_target_may_be_a_whole_url(target: str, path: str) -> None:
    parsed = parse_request(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert parsed is not None
    assert parsed[0].path == path


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
        (HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"), 505, b"opens with HTTP/1.1, not with HTTP/1.0"),
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
    response = handshake.http_response(HTTPStatus.OK, "é", headers=(("Retry-After", "1"),))
    assert b"Content-Length: 2\r\n" in response
    assert b"Retry-After: 1\r\n" in response
    assert handshake.wants_upgrade(handshake.Request("GET", "/", {"upgrade": "websocket"}))
    assert not handshake.wants_upgrade(handshake.Request("GET", "/", {}))
