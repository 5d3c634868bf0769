"""What a call is: the record, and how its public status follows from it. Pure.

`Call` is the one record: the lifecycle (`call.lifecycle.machine`) makes new versions of it, the store keeps it, the
REST side renders it. `status` is a function of phase and outcome and is stored nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from amd_model.verdict import Answerer, Reason, Verdict
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId
from fsbridge.model.json import Json
from fsbridge.model.moment import Moment
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.request import CallRequest
from fsbridge.model.status import Deadline, Phase, Status


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the detector found; times in milliseconds after the answer.

    `answerer`, `language` (ISO 639-1) and `transcript` where words were heard, the last only where it is allowed.
    """

    result: Verdict
    confidence: float = 0.0
    reason: Reason | None = None
    decided_after_ms: int | None = None
    greeting_end_ms: int | None = None
    beep_ms: int | None = None
    model_version: str = ""
    answerer: Answerer | None = None
    language: str | None = None
    transcript: str | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """What is known of a call as long as this process runs it. None of it is kept: a restart ends the call.

    `driven`: the channel is in park, or in what was sent to it there. `away`: the node is out of reach. `looks`: how
    often the channel was looked for in park. `alerted`: the far end rang (early media alone is no ringing).
    `tap_failed`: the tap failed before the answer was told. `answered` is the answer's moment, `over` that of the
    hang-up, `told_talk_s` what the node says of the span between them, `asked` the cause with which we have hung up.
    """

    deadlines: Mapping[Deadline, float] = field(default_factory=lambda: MappingProxyType({}))
    driven: bool = False
    away: bool = False
    looks: int = 0
    alerted: bool = False
    tap_failed: str | None = None
    answered: Moment | None = None
    over: Moment | None = None
    told_talk_s: float | None = None
    asked: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call, from the request to its end. Times `…_at` are Unix seconds.

    `failure` is set when the call is bound to fail, which may be before its channel has ended; `failure_detail`
    says in words what happened (for a flow: the step and the reason). `flow_version` is the document's that ran,
    `flow_result` what it ended with. `talk_s` are the seconds from the answer to the end. For an `inbound` call the
    destination is the number that was called.
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
    talk_s: float | None = None
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
    live: Live = field(default_factory=Live)

    @property
    def deadlines(self) -> Mapping[Deadline, float]:
        """What the call waits for, and until when in monotonic seconds."""
        return self.live.deadlines

    @property
    def drivable(self) -> bool:
        """Whether an application that is sent to the channel now is run."""
        return self.live.driven and not self.live.away

    @property
    def ended(self) -> bool:
        """Whether the call is terminal."""
        return self.phase is Phase.ENDED

    @property
    def handed_over(self) -> bool:
        """Whether the flow has given the channel to the node's dialplan, where it lives on: it is not ours to end."""
        return self.phase is Phase.IN_FLOW and self.flow_over

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
        # A record of before there was `talk_s` has its instants only.
        return max(0, round(self.completed_at - self.answered_at if self.talk_s is None else self.talk_s))
