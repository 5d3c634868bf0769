"""What a call asks of the detector. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Mode(StrEnum):
    """``FAST`` stops at the verdict; ``MESSAGE_END`` goes on after a machine until its beep or lasting silence."""

    FAST = "fast"
    MESSAGE_END = "message_end"


MAX_KEEP_MS = 60_000
MAX_KEEP_LISTENING_MS = 600_000
MAX_LISTEN_MS = 3_600_000
_CALL_ID = re.compile(r"[A-Za-z0-9-]{0,64}")
"""A call id names a file: nothing in it may lead out of a folder."""


class WireError(ValueError):
    """Options or an event that cannot be understood; the message names the field."""


class UnknownWord(WireError):
    """An event of a kind that this version does not know, because its worker is newer: nothing is wrong, ignore it."""

    def __init__(self, message: str, word: str) -> None:
        super().__init__(message)
        self.word = word


@dataclass(frozen=True, slots=True)
class AmdOptions:
    """One call's options for the detector; times in milliseconds.

    ``sensitivity`` is the cost of taking a machine for a person over the cost of taking a person for a
    machine: above 1 the detector is readier to say ``answering_machine``. ``keep_ms`` of the audio are kept in
    a file named after ``call_id`` by a worker that was told where; 0, the default, keeps nothing.

    ``listen``: the stream stays in analysis after its verdict, until its end or for ``listen_max_ms`` of audio,
    and tells what it hears (`Heard`) and every beep; with ``listen_bands`` also the sound's own bands, for
    `amd_model.listening.likeness`. ``transcript``: a verdict brings the words that were heard, where any were.
    """

    mode: Mode = Mode.FAST
    total_timeout_ms: int = 10_000
    initial_silence_ms: int = 4_500
    after_greeting_silence_ms: int = 800
    message_end_timeout_ms: int = 30_000
    sensitivity: float = 1.0
    keep_ms: int = 0
    call_id: str = ""
    listen: bool = False
    listen_bands: bool = False
    listen_max_ms: int = MAX_LISTEN_MS
    transcript: bool = False

    LIMITS: ClassVar[dict[str, tuple[float, float]]] = {
        "total_timeout_ms": (500, 59_000),
        "initial_silence_ms": (500, 20_000),
        "after_greeting_silence_ms": (200, 5_000),
        "message_end_timeout_ms": (1_000, 180_000),
        "sensitivity": (0.1, 10.0),
    }
    """Of what a caller may choose; what is kept is for the configuration alone to say."""

    def __post_init__(self) -> None:
        for name, (low, high) in self.LIMITS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise WireError(f"AMD option {name}: {value!r} is not a number from {low} to {high}")
        for name in ("listen", "listen_bands", "transcript"):
            if not isinstance(getattr(self, name), bool):
                raise WireError(f"AMD option {name}: {getattr(self, name)!r} is neither true nor false")
        self._whole("keep_ms")
        self._whole("listen_max_ms")
        if not isinstance(self.call_id, str) or not _CALL_ID.fullmatch(self.call_id):
            raise WireError(f"AMD option call_id: {self.call_id!r} is not up to 64 letters, digits and hyphens")

    def bounds(self, name: str) -> tuple[float, float] | None:
        """The least and the most that an option may be; None for one that is no number. Whole where these are."""
        if name == "keep_ms":
            return 0, MAX_KEEP_LISTENING_MS if self.listen else MAX_KEEP_MS
        return (1_000, MAX_LISTEN_MS) if name == "listen_max_ms" else self.LIMITS.get(name)

    def _whole(self, name: str) -> None:
        value = getattr(self, name)
        low, high = self.bounds(name) or (0, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise WireError(f"AMD option {name}: {value!r} is not a whole number from {low} to {high}")
