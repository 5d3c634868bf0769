"""What callers are told of a call. Pure."""

from __future__ import annotations

from enum import StrEnum


class Notice(StrEnum):
    """What callers are told, by webhook and by the end of a held request."""

    ANSWERED = "call.answered"
    FAILED = "call.failed"
    COMPLETED = "call.completed"
