"""Where a call stands: in the contract's words for callers, in phases and deadlines for the lifecycle. Pure."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The REST contract's words; the last two are terminal."""

    QUEUED = "Queued"
    RINGING = "Ringing"
    ANSWERED = "Answered"
    COMPLETED = "Completed"
    FAILED = "Failed"


class Phase(StrEnum):
    """Where a call is; only forward moves exist."""

    QUEUED = "queued"
    ORIGINATING = "originating"
    RINGING = "ringing"
    ANALYZING = "analyzing"
    IN_FLOW = "in_flow"
    HANGING_UP = "hanging_up"
    ENDED = "ended"


class Deadline(StrEnum):
    """What a call may be waiting for; each has a time in `Call.deadlines` while it does."""

    ORIGINATE = "originate"
    TAP = "tap"
    VERDICT = "verdict"
    PARK = "park"
    HANGUP = "hangup"
    CALL = "call"
