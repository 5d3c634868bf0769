"""How long a failed webhook waits for its next try. Pure.

Within one life of the process a pause is counted on the monotonic clock, so that a step of the wall clock neither
stretches nor drops it. What outlives the process is the moment in UTC; `left_of` makes a pause of that again.
"""

from __future__ import annotations

from collections.abc import Sequence

JITTER = 0.2
"""Retries are spread by this share either way, so that a receiver's recovery is not met by all at once."""
RETRY_AFTER_MAX_S = 3_600.0
"""A receiver may ask for this much patience; more would let it hold a call's webhooks back for ever."""


def next_pause(attempts: int, delays_s: Sequence[float], asked_s: float | None, chance: float) -> float | None:
    """Seconds from the try with this number (1, 2, …) to the next; None when it was the last.

    `asked_s` is the receiver's own wish, `chance` (0 to 1) spreads the pause.
    """
    if attempts > len(delays_s):
        return None
    planned = delays_s[attempts - 1] * (1 - JITTER + 2 * JITTER * chance)
    return max(planned, asked_s or 0.0)


def left_of(next_at: float, attempts: int, delays_s: Sequence[float], wall: float) -> float:
    """Seconds that are left of a pause which ends at `next_at`, after that many tries; both are Unix seconds.

    Never more than such a pause can be: a clock that was wrong by years must not hold a webhook back for years.
    """
    if attempts == 0:
        return 0.0
    planned = delays_s[min(attempts, len(delays_s)) - 1] * (1 + JITTER) if delays_s else 0.0
    return min(max(next_at - wall, 0.0), max(planned, RETRY_AFTER_MAX_S))
