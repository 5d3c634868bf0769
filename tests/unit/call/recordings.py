"""Recorded calls through translation and lifecycle: what a real FreeSWITCH said, and what the call becomes of it.

Every originate of every recording is one call of ours: its channel is the `origination_uuid` that was asked for, its
job the one that the reply named. The session reads the bytes, `translate` makes inputs, `machine` judges; only the
recorded times pass. A node that is asked answers what was true at that moment of the recording.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

from fsbridge.amd.fork import SUBSCRIBED as TAP_SUBSCRIBED
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import CheckChannel, Effect
from fsbridge.call.lifecycle.machine import earliest, step
from fsbridge.call.lifecycle.moves import Limits
from fsbridge.call.lifecycle.translate import KEPT, SUBSCRIBED, read_kept, to_inputs
from fsbridge.esl.commands import Line
from fsbridge.esl.errors import EslError
from fsbridge.esl.events import Event
from fsbridge.esl.session import EslSession, read_job
from fsbridge.model.call import Call
from fsbridge.model.ids import ChannelUuid
from fsbridge.model.moment import Moment
from fsbridge.model.status import Status
from tests.traces import loader
from tests.unit.call.build import LIMITS

STARTED = 1_700_000_000.0
"""Wall time of a recording's first moment."""

LATENCY_S = 0.005
"""Of a node that is asked."""

_ORIGINATE = re.compile(rb"bgapi originate \{[^}]*origination_uuid=([0-9a-f-]{36})")


@dataclass(slots=True)
class Recorded:
    """One originate of a recording: what came for its channel and its job, with the seconds at which it came."""

    channel: str
    asked_at: float
    job: str = ""
    events: list[tuple[float, Event]] = field(default_factory=list)

    def learn_job(self, reply: str | EslError) -> None:
        """Take the reply to the originate."""
        assert isinstance(reply, str), reply
        self.job = reply.removeprefix("+OK Job-UUID: ")

    def when(self, name: str) -> float | None:
        """The second at which FreeSWITCH said it first."""
        return next((at for at, event in self.events if event.name == name), None)

    def find(self, name: str) -> Event | None:
        """The first event of that name."""
        return next((event for _, event in self.events if event.name == name), None)

    def without(self, lost: Callable[[int, Event], bool]) -> Recorded:
        """The recording, but for what is lost of it by place and event."""
        return replace(self, events=[each for at, each in enumerate(self.events) if not lost(at, each[1])])


@cache
def recorded(name: str) -> tuple[Recorded, ...]:
    """The originates of a recording, in the order in which they were sent."""
    session = EslSession()
    calls: list[Recorded] = []
    for at, direction, raw in loader.conversation(name):
        if direction == "recv":
            for message in session.receive_data(raw):
                for call in calls if isinstance(message, Event) else ():
                    assert isinstance(message, Event)
                    if call.channel == message.unique_id or (call.job and call.job == message.job_uuid):
                        call.events.append((at, message))
        elif direction == "send":
            done: Callable[[str | EslError], None] = lambda _: None  # noqa: E731
            asked = _ORIGINATE.match(raw)
            if asked is not None:
                calls.append(Recorded(asked[1].decode(), at))
                done = calls[-1].learn_job
            session.send(Line(raw.decode().split("\n")[0]), done)
    return tuple(calls)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a call: its last version, every effect, the statuses with the recorded second each came at.

    `driven` are the seconds at which it became one that can be driven.
    """

    call: Call
    effects: list[Effect]
    statuses: list[tuple[Status, float]]
    driven: list[float]


def inputs(event: Event) -> list[i.Input]:
    """What the lifecycle is told by an event, if the node sends us such."""
    if event.name == "BACKGROUND_JOB":
        result = read_job(event.body)
        return [i.JobDone(result.ok, result.text)]
    if event.name in SUBSCRIBED or event.subclass in TAP_SUBSCRIBED:
        return list(to_inputs(event))
    return []


def look(truth: Recorded, at: float, keeps: bool = True) -> i.Input:
    """What the node answers when it is asked for the channel at a moment of the recording."""
    created, answered = truth.when("CHANNEL_CREATE"), truth.when("CHANNEL_ANSWER")
    gone, parked = truth.when("CHANNEL_HANGUP_COMPLETE"), truth.when("CHANNEL_PARK")
    if created is None or at < created:
        return i.ChannelGone()
    if gone is not None and at >= gone:
        last = truth.find("CHANNEL_HANGUP_COMPLETE")
        assert last is not None
        kept = ",".join(last.headers.get(f"variable_{name}", "") for name in KEPT)
        return i.ChannelGone(read_kept(kept if keeps else ""))
    return i.ChannelAlive(
        at - answered if answered is not None and at >= answered else None,
        parked=parked is not None and at >= parked,
    )


def replay(
    recording: Recorded,
    call: Call,
    change: Callable[[Event], Event] = lambda event: event,
    truth: Recorded | None = None,
    keeps: bool = True,
    limits: Limits = LIMITS,
) -> Replayed:
    """Run a call over a recording: subscribed events and passed deadlines, each at its time.

    With the `truth` of what happened the node answers when it is asked, and time goes on until the call has ended.
    """
    call = replace(call, channel=ChannelUuid(recording.channel))
    effects: list[Effect] = []
    statuses: list[tuple[Status, float]] = []
    driven: list[float] = []

    def take(given: i.Input, at: float) -> None:
        nonlocal call
        before = call
        call, made = step(call, given, Moment(at, STARTED + at), limits)
        effects.extend(made)
        if call.status is not before.status:
            statuses.append((call.status, at))
        if call.drivable and not before.drivable:
            driven.append(at)
        if truth is not None and CheckChannel() in made:
            take(look(truth, at + LATENCY_S, keeps), at + LATENCY_S)

    def pass_until(at: float) -> None:
        while (due := earliest(call)) is not None and due[1] <= at:
            take(i.DeadlinePassed(due[0]), due[1])

    take(i.Begin(), recording.asked_at)
    for at, event in recording.events:
        pass_until(at)
        for given in inputs(change(event)):
            take(given, at)
    if truth is not None:
        pass_until(recording.asked_at + 2 * limits.max_call_s)
    return Replayed(call, effects, statuses, driven)
