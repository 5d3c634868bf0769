"""The event socket's bytes as FreeSWITCH sees them: commands in, replies and events out. Pure.

A command is a first line, further ``Name: value`` header lines and an empty line; with a Content-Length a body
follows. Values are raw text here (only events are percent-encoded, and only in the plain format).
Shapes held to recorded conversations with FreeSWITCH 1.11.3 (tests/traces).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote_from_bytes

import orjson

MAX_COMMAND_BYTES = 65_536
"""Longer commands end the connection: FreeSWITCH reads into a buffer of this order, and nobody sends them."""

GOODBYE = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
AUTH_REQUEST = b"Content-Type: auth/request\n\n"
DISCONNECT_NOTICE = b"Content-Type: text/disconnect-notice\nContent-Length: %d\n\n%s" % (len(GOODBYE), GOODBYE)

# What FreeSWITCH escapes in a header value (SWITCH_URL_UNSAFE and everything outside printable ASCII).
_UNSAFE = re.compile(r"""[^!$'()*,\-./0-9A-Z_a-z~]""")
_SAFE = "!$'()*,-./_~"


def whole(text: str) -> int | None:
    """A whole number of at most ten digits, else None: what FreeSWITCH's atoi would make of more is nobody's wish."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None


class CommandTooLong(Exception):
    """The peer sent more than MAX_COMMAND_BYTES without an end of command: close the connection."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its first line, its other headers (names in lower case), and its body."""

    line: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    @property
    def verb(self) -> str:
        return self.line.partition(" ")[0].lower()

    @property
    def argument(self) -> str:
        return self.line.partition(" ")[2].strip()


class CommandReader:
    """Splits a client's bytes into commands, however they are chunked.

    `receive_data` returns the commands completed by these bytes, in order; it raises `CommandTooLong` when a
    command exceeds the bound. Invalid UTF-8 is kept by surrogate escapes.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[Command]:
        self._buffer += data
        commands: list[Command] = []
        while (command := self._next()) is not None:
            commands.append(command)
        return commands

    def _next(self) -> Command | None:
        buffer = self._buffer
        while buffer and buffer[0] in b"\r\n":
            del buffer[0]
        match = re.search(rb"\r?\n\r?\n", buffer)
        if match is None:
            if len(buffer) > MAX_COMMAND_BYTES:
                raise CommandTooLong(f"more than {MAX_COMMAND_BYTES} bytes without an empty line")
            return None
        lines = bytes(buffer[: match.start()]).decode("utf-8", "surrogateescape").splitlines()
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        length = whole(headers.get("content-length", "0")) or 0
        if length > MAX_COMMAND_BYTES:
            raise CommandTooLong(f"a body of {length} bytes")
        end = match.end()
        if len(buffer) < end + length:
            return None
        body = bytes(buffer[end : end + length]).decode("utf-8", "surrogateescape")
        del buffer[: end + length]
        return Command(lines[0].strip(), headers, body)


def escape(value: str) -> str:
    """Percent-encode a header value the way FreeSWITCH does in plain events."""
    if _UNSAFE.search(value) is None:
        return value
    return quote_from_bytes(value.encode("utf-8", "surrogateescape"), _SAFE)


def command_reply(text: str, **headers: str) -> bytes:
    """``Content-Type: command/reply`` with its Reply-Text; underscores in header names stand for dashes."""
    lines = ["Content-Type: command/reply", f"Reply-Text: {text}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "surrogateescape")


def api_response(text: str) -> bytes:
    """``Content-Type: api/response`` with the command's output as body."""
    body = text.encode("utf-8", "surrogateescape")
    return b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(body), body)


def plain_headers(headers: Iterable[tuple[str, str]]) -> str:
    """Header lines with escaped values, each ended by a newline."""
    return "".join([f"{name}: {escape(value)}\n" for name, value in headers])


def plain_event(headers: Iterable[tuple[str, str]], body: str | None) -> bytes:
    """One ``text/event-plain`` frame."""
    text = plain_headers(headers)
    if body is not None:
        encoded = body.encode("utf-8", "surrogateescape")
        inner = text.encode("utf-8", "surrogateescape") + b"Content-Length: %d\n\n" % len(encoded) + encoded
    else:
        inner = text.encode("utf-8", "surrogateescape") + b"\n"
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n" % len(inner) + inner


def json_event(headers: Iterable[tuple[str, str]], body: str | None, noise: bytes = b"") -> bytes:
    """One ``text/event-json`` frame: a flat object of strings, the body under ``_body``.

    noise: raw bytes for a variable of their own; such frames are seen, though JSON forbids them.
    """
    fields = dict(headers)
    if body is not None:
        fields["Content-Length"] = str(len(body.encode("utf-8", "surrogateescape")))
        fields["_body"] = body
    inner = json_bytes(fields)
    if noise:
        inner = b'%s,"variable_noise":"%s"}' % (inner[:-1], noise)
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n" % len(inner) + inner


def json_bytes(fields: dict[str, str]) -> bytes:
    """JSON of the fields; text that is not UTF-8 goes out as it is, as from FreeSWITCH."""
    try:
        return orjson.dumps(fields)
    except (orjson.JSONEncodeError, TypeError):
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")
