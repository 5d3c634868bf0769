"""What an interpreter asks for and what it is told back: values only. Pure.

An action is asked for one at a time; each has a deadline, and each is answered by exactly one result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from fsbridge.flow.document.expectation import Expectation

Json = Any

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Execute:
    """Run an application on the channel; give it up after `deadline_s`.

    `leaves`: the channel leaves `park` for it, so it ends by being sent back there; then `deadline_s` is the step's own
    bound, and reaching it no fault.
    """

    app: str
    arg: str
    deadline_s: float
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait until something is heard."""

    expectation: Expectation
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Fetch:
    """An HTTP exchange; `headers` values are the text itself or the name of a secret."""

    method: str
    url: str
    headers: Mapping[str, str]
    secret_headers: Mapping[str, str]
    body: Json
    retries: int
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Dial:
    """Bridge the channel to somebody else; routing and the dial string are the service's.

    It rings for `ring_s`, which FreeSWITCH keeps; from the answer on the two may talk for `talk_s`. `deadline_s` is for
    an answer that nobody told of.
    """

    to: str
    trunk: str | None
    caller_id: str | None
    ring_s: float
    talk_s: float
    deadline_s: float


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A voice bot takes part until it ends the stream, is gone, or the time is up."""

    url: str
    rate: str
    metadata: Mapping[str, Json]
    connect_s: float
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Tell:
    """A `call.event` for the caller."""

    name: str
    data: Json
    deadline_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Rest:
    """Let the others have their turn; nothing is done, and `Rested` is the result."""

    deadline_s: float = 60.0


Action = Execute | Listen | Fetch | Dial | OpenStream | Tell | Rest


@dataclass(frozen=True, slots=True)
class Executed:
    """The application ended: its Application-Response and the channel's variables then.

    `asked` is what was sent, `took_s` how long it took, by the node's clock; None where nobody knows. `bounded`: its
    step's own bound ended it. `cut`: a key was pressed meanwhile, or the bot called it off: it may have ended early.
    """

    response: str = ""
    variables: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    asked: str = ""
    took_s: float | None = None
    bounded: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What was waited for has been heard; `at_ms` on the listener's clock."""

    what: str
    at_ms: int = 0
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetched:
    """The customer's system answered; `body` is its JSON, or its text; `note` says why there is none."""

    status: int
    body: Json
    note: str = ""


class StreamEnd(StrEnum):
    """How a voice bot's part came to its end; `bound`: its time (`max`) was up."""

    DONE = "done"
    GONE = "bot_gone"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Streamed:
    """The bot's part is over; `transfer` or `hangup` where it asked for one, `variables` that it set."""

    end: StreamEnd
    variables: Mapping[str, Json] = field(default_factory=dict)
    transfer: str | None = None
    hangup: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """The event has been kept for delivery."""


@dataclass(frozen=True, slots=True)
class Rested:
    """The others have had their turn."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The action did not end by its deadline; `heard` says what was heard instead."""

    heard: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The action could not be done."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The node has not what the action needs."""

    reason: str


Result = Executed | Heard | Fetched | Streamed | Told | Rested | TimedOut | Refused | Unavailable


class FlowOutcome(StrEnum):
    """How a flow ends. `LEFT`: the channel went to the node's dialplan and must not be hung up."""

    FINISHED = "finished"
    BROKE = "broke"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """The end: in which step, why, the hang-up cause that the flow wants, and what it found out."""

    outcome: FlowOutcome
    step: str | None = None
    reason: str = ""
    cause: str = "NORMAL_CLEARING"
    result: Json = None
