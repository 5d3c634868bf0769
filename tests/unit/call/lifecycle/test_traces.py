"""Recorded calls come to the end that they had, by each of their witnesses. The tables say what the far end did."""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson
import pytest

from amd_model.verdict import AmdEvent, EventKind, Verdict, encode_event
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import CheckChannel, Effect, Kill, Originate, RetryTap, StartFlow, StopTap
from fsbridge.call.lifecycle.machine import step
from fsbridge.call.lifecycle.translate import is_hanging_up, to_inputs
from fsbridge.esl.events import Event
from fsbridge.model.moment import Moment
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import FailureReason, HangupInfo
from fsbridge.model.status import Phase, Status
from tests.traces import loader
from tests.unit.call.build import LIMITS, a_call, notices
from tests.unit.call.recordings import STARTED, Replayed, inputs, recorded, replay

pytestmark = pytest.mark.unit


@dataclass(frozen=True, slots=True)
class End:
    """How a recorded call ends; `failure` None is a completed call, `rings` whether ringing was told."""

    hangup: HangupInfo
    failure: FailureReason | None = None
    rings: bool = True
    answered: bool = False


def by_us(cause: str = "NORMAL_CLEARING", q850: int | None = 16, rings: bool = True) -> End:
    """Answered, and ended from our side: no SIP status, our own cause."""
    return End(HangupInfo(cause, q850, None), None, rings, answered=True)


def by_them(rings: bool = False) -> End:
    """Answered at once, and ended by the far end's BYE."""
    reason = 'Q.850;cause=16;text="NORMAL_CLEARING"'
    return End(HangupInfo("NORMAL_CLEARING", 16, 200, reason, by_far_end=True), None, rings, answered=True)


def refused(
    cause: str, q850: int, sip_status: int, failure: FailureReason, rings: bool = False, reason: str | None = "as q850"
) -> End:
    """Never answered: the far end said no. Its Reason header says so once more where it is a FreeSWITCH of 1.11."""
    said = f'Q.850;cause={q850};text="{cause}"' if reason == "as q850" else reason
    return End(HangupInfo(cause, q850, sip_status, said, by_far_end=True), failure, rings)


def unavailable() -> End:
    """Never answered: nobody there, or no room, which FreeSWITCH says without a Reason header."""
    return refused("NORMAL_TEMPORARY_FAILURE", 41, 503, FailureReason.TRUNK_UNAVAILABLE, reason=None)


def cancelled(cause: str, q850: int | None, failure: FailureReason) -> End:
    """Never answered: it rang until our side gave up."""
    return End(HangupInfo(cause, q850, 487), failure, rings=True)


def by_the_node(cause: str, q850: int | None = None, rings: bool = False) -> End:
    """Answered, and ended by FreeSWITCH itself, in the middle of the flow: the flow was cut."""
    return End(HangupInfo(cause, q850, None), FailureReason.FLOW_ERROR, rings, answered=True)


def unplaced(cause: str) -> End:
    """No channel at all: only the job says so, and it knows no numbers."""
    return End(HangupInfo(cause), FailureReason.TRUNK_UNAVAILABLE, rings=False)


