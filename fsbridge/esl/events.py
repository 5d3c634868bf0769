"""Frames into what they mean: replies, events, notices. Pure, and total: no frame of a peer raises.

`Event.headers` are the event's own headers, decoded; `body` is its inner body (a job's result, a verdict).
"""

from __future__ import annotations

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
class UnknownFrame:
    """A content type that is not known; it is counted and passed over."""

    content_type: str


Message = AuthRequest | CommandReply | ApiResponse | Event | Disconnect | RudeRejection | UnknownFrame


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


def _json_event(data: bytes) -> Event | UnknownFrame:
    document = _json_object(data)
    if document is None:
        return UnknownFrame("text/event-json that is no JSON object")
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
        # Header values may hold bytes that are not UTF-8, and orjson is strict about them.
        try:
            document = orjson.loads(data.decode("utf-8", "replace"))
        except orjson.JSONDecodeError:
            return None
    return document if isinstance(document, dict) else None


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
