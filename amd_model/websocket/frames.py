"""The frames of an audio tap's WebSocket, server side: only what a tap needs.

Pure: bytes in, values and bytes out; no sockets, no clock, no logging. `AudioReceiver` reads the frames of one
connection. Binary messages of any length are concatenated into one stream of bytes, because mod_audio_fork sends
longer frames when it lags and a frame boundary means nothing.

It is written by hand because it is the hottest loop of the worker: 100,000 frames a second at 2,000 streams.
Only the unmasking is borrowed (the C routine of `websockets`).
"""

from __future__ import annotations

import numpy as np

try:
    from websockets.speedups import apply_mask
except ImportError:  # a build without a C compiler: correct, four times slower
    from websockets.utils import apply_mask

MAX_MESSAGE_BYTES = 131_072
"""Eight seconds of audio: mod_audio_fork holds at most two before it drops them."""
MAX_TEXT_BYTES = 8_192

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

NORMAL, GOING_AWAY, PROTOCOL_ERROR, INVALID_DATA, POLICY, TOO_BIG, TRY_AGAIN = 1000, 1001, 1002, 1007, 1008, 1009, 1013
_NO_CODE = 1005
_USUAL_HEAD = b"\x82\xfe\x01\x40"
USUAL_SIZE = 8 + 320
"""A whole masked binary message of 20 ms at 8 kHz."""
_USUAL_WORDS = USUAL_SIZE // 4
_USUAL_WORD = np.frombuffer(_USUAL_HEAD, np.uint32)[0]


