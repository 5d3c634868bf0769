"""Recorded calls through translation and lifecycle: what a real FreeSWITCH said, and what the call becomes of it.

Every originate of every recording is one call of ours: its channel is the `origination_uuid` that was asked for, its
job the one that the reply named. The session reads the bytes, `translate` makes inputs, `machine` judges; only the
recorded times pass. The tables say what the far end did, in our words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

import orjson
import pytest

from amd_model.verdict import AmdEvent, EventKind, Verdict, encode_event
from fsbridge.amd.fork import SUBSCRIBED as TAP_SUBSCRIBED
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import CheckChannel, Effect, Kill, Originate, RetryTap, StartFlow, StopTap
from fsbridge.call.lifecycle.machine import Now, earliest, step
from fsbridge.call.lifecycle.translate import SUBSCRIBED, is_hanging_up, to_input
from fsbridge.esl.commands import Line
from fsbridge.esl.errors import EslError
from fsbridge.esl.events import Event
from fsbridge.esl.session import EslSession, read_job
from fsbridge.model.call import Call
from fsbridge.model.ids import ChannelUuid
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.status import Phase, Status
from tests.traces import loader
from tests.unit.call.build import LIMITS, a_call, notices

pytestmark = pytest.mark.unit

STARTED = 1_700_000_000.0
"""Wall time of a recording's first moment."""

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


def replay(recording: Recorded, call: Call, change: Callable[[Event], Event] = lambda event: event) -> Replayed:
    """Run a call over a recording: subscribed events and passed deadlines, each at its time."""
    call = replace(call, channel=ChannelUuid(recording.channel))
    effects: list[Effect] = []
    statuses: list[tuple[Status, float]] = []
    driven: list[float] = []

    def take(given: i.Input, at: float) -> None:
        nonlocal call
        before, drivable = call.status, call.driven
        call, made = step(call, given, Now(at, STARTED + at), LIMITS)
        effects.extend(made)
        if call.status is not before:
            statuses.append((call.status, at))
        if call.driven and not drivable:
            driven.append(at)

    take(i.Begin(), recording.asked_at)
    for at, event in recording.events:
        while (due := earliest(call)) is not None and due[1] <= at:
            take(i.DeadlinePassed(due[0]), due[1])
        if event.name == "BACKGROUND_JOB":
            result = read_job(event.body)
            take(i.JobDone(result.ok, result.text), at)
        elif event.name in SUBSCRIBED or event.subclass in TAP_SUBSCRIBED:
            given = to_input(change(event))
            if given is not None:
                take(given, at)
    return Replayed(call, effects, statuses, driven)


def when(recording: Recorded, name: str) -> float | None:
    """The second at which FreeSWITCH said it first."""
    return next((at for at, event in recording.events if event.name == name), None)


@dataclass(frozen=True, slots=True)
class End:
    """How a recorded call ends; `failure` None is a completed call, `rings` whether ringing was told."""

    hangup: HangupInfo
    failure: FailureReason | None = None
    rings: bool = True


def by_us(cause: str = "NORMAL_CLEARING", q850: int = 16, rings: bool = True) -> End:
    """Answered, and ended from our side: no SIP status, our own cause."""
    return End(HangupInfo(cause, q850, None), None, rings)


def by_them() -> End:
    """Answered at once, and ended by the far end's BYE."""
    return End(HangupInfo("NORMAL_CLEARING", 16, 200), None, rings=False)


def refused(cause: str, q850: int, sip_status: int, failure: FailureReason, rings: bool = False) -> End:
    """Never answered."""
    return End(HangupInfo(cause, q850, sip_status), failure, rings)


def by_the_node(cause: str, rings: bool = False) -> End:
    """Answered, and ended by FreeSWITCH itself: somebody restarted its profile, or shut it down."""
    return End(HangupInfo(cause, 16, None), None, rings)


def unplaced(cause: str) -> End:
    """No channel at all: only the job says so, and it knows no numbers."""
    return End(HangupInfo(cause), FailureReason.TRUNK_UNAVAILABLE, rings=False)


