"""Who stands in the door, and who has to go so that another can come in. Pure: told the time, never reads it.

A visitor is a connection that is no stream yet: its request is awaited, or its answer is being read. There are so many
in all, and so many of one address. A switch says at once what it wants, so a visitor that stands there for `SLOW_S`
makes room for the next one, the longest there first; while nobody is as slow as that, the next one has to go.
"""

from __future__ import annotations

from typing import Generic, TypeVar

SLOW_S = 0.5

Visitor = TypeVar("Visitor")


class Visitors(Generic[Visitor]):
    """At most `most`, and `most_of_one` of one address. Mutable on purpose, and owned by one door."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._all: dict[Visitor, tuple[str, float]] = {}  # address, since when; dictionaries keep the order of arrival
        self._of: dict[str, dict[Visitor, float]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def make_room(self, address: str, now: float) -> tuple[str, Visitor | None]:
        """A word on why nobody from there may come in now, empty if somebody may; and who has to go for that.

        Who has to go, if anyone, is no longer counted.
        """
        of_one = self._of.get(address, {})
        if len(of_one) >= self._most_of_one:
            reason, (longest, since) = "address", next(iter(of_one.items()))
        elif len(self._all) >= self._most:
            longest, (_, since) = next(iter(self._all.items()))
            reason = "handshakes"
        else:
            return "", None
        if now - since < SLOW_S:
            return reason, None
        self.leave(longest)
        return "", longest

    def come(self, visitor: Visitor, address: str, now: float) -> None:
        """Somebody came in; `make_room` was asked."""
        self._all[visitor] = (address, now)
        self._of.setdefault(address, {})[visitor] = now

    def leave(self, visitor: Visitor) -> None:
        """Somebody is no longer there; nothing happens if it was not."""
        address, _ = self._all.pop(visitor, ("", 0.0))
        of_one = self._of.get(address)
        if of_one is not None:
            of_one.pop(visitor, None)
            if not of_one:
                del self._of[address]
