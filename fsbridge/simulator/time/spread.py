"""How long something takes when it does not always take the same: what was measured, drawn from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds by their shares: ``(0.5, 0.009)`` says that half of all are at most 9 ms. Between two points it is even.

    Shares rise from 0 to 1, seconds do not fall. Raises ValueError otherwise.
    """

    points: Sequence[tuple[float, float]]

    def __post_init__(self) -> None:
        shares = [share for share, _ in self.points]
        seconds = [value for _, value in self.points]
        if len(shares) < 2 or shares[0] != 0.0 or shares[-1] != 1.0 or shares != sorted(set(shares)):
            raise ValueError("the shares of a spread must rise from 0 to 1")
        if seconds != sorted(seconds):
            raise ValueError("the seconds of a spread must not fall")

    @staticmethod
    def between(least: float, most: float) -> Spread:
        """Any time from `least` to `most` is as likely as another."""
        return Spread(((0.0, least), (1.0, most)))

    def at(self, share: float) -> float:
        """The seconds that this share of all, from 0 to 1, does not exceed."""
        for (before, low), (after, high) in zip(self.points, self.points[1:], strict=False):
            if share <= after:
                return low + (high - low) * (share - before) / (after - before)
        return self.points[-1][1]

    def draw(self, random: Random) -> float:
        return self.at(random.random())
