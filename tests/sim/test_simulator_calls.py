"""Calls on the simulator: the built-in far ends, the applications. What no recording shows says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from gevent.event import Event

from fsbridge.clock import SystemClock
from fsbridge.simulator import FarEndBook, FarEndError, Simulator, SimulatorSettings, parse_script, run
from fsbridge.simulator.audio import sound
from fsbridge.supervise import Supervisor
from tests.sim.simulator_helpers import Bench, Client, bench, simulated, wait_until

pytestmark = pytest.mark.sim

A = "aaaaaaaa-0000-4000-8000-000000000001"


def one(*steps: object) -> FarEndBook:
    return FarEndBook((parse_script("one", "*", list(steps)),))


def response(b: Bench, identity: str) -> dict[str, str]:
    """The completion of the execute with this id."""
    return b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID=identity).event


# The built-in far ends


@pytest.mark.parametrize(
    ("number", "result"),
    [
        ("+15550100004", "-ERR USER_BUSY\n"),
        ("+15550100005", "-ERR NO_ANSWER\n"),
        ("+15550100007", "-ERR UNALLOCATED_NUMBER\n"),
        ("15550100008", "-ERR NORMAL_TEMPORARY_FAILURE\n"),
        ("+15550100013", "-ERR CALL_REJECTED\n"),
    ],
)
def test_far_ends_that_are_not_reached(number: str, result: str) -> None:
    with bench() as b:
        b.originate(number, A)
        b.advance(31, step=1.0)
        assert b.result(A) == result


@pytest.mark.parametrize(
    ("number", "first_sound"),
    [
        ("+15550100001", "person-hello.flac"),
        ("+15550100002", "machine-extension.flac"),
        ("15550100011", "machine-segreteria.flac"),
        ("+15550100012", "machine-reader.flac"),
    ],
)
def test_far_ends_that_speak(number: str, first_sound: str) -> None:
    with bench() as b:
        b.originate(number, A)
        b.advance(6)
        channel = b.simulator.node.channels[A]
        start = (channel.times["answered"] - channel.times["created"]) // 125
        recorded = sound.load(str(sound.AUDIO_FOLDER / first_sound))
        heard = channel.heard.read(start, 3 * 8000)
        assert recorded[:8000] in heard


def test_the_fax_gives_its_answer_tone() -> None:
    with bench() as b:
        b.answered("+15550100003", A)
        b.advance(1)
        channel = b.simulator.node.channels[A]
        assert sound.is_answer_tone(channel.heard.read(channel.sample() - 4000, 4000))


def test_the_one_that_hangs_up_does_so_after_a_second() -> None:
    with bench() as b:
        b.originate("hangsup", A)
        b.advance(2)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event["variable_sip_hangup_disposition"] == "recv_bye"


def test_anybody_else_is_a_person_and_not_always_the_same_one() -> None:
    with bench() as b:
        voices = set()
        for digit in "1234":
            uuid = A[:-1] + digit
            b.originate(f"+1555222000{digit}", uuid)
            b.advance(2)
            channel = b.simulator.node.channels[uuid]
            voices.add(channel.heard.read(0, 16_000))
        assert len(voices) == 4


def test_the_answering_machine_takes_down_what_is_said_after_its_beep() -> None:
    with bench() as b:
        b.originate("machine", A)
        b.advance(15.5)
        assert b.client.wait_event("CHANNEL_ANSWER")
        b.execute(A, "playback", "tone_stream://%(1000,0,600)", "p")
        b.advance(7)
        assert b.client.wait_event("CHANNEL_HANGUP").event["Hangup-Cause"] == "NORMAL_CLEARING"
        (message,) = b.simulator.messages
        assert message.channel == A
        assert message.number == "machine"
        said = np.frombuffer(message.pcm, "<i2").astype(float)
        assert 8000 < np.abs(said).astype(bool).sum() <= 8100 or np.abs(said).max() > 1000
        assert np.argmax(np.abs(np.fft.rfft(said))) * 8000 / len(said) == pytest.approx(600, abs=5)


def test_a_message_is_kept_when_the_caller_hangs_up_in_it() -> None:
    with bench(far_ends=one("answer", {"record": {}})) as b:
        b.answered("1", A)
        b.execute(A, "speak", "flite|slt|good bye", "s")
        b.advance(0.5)
        b.client.api(f"uuid_kill {A}")
        b.advance(0.1)
        assert sound.heard(b.simulator.messages[0].pcm)


def test_digits_are_pressed_after_each_prompt() -> None:
    with bench() as b:
        b.answered("digits", A)
        b.execute(A, "play_and_get_digits", "1 1 3 5000 # silence_stream://100 silence_stream://100 choice \\d", "g")
        b.advance(1)
        b.execute(A, "playback", "tone_stream://%(500,0,600)", "p")
        b.advance(3)
        assert b.client.wait_event("DTMF").event["DTMF-Digit"] == "1"


def test_early_media_is_heard_before_the_answer() -> None:
    with bench() as b:
        b.originate("earlymedia", A)
        b.advance(1)
        b.client.wait_event("CHANNEL_PROGRESS_MEDIA")
        channel = b.simulator.node.channels[A]
        assert sound.heard(channel.heard.read(channel.sample() - 800, 800))
        b.advance(12)
        b.client.wait_event("CHANNEL_ANSWER")


# Steps


def test_a_far_end_waits_for_digits_and_loops() -> None:
    script = [
        "answer",
        {"wait_dtmf": {"digits": 2}},
        {"dtmf": "1w2"},
        {"wait_dtmf": {"until": "#", "seconds": 5}},
        {"loop": {"times": 2, "steps": [{"dtmf": "9"}]}},
        {"wait_dtmf": {"digits": 1, "seconds": 1}},
        {"hangup": "USER_BUSY"},
    ]
    with bench(far_ends=one(*script)) as b:
        b.answered("1", A)
        assert b.client.api(f"uuid_send_dtmf {A} 12@100") == f"+OK {A} sent DTMF 12@100.\n"
        b.advance(2)
        b.execute(A, "send_dtmf", "3w4W5#", "d")
        b.advance(6)
        digits = [f.event["DTMF-Digit"] for f in b.client.events if f.name == "DTMF"]
        assert digits == ["1", "2", "9", "9"]
        assert b.client.wait_event("CHANNEL_HANGUP").event["Hangup-Cause"] == "USER_BUSY"


def test_a_far_end_that_refuses_after_ringing_or_hangs_up_unanswered() -> None:
    with bench(far_ends=one({"ring": 1}, {"hangup": "NO_USER_RESPONSE"})) as b:
        b.originate("1", A)
        b.advance(2)
        assert b.result(A) == "-ERR NO_USER_RESPONSE\n"


def test_a_far_end_that_speaks_and_answers_twice_is_answered_once() -> None:
    with bench(far_ends=one("early_media", "early_media", "answer", "answer", {"ring": 1}, "early_media")) as b:
        b.answered("1", A)
        names = b.client.names(A)
        assert names.count("CHANNEL_ANSWER") == 1
        assert names.count("CHANNEL_PROGRESS_MEDIA") == 1
        assert "CHANNEL_PROGRESS" not in names


def test_a_script_goes_on_for_nobody_after_a_cancelled_call() -> None:
    with bench(far_ends=one({"ring": 5}, "answer")) as b:
        b.originate("1", A)
        b.advance(1)
        b.client.api(f"uuid_kill {A}")
        b.advance(10)
        assert b.result(A) == "-ERR NORMAL_CLEARING\n"
        assert "CHANNEL_ANSWER" not in b.client.names(A)


# Applications


def test_playing_a_file_ends_with_it_and_by_the_star() -> None:
    with bench(far_ends=one("answer", {"silence": 3}, {"dtmf": "5*"})) as b:
        b.originate("1", A)
        b.advance(0.5)
        b.execute(A, "playback", "prompt-thanks.flac", "file")
        b.advance(1.7)
        assert response(b, "file")["Application-Response"] == "FILE PLAYED"
        b.execute(A, "playback", "silence_stream://-1", "star")
        b.advance(2)
        done = response(b, "star")
        assert done["Application-Response"] == "FILE PLAYED"
        assert done["variable_playback_terminator_used"] == "*"


def test_without_terminators_nothing_ends_a_playback_but_its_end() -> None:
    with bench(far_ends=one("answer", {"silence": 1}, {"dtmf": "*"})) as b:
        b.originate("1", A, "playback_terminators=none")
        b.advance(0.5)
        b.execute(A, "playback", "silence_stream://3000", "p")
        b.advance(2)
        assert b.client.wait_event("DTMF")
        assert "PLAYBACK_STOP" not in b.client.names(A)
        b.advance(1.5)
        assert response(b, "p")["Application-Response"] == "FILE PLAYED"


@pytest.mark.parametrize(
    "path",
    ["/etc/hostname", "tone_stream://nothing", "tone_stream://%(1)", "tone_stream://%(a,b)", "silence_stream://x"],
)
def test_what_cannot_be_played_is_file_not_found(path: str) -> None:
    with bench() as b:
        b.answered("1555", A)
        b.execute(A, "playback", path, "p")
        b.advance(0.2)
        assert response(b, "p")["Application-Response"] == "FILE NOT FOUND"


def test_digits_pressed_into_the_prompt_end_it_and_count() -> None:
    with bench(far_ends=one("answer", {"silence": 1}, {"dtmf": "42#"})) as b:
        b.originate("1", A)
        b.advance(0.5)
        b.execute(
            A, "play_and_get_digits", "1 4 1 3000 # silence_stream://9000 silence_stream://10 pin ^\\d+$ 500", "g"
        )
        b.advance(2.5)
        done = response(b, "g")
        assert done["variable_pin"] == "42"
        assert done["variable_read_result"] == "success"
        assert done["variable_read_terminator_used"] == "#"


def test_digits_that_a_pause_ends_are_taken_as_a_timeout() -> None:
    with bench(far_ends=one("answer", {"silence": 1}, {"dtmf": "42"})) as b:
        b.originate("1", A)
        b.advance(0.5)
        b.execute(A, "play_and_get_digits", "1 4 1 3000 # silence_stream://10 silence_stream://10 pin ^\\d+$ 500", "g")
        b.advance(4)
        done = response(b, "g")
        assert (done["variable_pin"], done["variable_read_result"]) == ("42", "timeout")


@pytest.mark.parametrize(("pattern", "pin"), [("^7$", None), ("(", None), ("^[0-9]{2}$", "12")])
def test_digits_are_held_against_the_pattern(pattern: str, pin: str | None) -> None:
    with bench(far_ends=one("answer", {"silence": 1}, {"dtmf": "12"}, {"silence": 1}, {"dtmf": "12"})) as b:
        b.originate("1", A)
        b.advance(0.5)
        b.execute(
            A, "play_and_get_digits", f"1 2 2 3000 # silence_stream://10 silence_stream://10 pin {pattern} 500", "g"
        )
        b.advance(6)
        done = response(b, "g")
        assert done["variable_read_result"] == "success"
        assert (done.get("variable_pin"), done.get("variable_pin_invalid")) == (pin, None if pin else "12")


def test_a_gather_whose_prompt_is_missing_asks_nobody() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.execute(A, "play_and_get_digits", "1 4 2 3000 # /etc/hostname silence_stream://10 pin ^1$ 500", "g")
        b.advance(0.5)
        assert "variable_read_result" not in response(b, "g")


@pytest.mark.parametrize("argument", ["", "1 2 3", "a b c d # x y pin z"])
def test_a_gather_with_a_bad_argument_ends_at_once(argument: str) -> None:
    with bench() as b:
        b.answered("1555", A)
        b.execute(A, "play_and_get_digits", argument, "g")
        b.advance(0.1)
        assert "variable_read_result" not in response(b, "g")


def test_hanging_up_ends_a_gather_in_each_of_its_phases() -> None:
    for phase, wait in (("prompt", 0.5), ("first digit", 1.5), ("invalid", 2.2)):
        with bench() as b:
            b.answered("1555", A)
            b.execute(
                A, "play_and_get_digits", "1 4 1 1000 # silence_stream://1000 silence_stream://1000 pin \\d+", "g"
            )
            b.advance(wait)
            b.client.api(f"uuid_kill {A}")
            b.advance(0.1)
            assert b.client.names(A)[-1] == "CHANNEL_STATE", phase
            assert "CHANNEL_DESTROY" in b.client.names(A)


def test_speech_takes_its_time_and_can_be_broken_off() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.execute(A, "speak", "flite|slt|Hello from the flow", "s")
        b.advance(1.0)
        assert b.client.names(A)[-1] == "CHANNEL_EXECUTE"
        b.advance(1.0)
        assert response(b, "s")["Application-Response"] == "_none_"
        b.execute(A, "speak", "flite|slt|" + "word " * 50, "long")
        b.advance(0.5)
        assert b.client.api(f"uuid_break {A}") == "+OK\n"
        b.advance(0.1)
        assert response(b, "long")


def test_variables_by_application() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.execute(A, "set", "a=${uuid}-${nothing}-${open", "1")
        b.execute(A, "export", "b=2", "2")
        b.advance(0.1)
        assert b.client.api(f"uuid_getvar {A} a") == f"{A}--${{open"
        b.execute(A, "unset", "b", "3")
        b.advance(0.1)
        assert b.client.api(f"uuid_getvar {A} b") == "_undef_"


def test_an_unknown_application_ends_the_call_and_is_not_told_of() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.execute(A, "levitate", "1", "u")
        b.advance(0.1)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event["Hangup-Cause"] == "DESTINATION_OUT_OF_ORDER"
        assert "levitate" not in [f.event.get("Application") for f in b.client.events]


def test_a_call_placed_for_an_unknown_application_ends_with_its_answer() -> None:
    with bench() as b:
        b.originate("1555", A, application="&levitate(1)")
        b.advance(3)
        assert b.result(A) == f"+OK {A}\n"
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event["Hangup-Cause"] == "DESTINATION_OUT_OF_ORDER"


def test_an_application_that_ends_ends_the_call() -> None:
    with bench(far_ends=one("answer")) as b:
        b.originate("1", A, application="&sleep(500)")
        b.advance(1)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event["Hangup-Cause"] == "NORMAL_CLEARING"


def test_executes_pile_up_only_so_far() -> None:
    with bench() as b:
        b.answered("1555", A)
        for turn in range(110):
            b.execute(A, "sleep", "60000", f"s{turn}")
        b.advance(0.5)
        assert b.client.wait_event("CHANNEL_HANGUP").event["Hangup-Cause"] == "SWITCH_CONGESTION"
        assert b.client.names(A).count("CHANNEL_EXECUTE") == b.client.names(A).count("CHANNEL_EXECUTE_COMPLETE")


def test_messages_wait_for_the_answer_and_not_without_end() -> None:
    with bench(far_ends=one({"ring": 5}, "answer")) as b:
        b.originate("1", A)
        b.advance(0.2)
        assert b.execute(A, "set", "early=1", "e") == "+OK"
        for _ in range(999):
            b.simulator.node.channels[A].execution.send(b.simulator.node.channels[A].execution._inbox[0])
        assert b.execute(A, "set", "early=1", "e") == "-ERR memory error"


def test_scheduled_hangup_by_application_and_by_command() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.execute(A, "sched_hangup", "+2 USER_BUSY", "s")
        assert b.client.api(f"sched_hangup never {A}") == "-USAGE: [+]<time> <uuid>[ <cause>]\n"
        assert b.client.api(f"sched_hangup {int(b.clock.wall()) + 900} {A}") == "+OK\n"
        b.advance(2.5)
        assert b.client.wait_event("CHANNEL_HANGUP").event["Hangup-Cause"] == "USER_BUSY"


# Recording


def test_a_recording_holds_both_sides_and_stays_in_its_folder(tmp_path: Path) -> None:
    with bench(far_ends=one("answer", {"tone": {"hz": 440, "seconds": 9}}), recordings=str(tmp_path)) as b:
        b.originate("1", A)
        b.advance(0.5)
        assert b.client.api(f"uuid_record {A} start ../../escape.wav 10") == "+OK Success\n"
        assert b.client.api(f"uuid_record {A} start ../../escape.wav 10") == "-ERR Operation Failed\n"
        b.execute(A, "playback", "tone_stream://%(2000,0,1000)", "p")
        b.advance(2)
        assert b.client.api(f"uuid_record {A} stop all") == "+OK Success\n"
        samples, rate = soundfile.read(tmp_path / "escape.wav")
        assert rate == 8000
        assert len(samples) == pytest.approx(16_000, abs=320)
        spectrum = np.abs(np.fft.rfft(samples))
        loud = {round(f) for f in np.argsort(spectrum)[-2:] * 8000 / len(samples)}
        assert loud == {440, 1000}
        assert b.client.wait_event("RECORD_STOP").event["Record-Completion-Cause"] == "success-maxtime"


def test_a_recording_that_cannot_be_written_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with bench(recordings=str(tmp_path / "file")) as b:
        b.answered("1555", A)
        assert b.client.api(f"uuid_record {A} start x.wav 1") == "-ERR Cannot record session!\n"
        b.execute(A, "record_session", "x.wav", "s")
        b.advance(0.5)
        done = response(b, "s")
        assert done["Application-Response"] == "_none_"
        assert done["variable_record_completion_cause"] == "uri-failure"
        b.execute(A, "record", "x.wav 5", "r")
        b.advance(0.5)
        assert b.client.wait_event("CHANNEL_HANGUP").event["Hangup-Cause"] == "DESTINATION_OUT_OF_ORDER"
        names = b.client.names(A)
        assert names.index("CHANNEL_HANGUP") < len(names) - 1 - names[::-1].index("CHANNEL_EXECUTE_COMPLETE")
        assert "RECORD_START" not in names


def test_hanging_up_ends_a_recording() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.client.api(f"uuid_record {A} start x.wav")
        b.execute(A, "record", "y.wav", "r")
        b.advance(1)
        b.client.api(f"uuid_kill {A}")
        b.advance(0.1)
        assert b.client.names(A).count("RECORD_STOP") == 2


def test_a_record_ends_by_a_digit_and_needs_a_path() -> None:
    with bench(far_ends=one("answer", {"silence": 1}, {"dtmf": "*"})) as b:
        b.originate("1", A)
        b.advance(0.5)
        b.execute(A, "record", "", "nothing")
        b.execute(A, "record", "x.wav 60", "r")
        b.advance(2)
        assert response(b, "nothing")
        assert response(b, "r")


def test_digits_by_command_as_if_from_the_far_end() -> None:
    with bench() as b:
        b.answered("1555", A)
        assert b.client.api(f"uuid_recv_dtmf {A} 7@100").startswith("+OK")
        assert b.client.wait_event("DTMF").event["DTMF-Digit"] == "7"


def test_a_node_that_goes_away_takes_its_calls_along_without_a_word() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.simulator.stop()
        wait_until(lambda: b.client.ended)
        assert "CHANNEL_HANGUP" not in b.client.names(A)


# Time


def sequence_at(speed: float) -> list[tuple[str, str]]:
    """Every event of three overlapping calls on a clock of this speed, in order."""
    with simulated(SimulatorSettings(speed=speed), SystemClock()) as (simulator, supervisor):
        client = Client(simulator.port, supervisor).login("plain ALL")
        node = simulator.node

        def place() -> None:
            for index, number in enumerate(("hangsup", "busy", "declined")):
                node.run_api(f"originate {{origination_uuid={A[:-1]}{index}}}sofia/gateway/carrier/{number} &park()")

        node.scheduler.perform(place)
        wait_until(lambda: sum(f.name == "CHANNEL_DESTROY" for f in client.events) == 3, 20.0)
        return [(f.name, f.event["Unique-ID"]) for f in client.events if "Unique-ID" in f.event]


def test_a_faster_clock_does_not_change_the_order_of_events() -> None:
    assert sequence_at(100.0) == sequence_at(1000.0) == sequence_at(2.0)


def test_a_fast_clock_is_fast(simulator: Simulator) -> None:
    clock = SystemClock()
    begun = clock.monotonic()
    supervisor = Supervisor()
    client = Client(simulator.port, supervisor).login("plain ALL")
    client.send("bgapi originate sofia/gateway/carrier/machine &park()\n\n")
    client.wait_event("CHANNEL_ANSWER")
    # Two seconds of ringing, at twenty times real time.
    assert clock.monotonic() - begun < 1.0
    supervisor.stop()


# The command's own function


def test_run_listens_until_stopped_with_far_ends_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ends.yaml"
    file.write_text("far_ends: [{name: mine, match: '1*', steps: [busy]}]", encoding="utf-8")
    stop = Event()
    seen: list[str | None] = []

    def ready(simulator: Simulator) -> None:
        entry = simulator.node.settings.far_ends.find("+1555")
        seen.append(entry.name if entry else None)
        assert simulator.port > 0
        stop.set()

    run(0, far_ends=file, recordings=tmp_path, stop=stop, on_ready=ready)
    assert seen == ["mine"]


def test_run_refuses_a_bad_file_and_a_clock_that_stands(tmp_path: Path) -> None:
    with pytest.raises(FarEndError, match="cannot be read"):
        run(0, far_ends=tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="speed"):
        run(0, speed=0)
