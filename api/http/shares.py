"""How many requests may be held open for whom. Pure.

A request of mode sync holds its connection until the call has ended. Somebody may hold half of the places that the
others have left: alone that is half of all, and however many come, there are places left for requests that are
answered at once.
"""

from __future__ import annotations

from collections import Counter


class Shares:
    """`room` places among everybody who asks, by name. `take` and `give_back` go together."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._held: Counter[str] = Counter()

    def take(self, name: str) -> bool:
        """One place more, if its share has one."""
        others = self._held.total() - self._held[name]
        if self._held[name] + 1 > (self._room - others) // 2:
            return False
        self._held[name] += 1
        return True

    def give_back(self, name: str) -> None:
        """A place that `take` gave."""
        self._held[name] -= 1
        if self._held[name] <= 0:
            del self._held[name]
