"""One call's greenlet: a mailbox in, the lifecycle's effects out.

Everything that concerns the call goes through its mailbox in order: events of its channel, the ends of its
commands, its deadlines. Effects that wait for the node run beside it and report back as inputs, so a slow node
delays no other call and not even this one's events. The rules are in `call.lifecycle.machine`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog
from gevent.event import Event as Flag
from gevent.queue import Empty, Full, Queue

from fsbridge.call.conversation.flowhost import FlowHost, FlowServices
from fsbridge.call.conversation.flowrun import FlowNews
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import (
    AnswerChannel,
    CheckChannel,
    Effect,
    Kill,
    Originate,
    RetryTap,
    StartFlow,
    StopFlow,
    StopTap,
    Tell,
)
from fsbridge.call.lifecycle.history import note
from fsbridge.call.lifecycle.machine import earliest, step
from fsbridge.call.lifecycle.moves import Limits
from fsbridge.call.lifecycle.timeline import Timeline
from fsbridge.call.lifecycle.translate import is_hanging_up, to_inputs
from fsbridge.call.running.switch import Placement, Switch
from fsbridge.clock import Clock
from fsbridge.errors import FsbridgeError
from fsbridge.esl.errors import CommandFailed, CommandTimeout
from fsbridge.esl.events import Event
from fsbridge.flow.document.errors import FlowError
from fsbridge.flow.document.model import FlowDocument
from fsbridge.model.call import Call, Live
from fsbridge.model.ids import FlowId, OrgId
from fsbridge.model.moment import Moment
from fsbridge.model.notice import Notice
from fsbridge.model.status import Phase
from fsbridge.store.base import StoreError
from fsbridge.supervise import Supervisor

log = structlog.get_logger(__name__)

MAILBOX = 512
"""Inputs that may wait: a call makes about 25 events in all, so a full mailbox is a fault, and ends the call."""

TAP_LATENESS_S = 0.5
"""How long after the answer a tap's audio may begin."""

SAVE_RETRIES_S = (0.5, 2.0, 8.0, 30.0)
"""Waits between tries to keep an ended call's record when the store refuses (a full disk, say)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a runner works with; the composition root makes one for all calls.

    `keep(call, notices)` stores the call with its webhooks and sets their delivery going; `began(call)` and
    `seen(before, after)` are told of calls and their changes (metrics). `flow(org, flow)` finds a document or
    raises FlowError. `other_worker(url)` is a worker but that one, if there is any. `keep_timeline` stores the
    timeline of a call that has ended. `strange()` is told of what a newer detector says and nobody here knows.
    """

    supervisor: Supervisor
    clock: Clock
    limits: Limits
    keep: Callable[[Call, tuple[Notice, ...]], None]
    began: Callable[[Call], None]
    seen: Callable[[Call, Call], None]
    flow: Callable[[OrgId, FlowId], FlowDocument]
    other_worker: Callable[[str], str | None]
    services: FlowServices
    keep_timeline: Callable[[Call, Timeline], None]
    strange: Callable[[], None] = lambda: None


