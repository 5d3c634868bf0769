"""A call's greenlet against a switch that is played by hand: order, overflow, faults, stubborn stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from gevent.event import Event as Flag

from amd_model.verdict import AmdEvent, EventKind, Verdict, encode_event
from fsbridge.call.conversation.flowhost import FlowServices
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.moves import Limits
from fsbridge.call.lifecycle.timeline import Timeline
from fsbridge.call.running.runner import MAILBOX, CallRunner, Parts
from fsbridge.call.running.switch import Placement
from fsbridge.clock import SystemClock
from fsbridge.esl.dialstring import Tap
from fsbridge.esl.errors import CommandFailed, EslConnectionLost, EslNotSent
from fsbridge.esl.events import Event
from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowMissing
from fsbridge.model.call import Call
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import FailureReason
from fsbridge.model.status import Status
from fsbridge.store.base import StoreError
from fsbridge.supervise import Supervisor
from tests.unit.call.build import CHANNEL, a_call

pytestmark = pytest.mark.unit


def event(name: str, subclass: str = "", body: str = "", **headers: str) -> Event:
    return Event(name, subclass, {"Event-Name": name, "Unique-ID": CHANNEL, **headers}, body)


HANGUP = event("CHANNEL_HANGUP_COMPLETE", **{"Hangup-Cause": "NORMAL_CLEARING", "Answer-State": "hangup"})


class HandSwitch:
    """Answers like a node whose every application ends at once; keeps what it was asked."""

    epoch = 1

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.runner: CallRunner | None = None
        self.refuses: Exception | None = None
        self.completes = True
        self.tap_event: Event | None = None
        self.strange = False

    def originate(self, call: Call, placement: Placement) -> i.Input:
        self.asked.append("originate")
        self._post(event("CHANNEL_CREATE"), event("CHANNEL_PROGRESS"), event("CHANNEL_ANSWER"))
        if self.tap_event is not None:
            self._post(self.tap_event)
        return i.JobDone(True, call.channel)

    away = False

    def execute(self, channel: str, action_id: str, app: str, arg: str) -> None:
        self.asked.append(f"{app} {arg}")
        if self.refuses is not None:
            raise self.refuses
        if self.completes:
            self._post(event("CHANNEL_EXECUTE_COMPLETE", **{"Application-UUID": action_id}))

    def kill(self, channel: str, cause: str) -> i.Input | None:
        self.asked.append(f"kill {cause}")
        self._post(HANGUP)
        return None

    def look(self, channel: str) -> i.Input:
        raise EslConnectionLost("away")

    def keep_end(self, channel: str) -> None:
        self.asked.append("keep")

    def forget_end(self, channel: str) -> None:
        self.asked.append("forget")

    def start_tap(self, channel: str, tap: Tap) -> None:
        self.asked.append(f"start_tap {tap.ws_url}")
        self._post(event("CUSTOM", "mod_audio_fork::connect"))
        said = encode_event(AmdEvent(EventKind.VERDICT, 900, Verdict.LIVE_PERSON, 0.9))
        if self.strange:
            self._post(event("CUSTOM", "mod_audio_fork::transcription", body='{"event":"laughter","atMs":5}'))
        self._post(event("CUSTOM", "mod_audio_fork::transcription", body=json.dumps(json.loads(said)["data"])))

    def stop_tap(self, channel: str) -> None:
        self.asked.append("stop_tap")

    def _post(self, *events: Event) -> None:
        assert self.runner is not None
        for each in events:
            self.runner.post(each)


def _none(*_: object) -> Any:
    raise ValueError("this flow needs nothing of the house")


SERVICES = FlowServices(
    fetch=_none, dial=_none, bot_refusal=_none, tell=_none, ears=lambda call, document: None, reference=_none
)


class Bench:
    """A runner, its hand-played switch, and what was kept."""

    def __init__(
        self,
        call: Call,
        flow: str | Exception = "steps: [{id: a, play: hi.wav}]",
        store_faults: int = 0,
        tap: Tap | None = None,
        other_worker: str | None = None,
    ) -> None:
        self.kept: list[tuple[Status, tuple[Notice, ...]]] = []
        self.timeline: list[Any] = []
        self.strange: list[bool] = []
        self.supervisor = Supervisor()
        self.switch = HandSwitch()
        self._faults = store_faults
        parts = Parts(
            self.supervisor,
            SystemClock(),
            Limits(hangup_s=0.5),
            self._keep,
            lambda call: None,
            lambda before, after: None,
            lambda org, flow_id: self._flow(flow),
            lambda url: other_worker,
            SERVICES,
            self._keep_timeline,
            lambda: self.strange.append(True),
        )
        self.runner = CallRunner(call, Placement(None, None, 1, tap), self.switch, parts)  # type: ignore[arg-type]
        self.switch.runner = self.runner

    def _keep(self, call: Call, notices: tuple[Notice, ...]) -> None:
        if self._faults > 0:
            self._faults -= 1
            raise StoreError("disk full")
        self.kept.append((call.status, notices))

    def _keep_timeline(self, call: Call, timeline: Timeline) -> None:
        self.timeline = timeline.events()

    @staticmethod
    def _flow(flow: str | Exception) -> Any:
        if isinstance(flow, Exception):
            raise flow
        return parse(flow)

    def run(self) -> Call:
        self.runner.post(i.Begin())
        self.supervisor.spawn("run", self.runner.run)
        assert self.runner.done.wait(10)
        return self.runner.call

    @property
    def told(self) -> list[Notice]:
        return [notice for _, notices in self.kept for notice in notices]


@pytest.fixture
def bench() -> Iterator[type[Bench]]:
    made: list[Bench] = []

    class Kept(Bench):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    yield Kept
    for each in made:
        each.supervisor.stop()


def test_a_call_from_begin_to_end(bench: type[Bench]) -> None:
    at = bench(a_call())
    call = at.run()
    assert (call.status, call.failure) == (Status.COMPLETED, None)
    assert at.told == [Notice.ANSWERED, Notice.COMPLETED]
    assert at.switch.asked[0] == "originate"
    assert "playback hi.wav" in at.switch.asked
    assert "kill NORMAL_CLEARING" in at.switch.asked
    statuses = [status for status, _ in at.kept]
    assert list(dict.fromkeys(statuses)) == [Status.QUEUED, Status.RINGING, Status.ANSWERED, Status.COMPLETED]


def test_without_a_tap_the_analysis_is_unknown_at_once(bench: type[Bench]) -> None:
    call = bench(a_call({Verdict.LIVE_PERSON})).run()
    assert call.failure is FailureReason.UNKNOWN
    assert call.analysis is not None
    assert call.analysis.result is Verdict.UNKNOWN


REFUSED = event("CUSTOM", "mod_audio_fork::connect_failed", '{"reason":"HS: ws upgrade response not 101"}')
TAP = Tap("ws://one/amd", "b", "")


def test_a_tap_that_is_refused_is_tried_with_another_worker(bench: type[Bench]) -> None:
    at = bench(a_call({Verdict.LIVE_PERSON}), tap=TAP, other_worker="ws://two/amd")
    at.switch.tap_event = REFUSED
    call = at.run()
    assert (call.status, call.analysis and call.analysis.result) == (Status.COMPLETED, Verdict.LIVE_PERSON)
    assert "start_tap ws://two/amd" in at.switch.asked


def test_what_a_newer_worker_says_besides_is_counted_and_changes_nothing(bench: type[Bench]) -> None:
    at = bench(a_call({Verdict.LIVE_PERSON}), tap=TAP, other_worker="ws://two/amd")
    at.switch.tap_event, at.switch.strange = REFUSED, True
    call = at.run()
    assert (call.status, call.analysis and call.analysis.result) == (Status.COMPLETED, Verdict.LIVE_PERSON)
    assert at.strange == [True]


def test_a_refused_tap_without_another_worker_is_the_verdict_unknown(bench: type[Bench]) -> None:
    at = bench(a_call({Verdict.LIVE_PERSON}), tap=TAP)
    at.switch.tap_event = REFUSED
    assert at.run().failure is FailureReason.UNKNOWN


@pytest.mark.parametrize(("keep_s", "earliest"), [(0.0, 0.0), (0.3, 0.25)])
def test_the_tap_stays_while_the_answer_is_to_be_kept(
    bench: type[Bench], monkeypatch: pytest.MonkeyPatch, keep_s: float, earliest: float
) -> None:
    monkeypatch.setattr("fsbridge.call.running.runner.TAP_LATENESS_S", 0.0)
    at = bench(a_call({Verdict.LIVE_PERSON}), "steps: [{id: a, play: a.wav}]", tap=TAP, other_worker="ws://two/amd")
    at.runner.placement = replace(at.runner.placement, keep_s=keep_s)
    at.switch.tap_event, at.switch.completes = REFUSED, False
    clock, stopped_after = SystemClock(), []

    def stop_tap(channel: str) -> None:
        answered_at = at.runner.call.answered_at
        assert answered_at is not None
        stopped_after.append(clock.wall() - answered_at)
        at.runner.post(HANGUP)

    monkeypatch.setattr(at.switch, "stop_tap", stop_tap)
    assert at.run().status is Status.COMPLETED
    assert len(stopped_after) == 1
    assert stopped_after[0] >= earliest
    assert stopped_after[0] < earliest + 5.0


def test_a_tap_that_ended_with_its_call_is_not_stopped(bench: type[Bench]) -> None:
    at = bench(a_call({Verdict.LIVE_PERSON}), tap=TAP, other_worker="ws://two/amd")
    at.runner.placement = replace(at.runner.placement, keep_s=0.01)
    at.switch.tap_event = REFUSED
    assert at.run().status is Status.COMPLETED
    clock = SystemClock()
    deadline = clock.monotonic() + 5.0
    while len(at.supervisor):
        assert clock.monotonic() < deadline, "something still waits to stop the tap"
        Flag().wait(0.01)
    assert "stop_tap" not in at.switch.asked


def test_a_flow_that_is_gone_is_a_failed_start(bench: type[Bench]) -> None:
    call = bench(a_call(), FlowMissing("gone")).run()
    assert (call.failure, call.failure_detail) == (FailureReason.SESSION_START_FAILED, "gone")


@pytest.mark.parametrize("refusal", [CommandFailed("execute speak", "-ERR no"), EslNotSent("away")])
def test_a_refused_step_breaks_the_flow(bench: type[Bench], refusal: Exception) -> None:
    at = bench(a_call())
    at.switch.refuses = refusal
    call = at.run()
    assert call.failure is FailureReason.FLOW_ERROR
    assert "step a" in (call.failure_detail or "")


def test_a_completion_that_comes_with_the_hang_up_says_nothing_of_the_step(bench: type[Bench]) -> None:
    at = bench(a_call(), "steps: [{id: a, play: a.wav}]")
    at.switch.completes = False
    supervisor = at.supervisor
    at.runner.post(i.Begin())
    supervisor.spawn("run", at.runner.run)

    def hang_up() -> None:
        going = {"Answer-State": "hangup"}
        at.runner.post(event("CHANNEL_HANGUP", **going))
        at.runner.post(event("CHANNEL_EXECUTE_COMPLETE", **going, **{"Application-Response": "PLAYBACK ERROR"}))
        at.runner.post(HANGUP)

    supervisor.spawn_later(0.05, "far end", hang_up)
    assert at.runner.done.wait(10)
    assert (at.runner.call.status, at.runner.call.failure) == (Status.COMPLETED, None)


def test_a_flood_of_events_ends_the_call_and_nothing_else(bench: type[Bench]) -> None:
    at = bench(a_call())
    for _ in range(MAILBOX + 10):
        at.runner.post(event("CHANNEL_CREATE"))
    call = at.run()
    assert call.status is Status.FAILED
    assert "more events" in (call.failure_detail or "")


def test_a_store_that_refuses_for_a_while_loses_nothing(bench: type[Bench]) -> None:
    at = bench(a_call(), store_faults=6)
    call = at.run()
    assert call.status is Status.COMPLETED
    assert at.kept[-1][0] is Status.COMPLETED
    assert at.told == [Notice.ANSWERED, Notice.COMPLETED]


def test_a_fault_of_ours_still_ends_the_call(bench: type[Bench]) -> None:
    at = bench(a_call(), ZeroDivisionError("a bug"))
    call = at.run()
    assert (call.status, call.failure_detail) == (Status.FAILED, "internal fault: ZeroDivisionError")
    assert Notice.FAILED in at.told