ENDS: dict[str, list[End]] = {
    "answered_gateway": [by_us()],
    "answered_gateway_json": [by_us()],
    "answered_sip_uri": [by_us()],
    "bad_dial_string": [unplaced("CHAN_NOT_IMPLEMENTED")],
    "busy_486": [refused("USER_BUSY", 17, 486, FailureReason.BUSY)],
    "cancelled_while_ringing": [cancelled("ORIGINATOR_CANCEL", None, FailureReason.NO_ANSWER)],
    # The switch itself ended the first, as its originate string had asked; whoever was recorded ended the second.
    "call_limit_on_answer": [by_the_node("ALLOTTED_TIMEOUT"), by_us(rings=False)],
    # A cause of refusal after an answer does not make the call a refused one.
    "cause_kept_by_hangup_hook": [by_us("USER_BUSY", 17)],
    "conference_and_bridge": [by_us(), by_us()],
    "dead_gateway": [unavailable()],
    "declined_603": [refused("CALL_REJECTED", 21, 603, FailureReason.BUSY)],
    "early_media_ignored": [cancelled("NO_ANSWER", 19, FailureReason.NO_ANSWER)],
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
    "max_sessions_reached": [unavailable()],
    "no_answer_timeout": [cancelled("NO_ANSWER", 19, FailureReason.NO_ANSWER)],
    "media_timeout": [by_the_node("MEDIA_TIMEOUT", rings=True)],
    "media_timeout_forgets_hold": [by_the_node("MEDIA_TIMEOUT", rings=True)],
    "media_timeout_on_hold": [by_the_node("MEDIA_TIMEOUT", rings=True)],
    "node_queries": [by_the_node("ALLOTTED_TIMEOUT", rings=True)],
    "not_found_404": [refused("UNALLOCATED_NUMBER", 1, 404, FailureReason.UNROUTABLE_NUMBER)],
    "playback_over_http": [by_us()],
    # A second message, which the full disk has no room for at all, is the node's reason to hang up.
    "record_disk_full": [by_the_node("DESTINATION_OUT_OF_ORDER", 27)],
    "record_disk_full_whole_call": [by_us(rings=False)],
    "record_session_cannot_write": [by_us(rings=False)],
    "redirect_followed": [by_us(rings=False)],
    "redirect_refused": [refused("REQUESTED_CHAN_UNAVAIL", 44, 302, FailureReason.UNROUTABLE_NUMBER, reason=None)],
    "say_with_sounds": [by_us(rings=False)],
    "sessions_per_second_reached": [by_us()] * 4,
    "sip_uri_users": [
        *([refused("USER_BUSY", 17, 486, FailureReason.BUSY, reason=None)] * 9),
        refused("NO_ROUTE_DESTINATION", 3, 404, FailureReason.UNROUTABLE_NUMBER),
        unavailable(),
    ],
    "standing_paused": [
        *([unplaced("DESTINATION_OUT_OF_ORDER")] * 2),
        unavailable(),
    ],
    "standing_shut_down": [by_the_node("SYSTEM_SHUTDOWN", rings=False), unplaced("CHAN_NOT_IMPLEMENTED")],
    "two_taps": [by_us()],
    "unavailable_503": [refused("NORMAL_TEMPORARY_FAILURE", 41, 503, FailureReason.TRUNK_UNAVAILABLE)],
    "unicode_and_newline_values": [by_us()],
    "unknown_gateway": [unplaced("INVALID_GATEWAY")],
    "flows/a_leg_hangs_up_in_bridge": [by_them()],
    "flows/bot_host_unresolvable": [by_us(rings=False)],
    "flows/bridge_max_reached": [by_us()],
    "flows/conference_max_reached": [by_us()],
    "flows/early_media_then_486": [refused("USER_BUSY", 17, 486, FailureReason.BUSY, rings=True)],
    "flows/ears_tap_hears": [by_them(rings=True)],
    "flows/flow_calls_flow_outbound_side": [by_us(rings=False)],
    "flows/hangup_after_complete_110": [by_us()],
    "flows/inbound_refused_404": [refused("UNALLOCATED_NUMBER", 1, 404, FailureReason.UNROUTABLE_NUMBER)],
    "flows/media_steps_missing_files_bad_voice": [by_us(rings=False)],
    "flows/node_shut_down_with_flow": [by_the_node("SYSTEM_SHUTDOWN")],
    "flows/park_before_job_110": [by_us()],
    "flows/park_long_after_job_110": [by_us()],
    "flows/park_transfer": [by_us()],
    "flows/profile_restarted_live": [by_the_node("MANAGER_REQUEST")],
    "flows/profile_restarted_ringing": [cancelled("MANAGER_REQUEST", None, FailureReason.TRUNK_UNAVAILABLE)],
    "flows/race_conference_before_park": [by_us()],
    "flows/race_menu_before_park": [by_us()],
    "flows/race_playback_before_park": [by_us()],
    "flows/race_speak_before_park": [by_us()],
    "flows/record_ended_by_hash": [by_us(rings=False)],
    # Release 1.10.12 does not tell the Reason header: its cause beats the status all the same.
    "flows/refused_503_reason_17_110": [refused("USER_BUSY", 17, 503, FailureReason.BUSY, reason=None)],
    "flows/refused_603plus_110": [refused("CALL_REJECTED", 21, 603, FailureReason.BUSY, reason=None)],
    "flows/say_without_sounds": [by_us(rings=False)],
    "flows/send_dtmf_is_queued": [by_them()],
    "flows/star_ends_speak": [by_us(rings=False)],
    "flows/tap_never_connects": [by_us(rings=False)],
    # The dialplan had the channel, so its end is none of the flow's.
    "flows/transfer_to_missing_context": [by_us("NO_ROUTE_DESTINATION", 3)],
    "flows/voice_bot_all_commands": [by_us()],
    "flows/voice_bot_transfers_while_speaking": [by_us()],
}
"""Every recording with a call of ours that came to its end, and how its calls, in order, ended."""

