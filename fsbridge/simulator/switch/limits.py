"""How many calls a node takes, at once and in a second, and the figures that it tells of it. Pure.

As FreeSWITCH counts (switch_core_session.c, switch_time.c): a second begins with N attempts left, each takes one, and
the one that takes the last is refused. So ``fsctl sps N`` admits N - 1, from the next second on.
"""

from __future__ import annotations

INBOUND = "inbound"
OUTBOUND = "outbound"
BOTH = frozenset({INBOUND, OUTBOUND})


class Limits:
    """Instants are simulated seconds. What it counts, HEARTBEAT and `status` show."""

    def __init__(self, max_sessions: int, sessions_per_second: int) -> None:
        self.max_sessions = max_sessions
        self.sessions_per_second = sessions_per_second
        self.paused_ways: frozenset[str] = frozenset()
        """In which directions no call is taken."""
        self.sessions_started = 0
        self.peak_sessions = 0
        self.peak_rate = 0
        self._second = -1
        self._left = sessions_per_second
        self._last = 0

    @property
    def paused(self) -> bool:
        return self.paused_ways == BOTH

    def pause(self, ways: frozenset[str] = BOTH) -> None:
        self.paused_ways |= ways

    def resume(self, ways: frozenset[str] = BOTH) -> None:
        self.paused_ways -= ways

    def admits(self, now: float, sessions: int, way: str) -> bool:
        """Count one more call attempt; False when this way is paused or, with `sessions` live, past a limit."""
        if way in self.paused_ways:
            return False
        self._roll(now)
        self._left -= 1
        if self._left <= 0 or sessions >= self.max_sessions:
            return False
        self.sessions_started += 1
        return True

    def count(self, sessions: int) -> None:
        """So many are live now."""
        self.peak_sessions = max(self.peak_sessions, sessions)

    def left(self, now: float) -> int:
        """Attempts left in the present second: what HEARTBEAT calls Session-Per-Sec."""
        self._roll(now)
        return max(self._left, 0)

    def last_rate(self, now: float) -> int:
        """Call attempts in the second before this one."""
        self._roll(now)
        return self._last

    def _roll(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            taken = max(self.sessions_per_second - self._left, 0)
            self.peak_rate = max(self.peak_rate, taken)
            self._last = taken if second == self._second + 1 else 0
            self._second, self._left = second, self.sessions_per_second
