"""Bytes of the event socket into frames: a header block, an empty line, a body of Content-Length bytes. Pure.

Only the outer layer is read here; what a frame means is `esl.events`'s matter. Lines are split before anything
is decoded, and lengths are bytes, as FreeSWITCH counts them (mod_event_socket).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from fsbridge.esl.errors import EslProtocolError

MAX_HEADER_BYTES = 65_536
MAX_BODY_BYTES = 16 * 1024 * 1024
"""Far above the 3–15 kB of an event; `show channels` of thousands of channels is a few MB."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: its outer headers, and its body as it came."""

    headers: Mapping[str, str]
    body: bytes = b""


class FrameDecoder:
    """`receive_data` takes bytes in any chunks; `frames` gives the frames that are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._headers: dict[str, str] | None = None
        self._body_length = 0
        self._fault: str | None = None

    @property
    def pending(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> None:
        """Take what the socket gave; after a fault nothing is kept."""
        if self._fault is None:
            self._buffer += data

    def frames(self) -> Iterator[Frame]:
        """The frames that are complete, in order.

        Raises EslProtocolError for a header block or a body beyond the bounds, or a Content-Length that is no
        number: the stream cannot be followed any further then, now or later. The frames before the fault come
        first, however the bytes were cut: one of them may be the end of a call.
        """
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if self._fault is not None:
            raise EslProtocolError(self._fault)
        if self._headers is None and not self._read_headers():
            return None
        if len(self._buffer) < self._body_length or self._headers is None:
            return None
        frame = Frame(self._headers, bytes(self._buffer[: self._body_length]))
        del self._buffer[: self._body_length]
        self._headers, self._body_length, self._searched = None, 0, 0
        return frame

    def _read_headers(self) -> bool:
        while self._buffer.startswith(b"\n"):
            # FreeSWITCH ends some bodies with a line of their own that Content-Length does not count.
            del self._buffer[:1]
        # The second newline of the empty line may be the first byte that was not searched yet.
        end = self._buffer.find(b"\n\n", max(0, self._searched - 1))
        if (end if end >= 0 else len(self._buffer) - 1) > MAX_HEADER_BYTES:
            raise self._failed(f"a header block of more than {MAX_HEADER_BYTES} bytes")
        if end < 0:
            self._searched = len(self._buffer)
            return False
        headers = parse_headers(bytes(self._buffer[:end]), decode=False)
        self._body_length = self._content_length(headers)
        self._headers = headers
        del self._buffer[: end + 2]
        return True

    def _content_length(self, headers: Mapping[str, str]) -> int:
        text = headers.get("Content-Length")
        if text is None:
            return 0
        if not (text.isascii() and text.isdigit()):
            raise self._failed(f"Content-Length {text[:40]!r} is no number")
        # Compared as text first: Python refuses to read a number of thousands of digits.
        length = int(text) if len(text) <= len(str(MAX_BODY_BYTES)) else MAX_BODY_BYTES + 1
        if length > MAX_BODY_BYTES:
            raise self._failed(f"a body of {text[:40]} bytes; at most {MAX_BODY_BYTES} are taken")
        return length

    def _failed(self, fault: str) -> EslProtocolError:
        self._fault = fault
        self._buffer.clear()
        return EslProtocolError(fault)


def parse_headers(block: bytes, *, decode: bool) -> dict[str, str]:
    """`Name: value` lines as a dictionary; the first of two equal names stands.

    Lines are split first; only then, with `decode`, are values percent-decoded: a `%0A` in a value must not
    make a line. What is not UTF-8 becomes U+FFFD. Lines without a colon are no headers and are left out.
    """
    headers: dict[str, str] = {}
    for line in block.split(b"\n"):
        name, colon, value = line.partition(b":")
        if not colon:
            continue
        value = value.strip(b" \r\t")
        if decode and b"%" in value:
            value = unquote_to_bytes(value)
        headers.setdefault(name.strip().decode("utf-8", "replace"), value.decode("utf-8", "replace"))
    return headers
