"""How much a run may have done for it between two waits, and in all: counted in steps, not in seconds. Pure.

A condition or a text costs little, but a document can ask for either a thousand times in a row, over data of any
size, and everybody else's calls wait meanwhile. What costs in proportion to something spends in proportion to it.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_WORK = 20_000
"""Of one run. A unit is a comparison, a value set, or some fifty characters written: a few microseconds."""
SLICE = 1_000
"""After so much the others have their turn."""


class OutOfWork(Exception):
    """More is asked for than MAX_WORK."""


@dataclass(slots=True)
class Work:
    """What is left; None: as much as is asked for (a suite's own texts, a bot's words)."""

    left: int | None = None

    def spend(self, units: int) -> None:
        """Raises OutOfWork when there is not so much left."""
        if self.left is not None:
            self.left -= units
            if self.left < 0:
                raise OutOfWork


ANY = Work()
