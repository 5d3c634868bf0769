"""Whose turn it is, where many organizations want few places: each in turn, whatever any of them asks for. Pure.

One organization holds at most one place, and may have only so many waiting. Among those that wait the one is next
whose last turn is longest ago.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Ticket:
    """One wish for a place; `begun` once it has one."""

    who: str
    begun: bool = False


class Turns:
    """`ask`, then see what is `due`; `leave` when done, or tired of waiting, and see again."""

    def __init__(self, places: int, waiting_of_one: int) -> None:
        self._free = places
        self._waiting_of_one = waiting_of_one
        self._held: set[str] = set()
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()

    def ask(self, who: str, *, first: bool = False) -> Ticket | None:
        """A ticket, or None where too many of the same organization wait. `first` goes before its own others, and
        is always taken: its number is bounded by whoever asks so.
        """
        queue = self._waiting.setdefault(who, deque())
        if not first and len(queue) >= self._waiting_of_one:
            return None
        ticket = Ticket(who)
        if first:
            queue.appendleft(ticket)
        else:
            queue.append(ticket)
        return ticket

    def due(self) -> list[Ticket]:
        """Those whose turn has come; each is told once."""
        found = []
        for who in list(self._waiting):
            if not self._free:
                break
            if who in self._held:
                continue
            ticket = self._waiting[who].popleft()
            ticket.begun = True
            self._free -= 1
            self._held.add(who)
            found.append(ticket)
            self._to_the_end(who)
        return found

    def leave(self, ticket: Ticket) -> None:
        """Its place, or its wish for one, is given up."""
        if ticket.begun:
            self._free += 1
            self._held.discard(ticket.who)
        elif ticket.who in self._waiting and ticket in self._waiting[ticket.who]:
            self._waiting[ticket.who].remove(ticket)
            if not self._waiting[ticket.who] and ticket.who not in self._held:
                del self._waiting[ticket.who]
            return
        if ticket.who in self._waiting and not self._waiting[ticket.who]:
            del self._waiting[ticket.who]

    def _to_the_end(self, who: str) -> None:
        if self._waiting[who]:
            self._waiting.move_to_end(who)
        else:
            del self._waiting[who]
