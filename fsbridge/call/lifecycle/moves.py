"""The moves that every rule of the lifecycle is made of: to wait, to hang up, to end. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from fsbridge.call.lifecycle.effects import Effect, Kill, StopFlow, Tell
from fsbridge.model.call import Call, Live
from fsbridge.model.moment import Moment
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import HangupInfo
from fsbridge.model.status import Deadline, Phase

Step = tuple[Call, tuple[Effect, ...]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call waits for what, in seconds."""

    ring_s: float = 30.0
    originate_grace_s: float = 10.0
    tap_silence_s: float = 1.0
    tap_connect_s: float = 3.0
    verdict_grace_s: float = 2.0
    max_call_s: float = 3600.0
    hangup_s: float = 5.0
    late_event_s: float = 1.0
    answer_s: float = 5.0
    park_s: float = 1.0


def hang_up(call: Call, cause: str, now: Moment, limits: Limits) -> Step:
    stop: tuple[Effect, ...] = (StopFlow(),) if call.phase is Phase.IN_FLOW else ()
    call = live(calm(replace(call, phase=Phase.HANGING_UP)), asked=call.live.asked or cause)
    return wait(call, Deadline.HANGUP, now, limits.hangup_s), (*stop, Kill(cause))


def end(call: Call, now: Moment) -> Step:
    stop: tuple[Effect, ...] = (StopFlow(),) if call.phase is Phase.IN_FLOW else ()
    told: tuple[Effect, ...] = ()
    over = call.live.over or now
    if call.answered_at is not None:
        call, told = tell_answer(replace(call, talk_s=_talk_s(call, over)))
    if call.hangup is None and call.live.asked is not None:
        call = replace(call, hangup=HangupInfo(call.live.asked))
    notice = Notice.COMPLETED if call.failure is None else Notice.FAILED
    call = replace(calm(call), phase=Phase.ENDED, completed_at=over.wall)
    return call, (*stop, *told, Tell(notice))


def _talk_s(call: Call, over: Moment) -> float:
    """Seconds from the answer to the end: the node's own where it has told of both, for its events may be late, and
    it counts on a monotonic clock as well (switch_time.c); ours where we have seen the answer; by the instants of the
    record after a restart of the service."""
    if call.live.told_talk_s:
        return call.live.told_talk_s
    if call.live.answered is not None:
        return max(0.0, over.monotonic - call.live.answered.monotonic)
    return max(0.0, over.wall - (call.answered_at or over.wall))


def tell_answer(call: Call) -> tuple[Call, tuple[Effect, ...]]:
    if call.answer_told:
        return call, ()
    return replace(call, answer_told=True), (Tell(Notice.ANSWERED),)


def seen(call: Call) -> Call:
    return call if call.channel_seen else replace(call, channel_seen=True)


def live(call: Call, **changes: Any) -> Call:
    return replace(call, live=replace(call.live, **changes))


def wait(call: Call, which: Deadline, now: Moment, seconds: float) -> Call:
    return live(call, deadlines=MappingProxyType({**call.deadlines, which: now.monotonic + seconds}))


def unwait(call: Call, which: Deadline) -> Call:
    if which not in call.deadlines:
        return call
    return live(call, deadlines=MappingProxyType({key: at for key, at in call.deadlines.items() if key is not which}))


def calm(call: Call) -> Call:
    return live(call, deadlines=Live().deadlines)
