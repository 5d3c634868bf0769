"""What happened in a call, in order, as a person or a test reads it afterwards. Pure.

Append-only and bounded: a call that goes on for an hour of menus keeps how it began and how it ended, and one entry
in the middle says how many were left out. An entry is rendered when it is added, so nothing that changes later can
change it, and one text is all that it costs. What comes from outside (digits, causes, names) is made harmless here:
no half characters, no endless texts, no values that JSON lacks. Whoever adds masks what is secret.

Words of the events: placed, originated, ringing, answered, tapConnected, tapFailed, verdict, stepStarted, stepEnded,
digits, heard, hangup, ended; `omitted` stands for what was left out.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fsbridge.clock import rfc3339
from fsbridge.model.json import Json

MAX_EVENTS: Final = 500
MAX_BYTES: Final = 65_536
"""Of the whole timeline as JSON."""
MAX_ENTRY_BYTES: Final = 2_048
MAX_TEXT: Final = 500
"""Characters of one text in a detail."""

OMITTED: Final = "omitted"
_MAX_WORD, _MAX_ITEMS, _MAX_DEPTH = 64, 50, 4
_MARK_BYTES = 128
"""Room for the entry that says how many were left out."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One entry. `at` is Unix seconds. Details: snake_case names become camelCase; one that is None is left out."""

    at: float
    event: str
    detail: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> str:
        """``{"at": RFC 3339 with milliseconds, "event": word, …detail}``, at most `MAX_ENTRY_BYTES`.

        ASCII. A detail that is too large is cut; when that is not enough, `cut` is true and the details are gone.
        """
        head: dict[str, Json] = {"at": rfc3339(self.at), "event": _text(self.event, _MAX_WORD)}
        detail = {_camel(name): _plain(value) for name, value in self.detail.items() if value is not None}
        text = _dump({**head, **detail, **head})  # time and word come first, and no detail takes their place
        return text if len(text) <= MAX_ENTRY_BYTES else _dump({**head, "cut": True})


class Timeline:
    """The events of one call. Mutable on purpose; it belongs to the call's runner."""

    __slots__ = ("_first", "_first_bytes", "_last", "_last_bytes", "_omitted", "_omitted_at")

    def __init__(self) -> None:
        self._first: list[str] = []
        self._last: deque[tuple[float, str]] = deque()
        self._first_bytes = self._last_bytes = 0
        self._omitted = 0
        self._omitted_at = 0.0

    def __len__(self) -> int:
        """Entries that are kept, with the one that tells of the others."""
        return len(self._first) + len(self._last) + bool(self._omitted)

    def add(self, event: str, at: float, /, **detail: Json) -> None:
        """Append an event; `at` is Unix seconds."""
        self.append(TimelineEvent(at, event, detail))

    def append(self, event: TimelineEvent) -> None:
        """Append an event. The first half of the room is never given up; the second half has the latest."""
        text = event.to_json()
        size = len(text) + 1
        half_bytes, half = (MAX_BYTES - _MARK_BYTES - 2) // 2, MAX_EVENTS // 2
        if not self._last and len(self._first) < half and self._first_bytes + size <= half_bytes:
            self._first.append(text)
            self._first_bytes += size
            return
        self._last.append((event.at, text))
        self._last_bytes += size
        while len(self._last) >= half or self._last_bytes > half_bytes:
            self._omitted_at, gone = self._last.popleft()
            self._last_bytes -= len(gone) + 1
            self._omitted += 1

    def to_json(self) -> str:
        """The whole timeline as a JSON list, in ASCII; at most `MAX_EVENTS` entries and `MAX_BYTES`."""
        omitted = [TimelineEvent(self._omitted_at, OMITTED, {"events": self._omitted}).to_json()]
        last = (text for _, text in self._last)
        return "[" + ",".join([*self._first, *(omitted if self._omitted else []), *last]) + "]"

    def events(self) -> list[Json]:
        """The whole timeline as JSON values."""
        events: list[Json] = json.loads(self.to_json())
        return events


def _dump(values: Mapping[str, Json]) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False)


def _camel(name: str) -> str:
    head, *rest = _text(name).split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _plain(value: Json, depth: int = 0) -> Json:
    """The value as JSON that every reader takes: bounded texts and lists, no NaN, no integer beyond 53 bits."""
    match value:
        case None | bool():
            return value
        case int():
            return int(value) if abs(value) < 2**53 else _text(hex(value))
        case float():
            return value if math.isfinite(value) else None
        case str():
            return _text(value)
        case Mapping() if depth < _MAX_DEPTH:
            items = list(value.items())[:_MAX_ITEMS]
            return {_text(str(key)): _plain(item, depth + 1) for key, item in items}
        case list() | tuple() | frozenset() | set() if depth < _MAX_DEPTH:
            return [_plain(item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    return _text(str(value))


def _text(text: str, limit: int = MAX_TEXT) -> str:
    cut = str(text) if len(text) <= limit else text[: limit - 1] + "…"
    return cut.encode("utf-8", "replace").decode()