ENDS: dict[str, list[End]] = {
    "answered_gateway": [by_us()],
    "answered_gateway_json": [by_us()],
    "answered_sip_uri": [by_us()],
    "bridge_max_reached": [by_us()],
    "conference_max_reached": [by_us()],
    "hangup_after_complete_110": [by_us()],
    "node_shut_down_with_flow": [by_the_node("SYSTEM_SHUTDOWN")],
    "park_before_job_110": [by_us()],
    "park_long_after_job_110": [by_us()],
    "park_transfer": [by_us()],
    "profile_restarted_live": [by_the_node("MANAGER_REQUEST")],
    "profile_restarted_ringing": [refused("MANAGER_REQUEST", 16, 487, FailureReason.TRUNK_UNAVAILABLE, rings=True)],
    "race_playback_before_park": [by_us()],
    "race_speak_before_park": [by_us()],
    "tap_never_connects": [by_us(rings=False)],
    "bad_dial_string": [unplaced("CHAN_NOT_IMPLEMENTED")],
    "busy_486": [refused("USER_BUSY", 17, 486, FailureReason.BUSY)],
    "cancelled_while_ringing": [refused("ORIGINATOR_CANCEL", 16, 487, FailureReason.NO_ANSWER, rings=True)],
    # The switch itself ended the first, as its originate string had asked; whoever was recorded ended the second.
    "call_limit_on_answer": [by_us("ALLOTTED_TIMEOUT", 16, rings=False), by_us(rings=False)],
    # A cause of refusal after an answer does not make the call a refused one.
    "cause_kept_by_hangup_hook": [by_us("USER_BUSY", 17)],
    "conference_and_bridge": [by_us(), by_us()],
    "dead_gateway": [refused("NORMAL_TEMPORARY_FAILURE", 41, 503, FailureReason.TRUNK_UNAVAILABLE)],
    "declined_603": [refused("CALL_REJECTED", 21, 603, FailureReason.BUSY)],
    "early_media_ignored": [refused("NO_ANSWER", 19, 487, FailureReason.NO_ANSWER, rings=True)],
    "early_media_taken": [by_us()],
    "execute_after_hangup": [by_us()],
    "executes_queued": [by_us()],
    "far_end_hangs_up": [by_them()],
    "far_end_sends_dtmf": [by_them()],
    "fax_answers": [by_us()],
    # This recording's own subscription leaves CHANNEL_PROGRESS out.
    "filters": [by_us(rings=False), by_us(rings=False)],
    "flow_beep_detect": [by_us()],
    # The busy party is the one that the flow bridged to.
    "flow_bridge_and_transfer": [by_us("USER_BUSY", 17)],
    "flow_digits": [by_us()],
    "flow_playback_and_break": [by_us()],
    "flow_say_speak_record": [by_us()],
    "fork_server_absent": [by_us()],
    "fork_server_closes": [by_us()],
    "fork_server_sends_json": [by_us()],
    "fork_started_by_command": [by_us()],
    "fork_started_on_answer": [by_us()],
    "fork_started_twice": [by_us()],
    "fork_stereo_16k": [by_us()],
    "hangup_during_playback": [by_them()],
    # An operator, or we, killed them with a cause, after the answer.
    "killed_with_cause": [by_us("CALL_REJECTED", 21), by_us("USER_BUSY", 17)],
    "max_sessions_reached": [refused("NORMAL_TEMPORARY_FAILURE", 41, 503, FailureReason.TRUNK_UNAVAILABLE)],
    "no_answer_timeout": [refused("NO_ANSWER", 19, 487, FailureReason.NO_ANSWER, rings=True)],
    "media_timeout": [by_us("MEDIA_TIMEOUT")],
    "media_timeout_forgets_hold": [by_us("MEDIA_TIMEOUT")],
    "media_timeout_on_hold": [by_us("MEDIA_TIMEOUT")],
    "node_queries": [by_us("ALLOTTED_TIMEOUT", 16)],
    "not_found_404": [refused("UNALLOCATED_NUMBER", 1, 404, FailureReason.UNROUTABLE_NUMBER)],
    "playback_over_http": [by_us()],
    "redirect_followed": [by_us(rings=False)],
    # The far end's 302 is in proto_specific_hangup_cause; this status is FreeSWITCH's own.
    "redirect_refused": [refused("REQUESTED_CHAN_UNAVAIL", 44, 487, FailureReason.TRUNK_UNAVAILABLE)],
    "sessions_per_second_reached": [by_us()] * 4,
    "sip_uri_users": [
        *([refused("USER_BUSY", 17, 486, FailureReason.BUSY)] * 9),
        refused("NO_ROUTE_DESTINATION", 3, 404, FailureReason.UNROUTABLE_NUMBER),
        refused("NORMAL_TEMPORARY_FAILURE", 41, 503, FailureReason.TRUNK_UNAVAILABLE),
    ],
    "standing_paused": [
        *([unplaced("DESTINATION_OUT_OF_ORDER")] * 2),
        refused("NORMAL_TEMPORARY_FAILURE", 41, 503, FailureReason.TRUNK_UNAVAILABLE),
    ],
    "standing_shut_down": [by_the_node("SYSTEM_SHUTDOWN", rings=False), unplaced("CHAN_NOT_IMPLEMENTED")],
    "two_taps": [by_us()],
    "unavailable_503": [refused("NORMAL_TEMPORARY_FAILURE", 41, 503, FailureReason.TRUNK_UNAVAILABLE)],
    "unicode_and_newline_values": [by_us()],
    "unknown_gateway": [unplaced("INVALID_GATEWAY")],
}
"""Every recording with a call of ours that came to its end, and how its calls, in order, ended."""

