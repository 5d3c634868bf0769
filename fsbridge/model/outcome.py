"""How a call ends: the contract's failure reasons, and what FreeSWITCH said of the hang-up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureReason(StrEnum):
    """The REST contract's words for a call that failed."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    TRUNK_UNAVAILABLE = "trunk_unavailable"
    UNROUTABLE_NUMBER = "unroutable_number"
    SESSION_START_FAILED = "session_start_failed"
    FLOW_ERROR = "flow_error"
    FAX = "fax"
    ANSWERING_MACHINE = "answering_machine"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HangupInfo:
    """FreeSWITCH's cause as it came (new names appear), and what is known of where it comes from.

    `q850` is the cause's number of ITU-T Q.850, 1 to 127, `sip_status` the far end's final reply, 200 to 699, and
    `sip_reason` its Reason header (RFC 3326) where the node tells it: a cause there beats the status, and need not
    agree with it. `by_far_end` says that the far end has hung up or refused, not we or the node.
    """

    cause: str
    q850: int | None = None
    sip_status: int | None = None
    sip_reason: str | None = None
    by_far_end: bool = False
