"""What the library says of the documents in it, and what a writer of one has to say first. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fsbridge.errors import FsbridgeError
from fsbridge.flow.document.errors import FlowError
from fsbridge.model.ids import FlowId
from fsbridge.model.json import Json


class LibraryError(FsbridgeError):
    """The folder of flows cannot be read or written; the message says which file, and the system's reason."""


class FlowConflict(FlowError):
    """What is there is not what the writer believes; `current` is its version, None if there is nothing."""

    def __init__(self, current: str | None) -> None:
        self.current = current
        super().__init__("there is no such flow" if current is None else f"the flow's version is {current}")


class TooManyFlows(FlowError):
    """The organization has as many flows as it may have."""


class FlowBusy(FlowError):
    """The document cannot be looked at now. `own`: because of the organization's other documents, not of others'."""

    def __init__(self, message: str, retry_after_s: float, *, own: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.own = own


@dataclass(frozen=True, slots=True)
class Expected:
    """What a writer believes is there: nothing (`versions` None), one of these versions, or (`any`) whatever it is."""

    versions: frozenset[str] | None = None
    any: bool = False

    def holds(self, current: str | None) -> bool:
        """Whether the belief is right."""
        if current is None:
            return self.versions is None and not self.any
        return self.any or (self.versions is not None and current in self.versions)


@dataclass(frozen=True, slots=True)
class FlowEntry:
    """What a list says of one document. `version` is a hash of its text, `updated_at` Unix seconds.

    `problems` has the faults of an invalid one, whose `name` is unknown.
    """

    flow_id: FlowId
    name: str
    version: str
    updated_at: float
    problems: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether calls may be placed with it."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class StoredFlow:
    """A document as it was written; `value` is what it says, None if it is no YAML at all."""

    entry: FlowEntry
    text: str
    value: Json
