"""What a call is: the request, the record, and how its public status follows from both. Pure.

`Call` is the one record: the lifecycle (`call.lifecycle.machine`) makes new versions of it, the store keeps it, the
REST side renders it. `status` is a function of phase and outcome and is stored nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from amd_model.verdict import AmdOptions, Reason, Verdict
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId
from fsbridge.model.outcome import FailureReason, HangupInfo

Json = Any
"""A value that came out of a JSON parser."""


class Status(StrEnum):
    """The REST contract's words; the last two are terminal."""

    QUEUED = "Queued"
    RINGING = "Ringing"
    ANSWERED = "Answered"
    COMPLETED = "Completed"
    FAILED = "Failed"


class Mode(StrEnum):
    """How the caller learns the outcome."""

    SYNC = "sync"
    POLL = "poll"
    WEBHOOK = "webhook"


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
    HANGUP = "hangup"
    CALL = "call"


class DestinationKind(StrEnum):
    """What the caller dials."""

    NUMBER = "number"
    SIP_URI = "sip_uri"


@dataclass(frozen=True, slots=True)
class Destination:
    """A validated destination: an E.164 number with its plus sign, or a SIP URI in canonical form."""

    kind: DestinationKind
    value: str


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What the caller asked for, validated. `call_analysis` None means: no analysis, flow at answer.

    `variables` go to the flow only; `metadata` to the caller only; `webhook_auth` signs and is never shown.
    """

    destination: Destination
    caller_id: str | None
    mode: Mode = Mode.POLL
    call_analysis: frozenset[Verdict] | None = None
    amd: AmdOptions | None = None
    variables: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))
    metadata: Json = None
    webhook_url: str | None = None
    webhook_auth: str | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the detector found; times in milliseconds after the answer."""

    result: Verdict
    confidence: float = 0.0
    reason: Reason | None = None
    decided_after_ms: int | None = None
    greeting_end_ms: int | None = None
    beep_ms: int | None = None
    model_version: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, from the request to its end. Times `…_at` are Unix seconds; `deadlines` are monotonic seconds.

    `failure` is set when the call is bound to fail, which may be before its channel has ended; `failure_detail`
    says in words what happened (for a flow: the step and the reason). `flow_version` is the document's that ran,
    `flow_result` what it ended with. For an `inbound` call the destination is the number that was called.
    """

    session_id: SessionId
    org_id: OrgId
    flow_id: FlowId
    request: CallRequest
    channel: ChannelUuid
    job: JobUuid
    node: str
    trunk: str
    created_at: float
    phase: Phase = Phase.QUEUED
    channel_seen: bool = False
    ringing: bool = False
    answered_at: float | None = None
    completed_at: float | None = None
    tap_connected: bool = False
    tap_retries: int = 0
    analysis: Analysis | None = None
    answer_told: bool = False
    flow_started: bool = False
    flow_over: bool = False
    fails_at_hangup: bool = False
    failure: FailureReason | None = None
    failure_detail: str | None = None
    hangup: HangupInfo | None = None
    flow_version: str = ""
    flow_result: Json = None
    inbound: bool = False
    kills: int = 0
    deadlines: Mapping[Deadline, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def ended(self) -> bool:
        """Whether the call is terminal."""
        return self.phase is Phase.ENDED

    @property
    def status(self) -> Status:
        """The REST contract's status."""
        if self.ended:
            return Status.FAILED if self.failure is not None else Status.COMPLETED
        if self.answered_at is not None:
            return Status.ANSWERED
        return Status.RINGING if self.ringing else Status.QUEUED

    @property
    def duration_s(self) -> int | None:
        """Whole seconds from the answer to the end; None for a call that was not answered or goes on."""
        if self.answered_at is None or self.completed_at is None:
            return None
        return max(0, round(self.completed_at - self.answered_at))
