"""One moment on both clocks: spans are counted on the one, instants are told by the other. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """Monotonic seconds, which never go back, and Unix seconds, which may be stepped."""

    monotonic: float
    wall: float

    def before(self, seconds: float) -> Moment:
        """The moment that was so many seconds ago."""
        return Moment(self.monotonic - seconds, self.wall - seconds)
