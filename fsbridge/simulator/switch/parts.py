"""Parts of a channel that are mere state: where it stands in the dialplan, and who wants to know what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Profile:
    """Where the channel stands in the dialplan: a transfer makes a new one (``Caller-Profile-Index``)."""

    number: str
    """The number called, or the extension transferred to."""
    context: str
    dialplan: str = ""
    index: int = 1
    """0 while the channel has no profile yet: its events name neither caller nor called then."""
    created: int = 0


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
