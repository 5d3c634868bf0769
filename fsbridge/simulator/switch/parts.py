"""What hangs on a channel, as the channel sees it: who wants to know what it does, its taps, its recordings. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Hooks:
    """What a channel tells: each hook has one listener, set by whoever plays the far side or made the bridge."""

    def __init__(self) -> None:
        self.on_digit_sent: Callable[[str], None] = lambda digit: None
        """A digit that we sent: for the far side."""
        self.on_digit: Callable[[str], None] = lambda digit: None
        """A digit from the far side: for the leg that this one is bridged with."""
        self.on_ring: Callable[[], None] = lambda: None
        self.on_early_media: Callable[[], None] = lambda: None
        self.on_answer: Callable[[], None] = lambda: None
        self.on_transfer: Callable[[], None] = lambda: None
        """It is being taken elsewhere: for the leg that it is bridged with."""
        self.on_hangup: Callable[[], None] = lambda: None
        self.on_hangup_complete: Callable[[], None] = lambda: None
        self.on_destroy: Callable[[], None] = lambda: None
        """It is gone: for the node that kept it."""


@dataclass(frozen=True, slots=True)
class TapRequest:
    """``uuid_audio_fork <uuid> start`` and its arguments. mix: mono, mixed or stereo; rate in Hz."""

    url: str
    mix: str
    rate: int
    bug: str
    metadata: str


class Tap(Protocol):
    """One audio fork of a channel."""

    def send_text(self, text: str) -> bool: ...

    def pause(self, paused: bool) -> None: ...

    def stop(self, text: str) -> None:
        """Send the closing text, if any, then close with code 1000; nothing is heard of it afterwards."""
        ...


class Recording(Protocol):
    """One recording of a channel that goes on."""

    def stop(self, *, hung_up: bool = False) -> None:
        """hung_up: it ends because the call does."""
        ...

    def mask(self, masked: bool) -> None:
        """Take down silence from now on, or again what is heard."""
        ...
