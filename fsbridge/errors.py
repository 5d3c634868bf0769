"""The root of our exceptions.

A call that fails is a value (`fsbridge.model.outcome.FailureReason`), never an exception. Exceptions are for what
stops an operation: a lost socket, a bad file, a bad argument. Each family derives from `FsbridgeError` and
lives beside the code that raises it; each message says what to do.
"""

from __future__ import annotations


class FsbridgeError(Exception):
    """Base of everything that fsbridge raises on purpose."""


class ConfigError(FsbridgeError):
    """The configuration cannot be used; `problems` lists every fault found, each with its key."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))