CUT_SHORT = ("node_killed", "node_shut_down")
"""Recordings that end with the node, in the middle of a call."""

NOT_OURS = ("inbound_call_parked", "wrong_password")
"""Recordings without an originate that names its channel."""


def test_every_recording_has_its_place_in_the_tables() -> None:
    assert set(loader.names()) >= {*ENDS, *CUT_SHORT, *NOT_OURS}
    for name in loader.names():
        assert len(recorded(name)) == len(ENDS.get(name, [None] if name in CUT_SHORT else [])), name


@pytest.mark.parametrize("name", ENDS)
def test_a_recorded_call_comes_to_the_end_that_it_had(name: str) -> None:
    for recording, end in zip(recorded(name), ENDS[name], strict=True):
        done = replay(recording, a_call())
        call = done.call
        answered = any(status is Status.ANSWERED for status, _ in done.statuses)
        assert (call.hangup, call.failure, call.phase) == (end.hangup, end.failure, Phase.ENDED)
        assert call.status is (Status.COMPLETED if end.failure is None else Status.FAILED)
        assert answered is (end.failure is None)
        assert any(status is Status.RINGING for status, _ in done.statuses) is end.rings
        # The lifecycle's own effects: nothing is asked of the node that the recording did not need.
        placed: list[Effect] = [Originate(), *([StartFlow()] if answered else [])]
        assert [effect for effect in done.effects if isinstance(effect, (Originate, StartFlow))] == placed
        assert not [effect for effect in done.effects if isinstance(effect, (Kill, CheckChannel, RetryTap))]
        told = [Notice.ANSWERED, Notice.COMPLETED] if answered else [Notice.FAILED]
        assert notices(done.effects) == told
        if answered:
            # The answer's own event or the job's +OK, whichever came first: `filters` let only the job through.
            witnesses = [when(recording, "CHANNEL_ANSWER"), when(recording, "BACKGROUND_JOB")]
            answer, last = min(at for at in witnesses if at is not None), when(recording, "CHANNEL_HANGUP_COMPLETE")
            assert last is not None
            assert call.answered_at == STARTED + answer
            assert call.completed_at == STARTED + last
            assert call.duration_s == round(last - answer)


def test_what_is_told_of_an_end_is_told_once_however_many_events_follow() -> None:
    """After CHANNEL_HANGUP_COMPLETE come the failed job, CHANNEL_DESTROY and a doubled end."""
    (busy,) = recorded("busy_486")
    done = replay(replace(busy, events=busy.events * 2), a_call())
    assert notices(done.effects) == [Notice.FAILED]
    assert done.call.hangup == HangupInfo("USER_BUSY", 17, 486)


def test_an_answer_is_known_without_its_event_and_an_end_without_its_own() -> None:
    """Each fact has two witnesses; a lost event leaves the other one."""
    (answered,) = recorded("answered_gateway")
    deaf = [(at, event) for at, event in answered.events if event.name != "CHANNEL_ANSWER"]
    done = replay(replace(answered, events=deaf), a_call())
    assert (done.call.status, done.call.failure) == (Status.COMPLETED, None)
    assert done.call.answered_at == STARTED + (when(answered, "BACKGROUND_JOB") or 0)
    (busy,) = recorded("busy_486")
    seen = ("CHANNEL_CREATE", "BACKGROUND_JOB")
    done = replay(replace(busy, events=[(at, event) for at, event in busy.events if event.name in seen]), a_call())
    assert done.call.phase is Phase.HANGING_UP
    due = earliest(done.call)
    assert due is not None
    call, _ = step(done.call, i.DeadlinePassed(due[0]), Now(due[1], STARTED + due[1]), LIMITS)
    assert (call.status, call.failure) == (Status.FAILED, FailureReason.BUSY)
    assert call.hangup == HangupInfo("USER_BUSY")


