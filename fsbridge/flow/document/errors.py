"""What can be wrong with a flow before it runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fsbridge.errors import FsbridgeError


class FlowError(FsbridgeError):
    """A flow cannot be run."""


class FlowMissing(FlowError):
    """The organization has no such flow."""


class FlowForeign(FlowMissing):
    """The flow exists, but it is another organization's."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a document: where it is, as far as there is such a place, and what is wrong.

    In words: ``source:line: step X: field: what is wrong``.
    """

    source: str
    message: str
    line: int | None = None
    step: str | None = None
    field: str | None = None

    def __str__(self) -> str:
        file = self.source if self.line is None else f"{self.source}:{self.line}"
        step = None if self.step is None else f"step {self.step}"
        return ": ".join(part for part in (file, step, self.field, self.message) if part)


class FlowInvalid(FlowError):
    """The document is not a flow; `faults` has every fault, `problems` the same in words."""

    def __init__(self, *faults: Problem) -> None:
        self.faults = faults
        super().__init__("; ".join(self.problems))

    @property
    def problems(self) -> tuple[str, ...]:
        """Every fault in words."""
        return tuple(str(fault) for fault in self.faults)
