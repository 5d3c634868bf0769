"""For how long we have really listened to a peer: the clock by which its silence is judged. Pure.

A timer that fires says that *we* have come round again, not that the peer has said nothing: a busy event loop comes
round late, and the reply lies in the socket, unread, or behind it in the peer's own buffer for want of room. So time
counts only while the loop turned, and only once all that had been sent by its end has been read.
"""

from __future__ import annotations

from dataclasses import dataclass

IN_FLIGHT = 8 * 1024 * 1024
"""Bytes that a peer may hold back while we have no room: above what Linux gives a socket to send from (4 MB)."""


@dataclass(frozen=True, slots=True)
class Attention:
    """`listened_s`: seconds of the peer's stream that have been followed. It never runs ahead of any clock.

    `_behind_s` are seconds awake before `_mark` (in bytes since the beginning) whose bytes may not all have been read,
    `_since_s` are seconds awake after it.
    """

    listened_s: float = 0.0
    _behind_s: float = 0.0
    _since_s: float = 0.0
    _mark: int = 0

    def turn(self, took_s: float, meant_s: float, read: int, unread: int) -> Attention:
        """The loop came round: a pause meant to take `meant_s` took `took_s`.

        `read` counts the bytes taken from the socket so far, `unread` those that lie in it now. What a pause took
        beyond its meaning was spent on something else, and counts for nothing. An empty socket has nothing behind it.
        """
        since = self._since_s + min(took_s, meant_s)
        if not unread:
            return Attention(self.listened_s + self._behind_s + since, _mark=read)
        if read < self._mark:
            return Attention(self.listened_s, self._behind_s, since, self._mark)
        return Attention(self.listened_s + self._behind_s, since, 0.0, read + unread + IN_FLIGHT)
