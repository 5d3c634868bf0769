"""What can be wrong with a flow before it runs. Pure."""

from __future__ import annotations

from fsbridge.errors import FsbridgeError


class FlowError(FsbridgeError):
    """A flow cannot be run."""


class FlowMissing(FlowError):
    """The organization has no such flow."""


class FlowForeign(FlowMissing):
    """The flow exists, but it is another organization's."""


class FlowInvalid(FlowError):
    """The document is not a flow; `problems` has every fault: file, line, step, field, what is wrong."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))