class CallRunner:
    """Runs one call to its end. `done` is set when the terminal record has been stored (or given up)."""

    def __init__(self, call: Call, placement: Placement, switch: Switch, parts: Parts) -> None:
        self.call = call
        self.placement = placement
        self.switch = switch
        self.originated_in_epoch: int | None = None
        self.done = Flag()
        self._parts = parts
        self._mailbox: Queue[i.Input | Event | FlowNews] = Queue(MAILBOX)
        self._overflowed = False
        self._unkept: tuple[Notice, ...] = ()
        self._dirty = False
        self._flow: FlowHost | None = None
        self.timeline = Timeline()
        self._log = log.bind(session_id=call.session_id)

    @property
    def wants_detector(self) -> bool:
        """Whether the call's answer is still to be listened to, or is just now."""
        before = (Phase.QUEUED, Phase.ORIGINATING, Phase.RINGING, Phase.ANALYZING)
        return self.placement.tap is not None and self.call.phase in before

    def post(self, item: i.Input | Event | FlowNews) -> None:
        """Hand something to the call; never blocks."""
        try:
            self._mailbox.put_nowait(item)
        except Full:
            if not self._overflowed:
                self._overflowed = True
                self._log.error("mailbox_full", size=MAILBOX)

    def run(self) -> None:
        """Until the call is terminal and kept."""
        try:
            while not self.call.ended:
                item = self._next()
                if item is not None:
                    self._take(item)
            self._keep_until_kept()
            self._keep_timeline()
            if self.call.channel_seen:
                self._beside("forget_end", lambda: self.switch.forget_end(self.call.channel))
        except Exception as error:
            # A fault of ours: the call must not be left without an end.
            self._log.exception("call_runner_failed")
            self._abandon(error)
        finally:
            self.done.set()

    # --- the loop ----------------------------------------------------------------------------------------

    def _next(self) -> i.Input | Event | FlowNews | None:
        now = self._parts.clock.monotonic()
        waits = earliest(self.call)
        flow_at = self._flow.deadline if self._flow is not None else None
        times = [at for at in (waits[1] if waits else None, flow_at) if at is not None]
        if self._overflowed:
            self._overflowed = False
            return i.StopAsked("more events than a call can have")
        try:
            return self._mailbox.get(timeout=max(0.0, min(times) - now) if times else None)
        except Empty:
            now = self._parts.clock.monotonic()
            if self._flow is not None:
                self._flow.on_time()
                self._pass_flow_end()
            if waits is not None and waits[1] <= now:
                return i.DeadlinePassed(waits[0])
            return None

    def _take(self, item: i.Input | Event | FlowNews) -> None:
        if isinstance(item, FlowNews):
            if self._flow is not None:
                self._flow.on_news(item)
                self._pass_flow_end()
        elif isinstance(item, Event):
            self._take_event(item)
        else:
            self._step(item)

    def _take_event(self, event: Event) -> None:
        if self.call.live.away:
            self._step(i.NodeBack())
        if self._flow is not None and is_hanging_up(event):
            broken = self._flow.broken_by(event.headers.get("Hangup-Cause", ""))
            if broken is not None:
                self._step(broken)
        elif self._flow is not None:
            self._flow.on_event(event)
            self._pass_flow_end()
        for given in to_inputs(event):
            if isinstance(given, i.Strange):
                self._parts.strange()
            else:
                self._step(given)

    def _pass_flow_end(self) -> None:
        ended = self._flow.take_end() if self._flow is not None else None
        if ended is not None:
            self._step(ended)

    def _step(self, item: i.Input) -> None:
        clock = self._parts.clock
        before = self.call
        now = Moment(clock.monotonic(), clock.wall())
        self.call, effects = step(before, item, now, self._parts.limits)
        if self.call is before and not effects:
            return
        notices = tuple(effect.notice for effect in effects if isinstance(effect, Tell))
        if notices or _worth_keeping(before) != _worth_keeping(self.call):
            self._keep(notices)
        self._parts.seen(before, self.call)
        self._tell_log(before)
        note(self.timeline, before, self.call, item, now.wall)
        if self.call.channel_seen and not before.channel_seen and not self.call.ended:
            self._beside("keep_end", lambda: self.switch.keep_end(self.call.channel))
        for effect in effects:
            self._do(effect)
        if self._flow is not None and self.call.drivable is not before.drivable:
            self._flow.drive(self.call.drivable)
            self._pass_flow_end()
        if self.call.phase is Phase.ANALYZING and before.phase is not Phase.ANALYZING and self.placement.tap is None:
            self._step(i.TapFailed("no AMD worker is up", final=True))

    # --- effects -----------------------------------------------------------------------------------------

    def _do(self, effect: Effect) -> None:
        match effect:
            case Originate():
                self.originated_in_epoch = self.switch.epoch
                self._beside("originate", lambda: self._report(self.switch.originate(self.call, self.placement)))
            case AnswerChannel():
                self._beside("answer", self._answer)
            case Kill(cause, channel):
                target = channel or self.call.channel
                self._beside("kill", lambda: self._report(self.switch.kill(target, cause), own=channel is None))
            case CheckChannel():
                self._beside("check", lambda: self._report(self.switch.look(self.call.channel)))
            case RetryTap(silent):
                self._beside("retry_tap", lambda: self._retry_tap(silent))
            case StopTap():
                if self.placement.tap is not None:
                    self._beside("stop_tap", self._stop_tap, self._left_to_keep())
            case StartFlow():
                self._start_flow()
            case StopFlow():
                if self._flow is not None:
                    self._flow.stop()
            case Tell():
                pass  # kept with the record, above

    def _retry_tap(self, silent: bool) -> None:
        tap = self.placement.tap
        url = self._parts.other_worker(tap.ws_url) if tap is not None else None
        if tap is not None and url is None and silent:
            url = tap.ws_url
        if tap is None or url is None:
            self.post(i.TapFailed("the AMD worker refused the tap, and there is no other", final=True))
            return
        if self.call.tap_connected or self.call.phase is not Phase.ANALYZING:
            return
        try:
            self.switch.start_tap(self.call.channel, replace(tap, ws_url=url))
        except CommandTimeout:
            pass  # it may have been done: the tap connects in time, or does not
        except FsbridgeError as error:
            self.post(i.TapFailed(str(error), final=True))

    def _left_to_keep(self) -> float:
        """Seconds until the part of the answer that is to be kept is over."""
        answered = self.call.live.answered
        if not self.placement.keep_s or answered is None:
            return 0.0
        return max(0.0, self.placement.keep_s + TAP_LATENESS_S - (self._parts.clock.monotonic() - answered.monotonic))

    def _stop_tap(self) -> None:
        if not self.call.ended:  # a channel that is gone took its tap along
            self.switch.stop_tap(self.call.channel)

    def _answer(self) -> None:
        try:
            self.switch.answer(self.call.channel)
        except CommandFailed:
            self.post(i.ChannelGone())

    def _start_flow(self) -> None:
        call, parts = self.call, self._parts
        try:
            document = parts.flow(call.org_id, call.flow_id)
        except FlowError as error:
            self.post(i.FlowEnded(i.FlowResult.NOT_STARTED, str(error)))
            return
        self._step(i.FlowBegan(document.version, document.fails_at_hangup))
        self._flow = FlowHost(
            lambda: self.call,
            document,
            self.switch,
            parts.services,
            self.timeline,
            parts.clock,
            self._beside,
            self.post,
            lambda: self._step(i.CalledBack()),
        )
        self._flow.start()
        self._pass_flow_end()

    def _report(self, outcome: i.Input | None, own: bool = True) -> None:
        if outcome is not None and own:
            self.post(outcome)

    def _beside(self, what: str, task: Callable[[], None], after_s: float = 0.0) -> None:
        def guarded() -> None:
            try:
                task()
            except FsbridgeError as error:
                self._log.warning("node_command_failed", what=what, error=str(error))

        self._parts.supervisor.spawn_later(after_s, f"call.{what}", guarded)

    # --- records -----------------------------------------------------------------------------------------

    def _keep(self, notices: tuple[Notice, ...]) -> None:
        self._unkept = (*self._unkept, *notices)
        try:
            self._parts.keep(self.call, self._unkept)
        except StoreError as error:
            self._log.error("call_not_kept", error=str(error), status=self.call.status)
            self._dirty = True
        else:
            self._unkept, self._dirty = (), False

    def _keep_until_kept(self) -> None:
        for wait in SAVE_RETRIES_S:
            if not self._dirty:
                return
            Flag().wait(wait)
            self._keep(())
        if self._dirty:
            self._log.error("call_lost_from_store", status=self.call.status, failure=self.call.failure)

    def _keep_timeline(self) -> None:
        try:
            self._parts.keep_timeline(self.call, self.timeline)
        except StoreError as error:
            self._log.error("timeline_not_kept", error=str(error))

    def _abandon(self, error: Exception) -> None:
        clock = self._parts.clock
        now = Moment(clock.monotonic(), clock.wall())
        self.call, effects = step(self.call, i.NodeLost(), now, self._parts.limits)
        if self.call.failure is not None and effects:
            self.call = replace(self.call, failure_detail=f"internal fault: {type(error).__name__}")
        self._beside("kill", lambda: self._report(self.switch.kill(self.call.channel, "NORMAL_TEMPORARY_FAILURE")))
        self._keep(tuple(effect.notice for effect in effects if isinstance(effect, Tell)))

    def _tell_log(self, before: Call) -> None:
        call = self.call
        if call.status != before.status:
            facts: dict[str, object] = {"status": str(call.status)}
            if call.ended:
                facts |= {
                    "failure": call.failure and str(call.failure),
                    "detail": call.failure_detail,
                    "cause": call.hangup.cause if call.hangup else None,
                    "duration_s": call.duration_s,
                }
            self._log.info("call_status", **{k: v for k, v in facts.items() if v is not None})
        if call.analysis is not None and before.analysis is None:
            self._log.info("call_verdict", result=str(call.analysis.result), reason=call.analysis.reason)


_NOTHING = Live()


def _worth_keeping(call: Call) -> Call:
    """The call without what changes often and is worth nothing after a restart."""
    return replace(call, live=_NOTHING, channel_seen=False, tap_connected=False, kills=0)