def test_early_media_taken_for_an_answer_is_what_ignore_early_media_prevents() -> None:
    """Without that variable the job says +OK at the 183, seconds before anybody answers."""
    (recording,) = recorded("early_media_taken")
    job, answer = when(recording, "BACKGROUND_JOB"), when(recording, "CHANNEL_ANSWER")
    assert job is not None
    assert answer is not None
    assert answer - job > 5
    assert replay(recording, a_call()).call.answered_at == STARTED + job


@pytest.mark.parametrize("name", CUT_SHORT)
def test_a_call_of_a_node_that_dies_stays_open_until_the_node_is_given_up(name: str) -> None:
    (recording,) = recorded(name)
    done = replay(recording, a_call())
    assert (done.call.status, done.call.phase, done.call.hangup) == (Status.ANSWERED, Phase.IN_FLOW, None)
    call, effects = step(done.call, i.NodeLost(), Now(99.0, STARTED + 99.0), LIMITS)
    assert (call.status, call.failure) == (Status.FAILED, FailureReason.FLOW_ERROR)
    assert notices(list(effects)) == [Notice.FAILED]


# --- when the channel can be driven --------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, ends in ENDS.items() if any(end.failure is None for end in ends)])
def test_a_channel_can_be_driven_from_its_park_or_its_job_on_whichever_comes_first(name: str) -> None:
    for recording in (call for call, end in zip(recorded(name), ENDS[name], strict=True) if end.failure is None):
        first = min(at for at in (when(recording, "BACKGROUND_JOB"), when(recording, "CHANNEL_PARK")) if at is not None)
        assert replay(recording, a_call()).driven[:1] == [first]


@pytest.mark.parametrize("witness", ["CHANNEL_PARK", "BACKGROUND_JOB"])
@pytest.mark.parametrize("name", ["park_before_job_110", "park_long_after_job_110"])
def test_one_witness_of_the_park_is_enough(name: str, witness: str) -> None:
    (recording,) = recorded(name)
    deaf = replace(recording, events=[(at, event) for at, event in recording.events if event.name != witness])
    other = "BACKGROUND_JOB" if witness == "CHANNEL_PARK" else "CHANNEL_PARK"
    assert replay(deaf, a_call()).driven == [when(recording, other)]


@pytest.mark.parametrize("name", ["race_playback_before_park", "race_speak_before_park", "park_long_after_job_110"])
def test_what_was_lost_had_been_sent_before_the_channel_could_be_driven(name: str) -> None:
    """Each recording's first application, sent on CHANNEL_ANSWER, was taken off by `park`."""
    (recording,) = recorded(name)
    sent = next(at for at, way, raw in loader.conversation(name) if way == "send" and raw.startswith(b"sendmsg"))
    answered = when(recording, "CHANNEL_ANSWER")
    assert answered is not None
    assert answered < sent < replay(recording, a_call()).driven[0]


@pytest.mark.parametrize("name", ["bridge_max_reached", "conference_max_reached"])
def test_a_call_back_is_over_with_a_park_of_its_own(name: str) -> None:
    (recording,) = recorded(name)
    called_back = next(at for at, _, raw in loader.conversation(name) if b"uuid_transfer" in raw)
    parks = [at for at, event in recording.events if event.name == "CHANNEL_PARK"]
    before = replace(recording, events=[(at, event) for at, event in recording.events if at < called_back])
    away, _ = step(replay(before, a_call()).call, i.CalledBack(), Now(called_back, STARTED), LIMITS)
    assert not away.driven
    for at, event in recording.events:
        given = to_input(event) if at >= called_back else None
        if given is not None and not away.driven:
            away, _ = step(away, given, Now(at, STARTED + at), LIMITS)
            assert away.driven is (at == parks[1] and event.name == "CHANNEL_PARK")
    assert away.driven


# --- with the tap --------------------------------------------------------------------------------------


def heard(done: Replayed) -> list[type[Effect]]:
    """The effects that have to do with the tap and the flow, by kind."""
    return [type(effect) for effect in done.effects if isinstance(effect, (RetryTap, StopTap, StartFlow, Kill))]


