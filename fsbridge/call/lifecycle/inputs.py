"""What can happen to a call, as values.

`call.lifecycle.translate` makes them from events, the runner from deadlines. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from amd_model.verdict import AmdEvent
from fsbridge.model.json import Json
from fsbridge.model.outcome import HangupInfo
from fsbridge.model.status import Deadline


@dataclass(frozen=True, slots=True)
class Begin:
    """The call may be placed now."""


@dataclass(frozen=True, slots=True)
class Unplaceable:
    """No node or trunk can take the call; `detail` says why."""

    detail: str


@dataclass(frozen=True, slots=True)
class OriginateFailed:
    """The originate command itself was refused or could not be sent: nobody's phone rang."""

    detail: str


@dataclass(frozen=True, slots=True)
class OriginateUnsure:
    """The connection was lost, or the node did not reply in time, after the originate had been written."""


@dataclass(frozen=True, slots=True)
class JobDone:
    """The originate's BACKGROUND_JOB: `+OK <uuid>` (ok, channel uuid) or `-ERR <CAUSE>` (not ok, cause)."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class ChannelSeen:
    """The channel exists (CHANNEL_CREATE and the like)."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The far end rings (CHANNEL_PROGRESS or PROGRESS_MEDIA)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """CHANNEL_ANSWER."""


@dataclass(frozen=True, slots=True)
class Parked:
    """CHANNEL_PARK: the channel waits for applications now; `answered` is its Answer-State."""

    answered: bool


@dataclass(frozen=True, slots=True)
class CalledBack:
    """The flow has sent the channel back into park, out of what it was in: it is on its way there."""


@dataclass(frozen=True, slots=True)
class TapConnected:
    """mod_audio_fork reached the worker."""


@dataclass(frozen=True, slots=True)
class TapFailed:
    """mod_audio_fork could not connect, or lost the worker; `final` if no other worker is left to try."""

    detail: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class AmdHeard:
    """The detector said something."""

    event: AmdEvent


@dataclass(frozen=True, slots=True)
class FlowBegan:
    """The flow runs; `fails_at_hangup`: a far end that leaves before its end makes the call a failed one."""

    version: str
    fails_at_hangup: bool


class FlowResult(StrEnum):
    """How a flow ended, as far as the call is concerned. `LEFT`: the channel went to the dialplan and lives on."""

    FINISHED = "finished"
    LEFT = "left"
    BROKE = "broke"
    NOT_STARTED = "not_started"


@dataclass(frozen=True, slots=True)
class FlowEnded:
    """The flow is over; `cause` is the hang-up cause it wants, `detail` says what broke, `data` is its result."""

    result: FlowResult
    detail: str = ""
    cause: str = "NORMAL_CLEARING"
    data: Json = None


@dataclass(frozen=True, slots=True)
class HungUp:
    """CHANNEL_HANGUP_COMPLETE (or what a resynchronisation found in its place)."""

    info: HangupInfo


@dataclass(frozen=True, slots=True)
class ChannelGone:
    """The node says that the channel does not exist; `info` if it kept the cause."""

    info: HangupInfo | None = None


@dataclass(frozen=True, slots=True)
class ChannelAlive:
    """The node says that the channel exists; `answered` is its Answer-State, `parked` whether it runs `park`."""

    answered: bool
    parked: bool = False


@dataclass(frozen=True, slots=True)
class NodeLost:
    """The node has been away for longer than a call can be kept open."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The service is going down, or the call's events overflowed: end the call now; `detail` says why."""

    detail: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A time in `Call.deadlines` has come."""

    which: Deadline


Input = (
    Begin
    | Unplaceable
    | OriginateFailed
    | OriginateUnsure
    | JobDone
    | ChannelSeen
    | Progress
    | Answered
    | Parked
    | CalledBack
    | TapConnected
    | TapFailed
    | AmdHeard
    | FlowBegan
    | FlowEnded
    | HungUp
    | ChannelGone
    | ChannelAlive
    | NodeLost
    | StopAsked
    | DeadlinePassed
)
