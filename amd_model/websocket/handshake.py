"""The opening handshake of an audio tap's WebSocket, and plain HTTP answers on the same port (RFC 6455, RFC 9110).

Pure: bytes in, values and bytes out; no sockets, no clock, no logging. `parse_request` reads a request head,
`upgrade` answers it; what gets no upgrade gets a `Refusal`, which holds its whole answer.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_HEAD_BYTES = 8_192
SUBPROTOCOL = "audio.drachtio.org"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_LINE = re.compile(r"([A-Z]{1,16}) (\S{1,2048}) HTTP/(1\.[01])")
_ABSOLUTE = re.compile(r"(?:https?|wss?)://[^/?#]+([/?]?.*)", re.IGNORECASE)


class Refusal(Exception):
    """The request gets no upgrade; `response` is the whole HTTP answer to send before closing."""

    def __init__(self, status: HTTPStatus, message: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.response = http_response(status, message + "\n", headers=headers)


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request head; header names in lower case, repeated headers joined with a comma (RFC 9110 §5.3).

    `target` is the path, and the query if there is one, also of a target in absolute form (RFC 9112 §3.2.2).
    """

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    version: str = "1.1"

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def tokens(self, name: str) -> list[str]:
        """A comma-separated header as a list, spaces removed."""
        return [part.strip() for part in self.headers.get(name, "").split(",") if part.strip()]


def parse_request(data: bytes) -> tuple[Request, bytes] | None:
    """The request head in `data` and the bytes behind it; None while the head is incomplete.

    Raises Refusal when it can never become one: not HTTP/1.x, a malformed header, or over `MAX_HEAD_BYTES`.
    """
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES + 4)
    if end < 0:
        if len(data) > MAX_HEAD_BYTES:
            raise Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is too large")
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise Refusal(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or "\n" in value or "\r" in value:
            raise Refusal(HTTPStatus.BAD_REQUEST, "malformed header line")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(match[1], _origin(match[2]), headers, match[3]), data[end + 4 :]


def _origin(target: str) -> str:
    """A target in origin form."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return target
    return match[1] if match[1].startswith("/") else f"/{match[1]}"


def wants_upgrade(request: Request) -> bool:
    """True when the request asks for any protocol upgrade at all (then it is `upgrade`'s to judge)."""
    return "upgrade" in request.headers


def upgrade(request: Request) -> bytes:
    """The 101 response. Raises Refusal when the request is no WebSocket opening handshake (RFC 6455 §4.2.1).

    Any path, and any or no Host are accepted: mod_audio_fork sends Host without the port. The sub-protocol is
    echoed when it was offered; a client that offers none gets none.
    """
    if request.version != "1.1":
        raise Refusal(
            HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"a WebSocket opens with HTTP/1.1, not with HTTP/{request.version}"
        )
    if request.method != "GET":
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "a WebSocket opens with GET", (("Allow", "GET"),))
    upgrades = [token.lower() for token in request.tokens("upgrade")]
    connection = [token.lower() for token in request.tokens("connection")]
    if "websocket" not in upgrades or "upgrade" not in connection:
        raise Refusal(
            HTTPStatus.UPGRADE_REQUIRED,
            "Upgrade: websocket and Connection: Upgrade are needed",
            (("Upgrade", "websocket"),),
        )
    if request.headers.get("sec-websocket-version") != "13":
        raise Refusal(
            HTTPStatus.UPGRADE_REQUIRED, "only WebSocket version 13 is spoken", (("Sec-WebSocket-Version", "13"),)
        )
    key = request.headers.get("sec-websocket-key", "")
    try:
        good = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        good = False
    if not good:
        raise Refusal(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    if SUBPROTOCOL in request.tokens("sec-websocket-protocol"):
        lines.append(f"Sec-WebSocket-Protocol: {SUBPROTOCOL}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def http_response(
    status: HTTPStatus,
    body: str,
    content_type: str = "text/plain; charset=utf-8",
    headers: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A whole HTTP/1.1 answer; the connection is closed after it."""
    payload = body.encode()
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(payload)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + payload
