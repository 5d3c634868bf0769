"""How many calls a node takes, at once and in a second, and the figures that it tells of it. Pure."""

from __future__ import annotations


class Limits:
    """Instants are simulated seconds. What it counts, HEARTBEAT and `status` show."""

    def __init__(self, max_sessions: int, sessions_per_second: int) -> None:
        self.max_sessions = max_sessions
        self.sessions_per_second = sessions_per_second
        self.paused = False
        self.sessions_started = 0
        self.peak_sessions = 0
        self.peak_rate = 0
        self._second = -1
        self._in_second = 0

    def admits(self, now: float, sessions: int) -> bool:
        """Count one more call attempt; False when the node is paused or, with `sessions` live, past a limit."""
        second = int(now)
        if second != self._second:
            self._second, self._in_second = second, 0
        if self.paused or sessions >= self.max_sessions or self._in_second >= self.sessions_per_second:
            return False
        self._in_second += 1
        self.sessions_started += 1
        self.peak_rate = max(self.peak_rate, self._in_second)
        return True

    def count(self, sessions: int) -> None:
        """So many are live now."""
        self.peak_sessions = max(self.peak_sessions, sessions)

    def last_rate(self, now: float) -> int:
        """Call attempts taken in the present second."""
        return self._in_second if int(now) == self._second else 0