def text_frame(text: str) -> bytes:
    """One unfragmented, unmasked text message (a server never masks)."""
    return _frame(_TEXT, text.encode())


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what a control frame may hold."""
    return _frame(_CLOSE, code.to_bytes(2, "big") + reason.encode()[:123])


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


def usual_payloads(data: bytes | bytearray | memoryview) -> tuple[bytes, list[int]]:
    """Many usual frames at once: their payloads, 320 bytes each, and the numbers of those that are no usual frame.

    `data` is a whole number of `USUAL_SIZE` bytes. A numpy call costs as much as unmasking two frames by C; this is
    one for hundreds of them.
    """
    words = np.frombuffer(data, np.uint32).reshape(-1, _USUAL_WORDS)
    others = np.flatnonzero(words[:, 0] != _USUAL_WORD)
    return (words[:, 2:] ^ words[:, 1:2]).tobytes(), others.tolist()


class _Violation(Exception):
    """The peer broke the protocol; carries the close code to answer with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class AudioReceiver:
    """Reads the frames of one client. Mutable on purpose, and owned by one reader.

    After each `receive`:

    * `audio` (the owner's own buffer, if it gave one) has grown by the payload of every complete binary message:
      the owner consumes it from the front;
    * `texts` holds complete text messages, oldest first: the owner empties it;
    * `outgoing` holds bytes to send (pongs, the close frame): the owner empties it;
    * `close_code` is set once the connection is over, by the peer's close frame (its code, 1005 if it had none)
      or by its fault (the code that we answered with; `fault` says what was wrong). Later bytes are ignored.

    `discard = True` drops data messages unread: what is left to do for a stream that has its verdict.
    """

    __slots__ = ("_message", "_message_opcode", "_rest", "audio", "close_code", "discard", "fault", "outgoing", "texts")

    def __init__(self, audio: bytearray | None = None) -> None:
        self.audio = bytearray() if audio is None else audio
        self.texts: list[str] = []
        self.outgoing = b""
        self.close_code: int | None = None
        self.fault = ""
        self.discard = False
        self._rest = b""
        self._message_opcode = 0
        self._message = bytearray()

    @property
    def between(self) -> bool:
        """True between two messages, audio wanted: a usual frame that comes now needs nothing but its bytes."""
        return not (self._rest or self._message_opcode or self.discard) and self.close_code is None

    def receive(self, data: bytes) -> None:
        """Take what the socket gave. Never raises on the peer's bytes."""
        if self.close_code is not None:
            return
        try:
            self._parse(self._rest + data if self._rest else data)
        except _Violation as violation:
            self.close_code = violation.code
            self.fault = str(violation)
            self.outgoing += close_frame(violation.code, self.fault)
        if self.close_code is not None:
            self._rest = b""
            self._message = bytearray()

    def _parse(self, data: bytes) -> None:
        size = len(data)
        at = 0
        audio = self.audio
        if not self._message_opcode and not self.discard:
            # The frame that an idle switch sends, 99.99 % of all: known by its first four bytes.
            while data[at : at + 4] == _USUAL_HEAD and size - at >= USUAL_SIZE:
                audio += apply_mask(data[at + 8 : at + USUAL_SIZE], data[at + 4 : at + 8])
                at += USUAL_SIZE
        while size - at >= 2:
            first, second = data[at], data[at + 1]
            if second < 0x80:
                raise _Violation(PROTOCOL_ERROR, "a client's frame must be masked")
            length = second & 0x7F
            body = at + 6
            if length == 126:
                body = at + 8
                if size < body:
                    if first != 0x82:
                        self._check(first, second, 0)
                    break
                length = data[at + 2] << 8 | data[at + 3]
            elif length == 127:
                body = at + 14
                if size < body:
                    if first != 0x82:
                        self._check(first, second, 0)
                    break
                length = int.from_bytes(data[at + 2 : at + 10], "big")
            if first != 0x82 or length > MAX_MESSAGE_BYTES or self._message_opcode:
                self._check(first, second, length)
            end = body + length
            if size < end:
                break
            if first == 0x82:
                if not self.discard:
                    audio += apply_mask(data[body:end], data[body - 4 : body])
            else:
                self._other(first, apply_mask(data[body:end], data[body - 4 : body]))
                if self.close_code is not None:
                    return
            at = end
        self._rest = data[at:] if at else data

    def _check(self, first: int, second: int, length: int) -> None:
        """Refuse a frame by its header, before its payload is waited for."""
        opcode = first & 0x0F
        if first & 0x70:
            raise _Violation(PROTOCOL_ERROR, "reserved bits are set: no extension was agreed")
        if opcode >= 0x8:
            if opcode > _PONG:
                raise _Violation(PROTOCOL_ERROR, f"unknown opcode {opcode}")
            if not first & 0x80:
                raise _Violation(PROTOCOL_ERROR, "a control frame may not be fragmented")
            if second & 0x7F > 125:
                raise _Violation(PROTOCOL_ERROR, "a control frame holds at most 125 bytes")
            return
        if opcode > _BINARY:
            raise _Violation(PROTOCOL_ERROR, f"unknown opcode {opcode}")
        if opcode == _CONTINUATION and not self._message_opcode:
            raise _Violation(PROTOCOL_ERROR, "a continuation without a beginning")
        if opcode != _CONTINUATION and self._message_opcode:
            raise _Violation(PROTOCOL_ERROR, "a new message inside a fragmented one")
        kind = opcode or self._message_opcode
        limit = MAX_TEXT_BYTES if kind == _TEXT else MAX_MESSAGE_BYTES
        if len(self._message) + length > limit:
            raise _Violation(TOO_BIG, f"a message is longer than {limit} bytes")

    def _other(self, first: int, payload: bytes) -> None:
        """Everything but a whole binary message."""
        opcode = first & 0x0F
        if opcode == _PING:
            self.outgoing += _frame(_PONG, payload)
        elif opcode == _CLOSE:
            self._peer_closed(payload)
        elif opcode != _PONG:
            if opcode != _CONTINUATION:
                self._message_opcode = opcode
            if not self.discard:
                self._message += payload
            if first & 0x80:
                self._finish_message()

    def _finish_message(self) -> None:
        opcode, message = self._message_opcode, self._message
        self._message_opcode, self._message = 0, bytearray()
        if self.discard:
            return
        if opcode == _BINARY:
            self.audio += message
            return
        try:
            self.texts.append(message.decode())
        except UnicodeDecodeError:
            raise _Violation(INVALID_DATA, "a text message is not UTF-8") from None

    def _peer_closed(self, payload: bytes) -> None:
        if not payload:
            self.close_code = _NO_CODE
            self.outgoing += _frame(_CLOSE, b"")
            return
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not ((1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999):
            raise _Violation(PROTOCOL_ERROR, "the close frame has no valid code")
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            raise _Violation(INVALID_DATA, "the close reason is not UTF-8") from None
        self.close_code = code
        self.outgoing += close_frame(code)
