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
class JobUnclear:
    """The originate's BACKGROUND_JOB has another body than these, or none: it says only that the originate is over."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class ChannelSeen:
    """The channel exists: some event of it came."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The far end rings (CHANNEL_PROGRESS), or sends sound before the answer (PROGRESS_MEDIA, `early_media`)."""

    early_media: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """CHANNEL_ANSWER, or any other event of an answered channel; `ago_s` seconds ago, by the node's clock."""

    ago_s: float = 0.0


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
class End:
    """What the node says of a channel's end, whichever event or answer it says it in. Seconds by the node's clock.

    `talk_s` is the span from the answer to the end, None if there was no answer; `alerted`, whether it rang before;
    `ago_s`, how long before these words it ended.
    """

    info: HangupInfo
    talk_s: float | None = None
    alerted: bool = False
    ago_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HangingUp:
    """CHANNEL_HANGUP, or another event of a channel that is going down: its end is near, and mostly known."""

    end: End | None = None


@dataclass(frozen=True, slots=True)
class HungUp:
    """CHANNEL_HANGUP_COMPLETE, or CHANNEL_DESTROY."""

    end: End


@dataclass(frozen=True, slots=True)
class ChannelGone:
    """The node says that the channel does not exist; `end` if it kept how that ended."""

    end: End | None = None


@dataclass(frozen=True, slots=True)
class ChannelAlive:
    """The node says that the channel exists. `answered_ago_s` is since when it is answered, None if it is not; `parked`
    is whether it runs `park`."""

    answered_ago_s: float | None = None
    parked: bool = False


@dataclass(frozen=True, slots=True)
class NodeAway:
    """The node is out of reach: nothing can be sent, and nothing is heard."""


@dataclass(frozen=True, slots=True)
class NodeBack:
    """The node is heard again."""


@dataclass(frozen=True, slots=True)
class NodeLost:
    """The node has been away for longer than a call can be kept open; or it is another one, as `detail` says then."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The service is going down, or the call's events overflowed: end the call now; `detail` says why."""

    detail: str


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A time in `Call.deadlines` has come."""

    which: Deadline


@dataclass(frozen=True, slots=True)
class Strange:
    """A newer detector said something that is not known here: no input of the lifecycle, but counted."""


Input = (
    Begin
    | Unplaceable
    | OriginateFailed
    | OriginateUnsure
    | JobDone
    | JobUnclear
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
    | HangingUp
    | HungUp
    | ChannelGone
    | ChannelAlive
    | NodeAway
    | NodeBack
    | NodeLost
    | StopAsked
    | DeadlinePassed
)