CUT_SHORT = ("flows/speak_before_park_110", "node_killed", "node_shut_down")
"""Recordings that end in the middle of a call, two of them with the node."""

NOT_OURS = (
    *("flows/flow_calls_flow_inbound_side", "flows/inbound_taken_after_restart", "flows/typed_ahead_digits_and_gather"),
    *("doctor_queries", "inbound_call_parked", "wrong_password"),
)
"""Recordings without an originate that names its channel."""


def test_every_recording_has_its_place_in_the_tables() -> None:
    names = {*loader.names(), *loader.flows()}
    assert names == {*ENDS, *CUT_SHORT, *NOT_OURS}
    for name in names:
        assert len(recorded(name)) == len(ENDS.get(name, [None] if name in CUT_SHORT else [])), name


@pytest.mark.parametrize("name", ENDS)
def test_a_recorded_call_comes_to_the_end_that_it_had(name: str) -> None:
    for recording, end in zip(recorded(name), ENDS[name], strict=True):
        done = replay(recording, a_call())
        call = done.call
        answered = any(status is Status.ANSWERED for status, _ in done.statuses)
        assert (call.hangup, call.failure, call.phase) == (end.hangup, end.failure, Phase.ENDED)
        assert call.status is (Status.COMPLETED if end.failure is None else Status.FAILED)
        assert answered is end.answered
        assert any(status is Status.RINGING for status, _ in done.statuses) is end.rings
        # The lifecycle's own effects: nothing is asked of the node that the recording did not need.
        asked = [CheckChannel()] * 2 if name == "flows/node_shut_down_with_flow" else []
        placed: list[Effect] = [Originate(), *([StartFlow()] if answered else [])]
        assert [effect for effect in done.effects if isinstance(effect, (Originate, StartFlow))] == placed
        assert [effect for effect in done.effects if isinstance(effect, (Kill, CheckChannel, RetryTap))] == asked
        last = Notice.COMPLETED if end.failure is None else Notice.FAILED
        assert notices(done.effects) == ([Notice.ANSWERED, last] if answered else [last])
        if answered:
            # The answer's own event or the job's +OK, whichever came first: `filters` let only the job through.
            witnesses = [recording.when("CHANNEL_ANSWER"), recording.when("BACKGROUND_JOB")]
            answer = min(at for at in witnesses if at is not None)
            ends = [recording.when("CHANNEL_HANGUP"), recording.when("CHANNEL_HANGUP_COMPLETE")]
            over = min(at for at in ends if at is not None)
            assert call.answered_at == STARTED + answer
            assert call.completed_at == pytest.approx(STARTED + over, abs=0.001)
            # Early media was taken for an answer in one of them: the node's own word of the span puts it right.
            answer = recording.when("CHANNEL_ANSWER") or answer
            assert call.talk_s == pytest.approx(over - answer, abs=0.05)


def test_what_is_told_of_an_end_is_told_once_however_many_events_follow() -> None:
    """After CHANNEL_HANGUP_COMPLETE come the failed job, CHANNEL_DESTROY and a doubled end."""
    (busy,) = recorded("busy_486")
    done = replay(replace(busy, events=busy.events * 2), a_call())
    assert notices(done.effects) == [Notice.FAILED]
    assert done.call.hangup == ENDS["busy_486"][0].hangup


def test_early_media_taken_for_an_answer_is_what_ignore_early_media_prevents() -> None:
    """Without that variable the job says +OK at the 183, seconds before anybody answers."""
    (recording,) = recorded("early_media_taken")
    job, answer = recording.when("BACKGROUND_JOB"), recording.when("CHANNEL_ANSWER")
    assert job is not None
    assert answer is not None
    assert answer - job > 5
    assert replay(recording, a_call()).call.answered_at == STARTED + job


@pytest.mark.parametrize("name", CUT_SHORT)
def test_a_call_of_a_node_that_dies_stays_open_until_the_node_is_given_up(name: str) -> None:
    (recording,) = recorded(name)
    done = replay(recording, a_call())
    assert (done.call.status, done.call.phase, done.call.hangup) == (Status.ANSWERED, Phase.IN_FLOW, None)
    call, effects = step(done.call, i.NodeLost(), Moment(99.0, STARTED + 99.0), LIMITS)
    assert (call.status, call.failure) == (Status.FAILED, FailureReason.FLOW_ERROR)
    assert notices(list(effects)) == [Notice.FAILED]


