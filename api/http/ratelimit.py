"""How many requests an organization may make: a token bucket each. Pure; the time comes as an argument.

A bucket holds up to `burst` tokens and refills at `rate` a second; a request takes one. The buckets are as many
as the configured organizations, since only authenticated requests reach them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Mutable on purpose: two floats a request. `updated` is in the same seconds as every `now` given later."""

    rate: float
    burst: float
    tokens: float
    updated: float

    def take(self, now: float) -> float:
        """Take one token and return 0.0, or take none and return the seconds until there will be one."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.updated) * self.rate)
        self.updated = max(self.updated, now)
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / self.rate


class RateLimiter:
    """One bucket a key, each with `rate` requests a second and room for one second's worth at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate)
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, key: str, now: float) -> float:
        """0.0 if the request may pass, else after how many seconds to try again."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(self._rate, self._burst, self._burst, now)
        return bucket.take(now)
