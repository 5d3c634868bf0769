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
    """FreeSWITCH's cause as it came (new names appear), its Q.850 number and the SIP status, where known."""

    cause: str
    q850: int | None = None
    sip_status: int | None = None
