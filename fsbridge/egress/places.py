"""Places for exchanges, shared by organizations: whoever holds many already leaves some to the others. Shell.

An organization may hold four times as many as are free (the rule of dynamic thresholds, Choudhury and Hahne 1998): one
alone gets four fifths of all, each further one four fifths of the rest, and nobody finds none for long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gevent.event import Event

from fsbridge.clock import Clock

TIMES = 4


class Places:
    """`most` places in all."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._free = most
        self._held: Counter[str] = Counter()
        self._clock = clock
        self._given_back = Event()

    @contextmanager
    def place(self, who: str, seconds: float) -> Iterator[bool]:
        """Hold a place, or (False) find none within so many seconds."""
        until = self._clock.monotonic() + seconds
        while not self._fits(who):
            left = until - self._clock.monotonic()
            if left <= 0:
                yield False
                return
            self._given_back.clear()
            self._given_back.wait(left)
        self._free -= 1
        self._held[who] += 1
        try:
            yield True
        finally:
            self._free += 1
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]
            self._given_back.set()

    def _fits(self, who: str) -> bool:
        return self._free > 0 and self._held[who] < TIMES * self._free
