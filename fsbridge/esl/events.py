"""Frames into what they mean: replies, events, notices. Pure, and total: no frame of a peer raises.

`Event.headers` are the event's own headers, decoded; `body` is its inner body (a job's result, a verdict).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fsbridge.esl.framing import Frame, parse_headers


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """FreeSWITCH asks for the password: the first frame of a connection."""


@dataclass(frozen=True, slots=True)
class CommandReply:
    """`Reply-Text` of a command, in the order of the commands."""

    text: str
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether the command was taken; only `-ERR` (and `-USAGE`) at the very start says no."""
        return not self.text.startswith("-")


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """What an `api` command printed."""

    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """One FreeSWITCH event."""

    name: str
    subclass: str
    headers: Mapping[str, str]
    body: str = ""

    @property
    def unique_id(self) -> str | None:
        """The channel's uuid."""
        return self.headers.get("Unique-ID")

    @property
    def job_uuid(self) -> str | None:
        """The background job's uuid."""
        return self.headers.get("Job-UUID")

    @property
    def application_uuid(self) -> str | None:
        """Our own id of an executed application (the `Event-UUID` it was sent with)."""
        return self.headers.get("Application-UUID")

    def variable(self, name: str) -> str | None:
        """A channel variable, if the event carries it."""
        return self.headers.get(f"variable_{name}")


@dataclass(frozen=True, slots=True)
class Disconnect:
    """FreeSWITCH is about to close the connection."""

    text: str


@dataclass(frozen=True, slots=True)
class RudeRejection:
    """The event socket's ACL refuses this host."""

    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event that could not be read, whatever it was; `unique_id` is the channel's, where that much could be."""

    unique_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnknownFrame:
    """A content type that is not known; it is counted and passed over."""

    content_type: str


Message = AuthRequest | CommandReply | ApiResponse | Event | Disconnect | RudeRejection | Unreadable | UnknownFrame


_CHANNEL = re.compile(rb'"Unique-ID"\s*:\s*"([0-9a-f-]{36})"')
_HALF = re.compile("[\ud800-\udfff]")


def decode(frame: Frame) -> Message:
    """What a frame means."""
    content_type = frame.headers.get("Content-Type", "")
    match content_type:
        case "text/event-plain":
            return _plain_event(frame.body)
        case "text/event-json":
            return _json_event(frame.body)
        case "command/reply":
            return CommandReply(frame.headers.get("Reply-Text", ""), frame.headers)
        case "api/response":
            return ApiResponse(_text(frame.body))
        case "auth/request":
            return AuthRequest()
        case "text/disconnect-notice":
            return Disconnect(_text(frame.body))
        case "text/rude-rejection":
            return RudeRejection(_text(frame.body))
        case _:
            return UnknownFrame(content_type)


def _plain_event(data: bytes) -> Event:
    block, _, rest = data.partition(b"\n\n")
    headers = parse_headers(block, decode=True)
    length = headers.get("Content-Length", "")
    body = rest[: int(length[:12])] if length.isascii() and length.isdigit() else rest
    return _event(headers, _text(body) if length else "")


def _json_event(data: bytes) -> Event | Unreadable:
    document = _json_object(data)
    if document is None:
        found = _CHANNEL.search(data)
        return Unreadable(found[1].decode() if found is not None else None)
    body = document.pop("_body", "")
    return _event(_all_text(document), body if isinstance(body, str) else "")


def read_dump(text: str) -> dict[str, str] | None:
    """The headers in the answer to `uuid_dump <uuid> json`; None for what is no JSON object (`-ERR …`)."""
    document = _json_object(text.encode("utf-8", "replace"))
    return None if document is None else _all_text(document)


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        document = _lenient(data)
    return document if isinstance(document, dict) else None


def _lenient(data: bytes) -> Any:
    """What FreeSWITCH writes and JSON forbids: a channel variable's control characters, bytes that are not UTF-8, and
    half characters. Each offending character becomes U+FFFD, but for the first kind, which mean what they are."""
    try:
        return _whole(json.loads(data.decode("utf-8", "replace"), strict=False))
    except (ValueError, RecursionError):
        return None


def _whole(value: Any) -> Any:
    """The same without halves of surrogate pairs, which no encoder would take."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value


def _all_text(document: dict[str, Any]) -> dict[str, str]:
    # Nearly every value is text already: most events are told so by a loop in C, the others change a value or two.
    if set(map(type, document.values())) <= {str}:
        return document
    for name in [name for name, value in document.items() if type(value) is not str]:
        document[name] = _flat(document[name])
    return document


def _flat(value: Any) -> str:
    """A header's value as text; an array (a variable with several values) as FreeSWITCH's plain form shows it."""
    if isinstance(value, list):
        return "ARRAY::" + "|:".join(str(item) for item in value)
    return "" if value is None else str(value)


def _event(headers: Mapping[str, str], body: str) -> Event:
    return Event(headers.get("Event-Name", ""), headers.get("Event-Subclass", ""), headers, body)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