def test_a_tap_that_finds_no_server_is_tried_again_and_then_done_without() -> None:
    (recording,) = recorded("fork_server_absent")
    done = replay(recording, a_call({Verdict.LIVE_PERSON, Verdict.UNKNOWN}))
    # Nothing answers the second try in this recording: the tap's deadline ends the wait.
    assert heard(done) == [RetryTap, StopTap, StartFlow]
    assert done.call.analysis is not None
    assert done.call.analysis.result is Verdict.UNKNOWN
    assert (done.call.status, done.call.failure) == (Status.COMPLETED, None)


def test_a_tap_that_loses_its_server_leaves_the_answer_unknown() -> None:
    (recording,) = recorded("fork_server_closes")
    done = replay(recording, a_call({Verdict.LIVE_PERSON}))
    assert heard(done) == [StopTap, Kill]
    assert (done.call.status, done.call.failure) == (Status.FAILED, FailureReason.UNKNOWN)


def test_a_tap_that_speaks_another_language_is_no_verdict() -> None:
    """The recorded server said `{"verdict": …}`, which is not our wire."""
    (recording,) = recorded("fork_server_sends_json")
    done = replay(recording, a_call({Verdict.LIVE_PERSON}))
    assert done.call.tap_connected
    assert heard(done) == [StopTap, Kill]
    assert (done.call.status, done.call.failure) == (Status.FAILED, FailureReason.UNKNOWN)


@pytest.mark.parametrize(
    ("result", "status", "failure", "effects"),
    [
        (Verdict.LIVE_PERSON, Status.COMPLETED, None, [StopTap, StartFlow]),
        (Verdict.ANSWERING_MACHINE, Status.FAILED, FailureReason.ANSWERING_MACHINE, [StopTap, Kill]),
        (Verdict.FAX, Status.FAILED, FailureReason.FAX, [StopTap, Kill]),
        (Verdict.UNKNOWN, Status.FAILED, FailureReason.UNKNOWN, [StopTap, Kill]),
    ],
)
def test_a_verdict_arrives_as_the_recorded_event_did(
    result: Verdict, status: Status, failure: FailureReason | None, effects: list[type[Effect]]
) -> None:
    """The recorded event with our detector's words for its body: mod_audio_fork passes on the frame's `data`."""
    (recording,) = recorded("fork_server_sends_json")
    data = orjson.loads(encode_event(AmdEvent(EventKind.VERDICT, at_ms=180, result=result, confidence=0.97)))["data"]

    def ours(event: Event) -> Event:
        if event.subclass != "mod_audio_fork::transcription":
            return event
        return replace(event, body=orjson.dumps(data).decode())

    done = replay(recording, a_call({Verdict.LIVE_PERSON}), ours)
    assert heard(done) == effects
    assert done.call.analysis is not None
    assert (done.call.analysis.result, done.call.analysis.decided_after_ms) == (result, 180)
    assert (done.call.status, done.call.failure) == (status, failure)


def test_no_verdict_before_the_far_end_hangs_up_is_an_unknown_answer() -> None:
    (recording,) = recorded("far_end_hangs_up")
    done = replay(recording, a_call({Verdict.LIVE_PERSON}))
    assert (done.call.status, done.call.failure) == (Status.FAILED, FailureReason.UNKNOWN)
    assert done.call.analysis is not None
    assert done.call.analysis.result is Verdict.UNKNOWN


# --- translation ---------------------------------------------------------------------------------------


def test_a_going_channels_completions_are_known_from_a_steps_own() -> None:
    """The far end hung up in a playback: its completion, and park's, come from a channel that is going."""
    (recording,) = recorded("hangup_during_playback")
    completions = [event for _, event in recording.events if event.name == "CHANNEL_EXECUTE_COMPLETE"]
    assert [event.headers["Application"] for event in completions] == ["playback", "park"]
    assert completions[0].headers["Application-Response"] == "PLAYBACK ERROR"
    assert all(is_hanging_up(event) for event in completions)
    (recording,) = recorded("flow_playback_and_break")
    completions = [event for _, event in recording.events if event.name == "CHANNEL_EXECUTE_COMPLETE"]
    assert [is_hanging_up(event) for event in completions[:2]] == [False, False]


def test_what_means_nothing_to_a_call_is_no_input() -> None:
    meaningless = {
        event.name
        for name in loader.names()
        for recording in recorded(name)
        for _, event in recording.events
        if to_input(event) is None
    }
    assert {
        "CHANNEL_STATE",
        "CHANNEL_DESTROY",
        "PLAYBACK_START",
        "DTMF",
        "BACKGROUND_JOB",
    } <= meaningless
    assert not {"CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE"} & meaningless