# --- when the channel can be driven --------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, ends in ENDS.items() if any(end.answered for end in ends)])
def test_a_channel_can_be_driven_from_its_park_or_its_job_on_whichever_comes_first(name: str) -> None:
    for recording in (call for call, end in zip(recorded(name), ENDS[name], strict=True) if end.answered):
        first = min(at for at in (recording.when("BACKGROUND_JOB"), recording.when("CHANNEL_PARK")) if at is not None)
        assert replay(recording, a_call()).driven[:1] == [first]


@pytest.mark.parametrize("witness", ["CHANNEL_PARK", "BACKGROUND_JOB"])
@pytest.mark.parametrize("name", ["flows/park_before_job_110", "flows/park_long_after_job_110"])
def test_one_witness_of_the_park_is_enough(name: str, witness: str) -> None:
    (recording,) = recorded(name)
    deaf = replace(recording, events=[(at, event) for at, event in recording.events if event.name != witness])
    other = "BACKGROUND_JOB" if witness == "CHANNEL_PARK" else "CHANNEL_PARK"
    assert replay(deaf, a_call()).driven == [recording.when(other)]


@pytest.mark.parametrize("name", ["race_playback_before_park", "race_speak_before_park", "park_long_after_job_110"])
def test_what_was_lost_had_been_sent_before_the_channel_could_be_driven(name: str) -> None:
    """Each recording's first application, sent on CHANNEL_ANSWER, was taken off by `park`."""
    (recording,) = recorded(f"flows/{name}")
    sent = next(
        at for at, way, raw in loader.conversation(f"flows/{name}") if way == "send" and raw.startswith(b"sendmsg")
    )
    answered = recording.when("CHANNEL_ANSWER")
    assert answered is not None
    assert answered < sent < replay(recording, a_call()).driven[0]


@pytest.mark.parametrize("name", ["flows/bridge_max_reached", "flows/conference_max_reached"])
def test_a_call_back_is_over_with_a_park_of_its_own(name: str) -> None:
    (recording,) = recorded(name)
    called_back = next(at for at, _, raw in loader.conversation(name) if b"uuid_transfer" in raw)
    parks = [at for at, event in recording.events if event.name == "CHANNEL_PARK"]
    before = replace(recording, events=[(at, event) for at, event in recording.events if at < called_back])
    away, _ = step(replay(before, a_call()).call, i.CalledBack(), Moment(called_back, STARTED), LIMITS)
    assert not away.live.driven
    for at, event in recording.events:
        for given in inputs(event) if at >= called_back and not away.live.driven else []:
            away, _ = step(away, given, Moment(at, STARTED + at), LIMITS)
            assert away.live.driven is (at == parks[1] and event.name == "CHANNEL_PARK")
    assert away.live.driven


# --- with the tap --------------------------------------------------------------------------------------


PATIENT = replace(LIMITS, tap_silence_s=LIMITS.tap_connect_s)
"""Most of these recordings start the tap by a command, seconds after the answer."""


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
    done = replay(recording, a_call({Verdict.LIVE_PERSON}), limits=PATIENT)
    assert heard(done) == [StopTap, Kill]
    assert (done.call.status, done.call.failure) == (Status.FAILED, FailureReason.UNKNOWN)


def test_a_tap_that_speaks_another_language_is_no_verdict() -> None:
    """The recorded server said `{"verdict": …}`, which is not our wire."""
    (recording,) = recorded("fork_server_sends_json")
    done = replay(recording, a_call({Verdict.LIVE_PERSON}), limits=PATIENT)
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

    done = replay(recording, a_call({Verdict.LIVE_PERSON}), ours, limits=PATIENT)
    assert heard(done) == effects
    assert done.call.analysis is not None
    assert (done.call.analysis.result, done.call.analysis.decided_after_ms) == (result, 180)
    assert (done.call.status, done.call.failure) == (status, failure)


def test_no_verdict_before_the_far_end_hangs_up_is_an_unknown_answer() -> None:
    (recording,) = recorded("far_end_hangs_up")
    done = replay(recording, a_call({Verdict.LIVE_PERSON}), limits=PATIENT)
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
    """An event that no fact of a call stands in: that its channel is not answered yet is none."""
    found = [event for name in loader.names() for recording in recorded(name) for _, event in recording.events]
    meaningless = {event.name for event in found if not list(to_inputs(event))}
    assert {"CHANNEL_STATE", "CHANNEL_OUTGOING", "CODEC", "BACKGROUND_JOB"} <= meaningless
    named = {"CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_ANSWER", "CHANNEL_PARK", "CHANNEL_HANGUP_COMPLETE"}
    assert not named & meaningless
