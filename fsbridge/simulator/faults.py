"""What can be made to go wrong in a simulated node, by name: for tests and for trying how `serve` copes. Pure.

Each fault is armed by a method and lasts until it has struck `times` times or `clear` is called.
"""

from __future__ import annotations

from collections.abc import Callable


class Faults:
    """Armed faults of one node. The node asks at each event, command and originate."""

    def __init__(self, drop_connections: Callable[[], None]) -> None:
        self._drop_connections = drop_connections
        self.clear()

    def clear(self) -> None:
        """Disarm everything."""
        self._drop_after: dict[str, int] = {}
        self._lose: dict[str, int] = {}
        self._delay: dict[str, float] = {}
        self._silent: dict[str, int] = {}
        self._duplicates = 0
        self.heartbeat_paused = False
        self.split_bytes = 0
        """When above 0, what is sent goes out in pieces of this many bytes."""

    def drop_connection(self) -> None:
        """Close every event-socket connection, without a disconnect notice, once what is queued has been sent."""
        self._drop_connections()

    def drop_after(self, event: str, times: int = 1) -> None:
        """Close every connection so that this event is the last thing its listeners hear."""
        self._drop_after[event] = times

    def lose_event(self, event: str, times: int = 1) -> None:
        """Never deliver the next `times` events of this name (for CUSTOM: of this subclass)."""
        self._lose[event] = times

    def delay_event(self, event: str, seconds: float) -> None:
        """Deliver events of this name `seconds` later than the others around them."""
        self._delay[event] = seconds

    def never_reply(self, command: str, times: int = 1) -> None:
        """Read the next `times` commands that begin with this text and do nothing with them."""
        self._silent[command] = times

    def duplicate_uuid(self, times: int = 1) -> None:
        """Give the next `times` originates another uuid than asked for, as if theirs were taken."""
        self._duplicates = times

    def pause_heartbeat(self, paused: bool = True) -> None:
        self.heartbeat_paused = paused

    def swallows(self, command: str) -> bool:
        """Whether this command is to go unanswered."""
        return any(_strike(self._silent, prefix) for prefix in list(self._silent) if command.startswith(prefix))

    def loses(self, name: str, subclass: str) -> bool:
        return _strike(self._lose, name) or (bool(subclass) and _strike(self._lose, subclass))

    def delay_of(self, name: str, subclass: str) -> float:
        return self._delay.get(subclass, self._delay.get(name, 0.0))

    def drops_after(self, name: str, subclass: str) -> bool:
        return _strike(self._drop_after, name) or (bool(subclass) and _strike(self._drop_after, subclass))

    def takes_uuid(self) -> bool:
        if self._duplicates <= 0:
            return False
        self._duplicates -= 1
        return True


def _strike(armed: dict[str, int], key: str) -> bool:
    left = armed.get(key, 0)
    if left <= 0:
        return False
    if left == 1:
        del armed[key]
    else:
        armed[key] = left - 1
    return True
