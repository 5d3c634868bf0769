"""What flows need of the simulator on one leg: recordings, speech both ways, fetched audio, scripts that answer digits.

What a recording of a real FreeSWITCH shows is held to it in test_simulator_traces; the rest says that it is in none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from fsbridge.simulator import FarEndBook, parse_script
from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.fetcher import HttpFetcher
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.farends.dialplan import Dialplan, parked
from tests.sim.simulator_helpers import Bench, bench, wait_until
from tests.sim.test_simulator_trace_legs import audio_over_http

pytestmark = pytest.mark.sim

A = "aaaaaaaa-0000-4000-8000-000000000001"
TONE = {"tone": {"hz": 440, "seconds": 60}}


def one(*steps: object) -> FarEndBook:
    return FarEndBook((parse_script("one", "*", list(steps)),))


def up(b: Bench, variables: str = "") -> None:
    b.originate("1", A, variables)
    b.advance(0.3)
    assert b.client.wait_event("CHANNEL_PARK", Unique_ID=A)


def response(b: Bench, identity: str) -> dict[str, str]:
    return b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID=identity).event


def said(b: Bench, seconds: float) -> bytes:
    """What our side has played just now."""
    leg = b.simulator.node.channels[A]
    count = int(seconds * RATE)
    return leg.said.read(leg.sample() - count, count)


def fetched(b: Bench) -> None:
    """Wait in real time for what is being fetched, then let the call go on."""
    fetcher = b.simulator.node.fetcher
    assert isinstance(fetcher, HttpFetcher)
    b.advance(0.05, step=0.02)
    wait_until(lambda: not fetcher.under_way)
    b.advance(0.05, step=0.02)


# Audio over HTTP


def test_fetched_audio_is_really_played_and_only_the_cache_keeps_it_as_in_no_trace() -> None:
    with audio_over_http() as address, bench(far_ends=one("answer")) as b:
        up(b)
        url = f"http://{address}/hello.wav"
        b.execute(A, "playback", f"http_cache://{url}", "first")
        fetched(b)
        b.advance(2.5)
        assert response(b, "first")["Application-Response"] == "FILE PLAYED"
        assert response(b, "first")["variable_playback_samples"] == "18056"
    with bench(far_ends=one("answer")) as b:
        up(b)
        b.execute(A, "playback", url, "gone")
        fetched(b)
        assert response(b, "gone")["Application-Response"] == "FILE NOT FOUND"


def test_what_was_cached_is_played_without_its_server_as_in_no_trace() -> None:
    with bench(far_ends=one("answer")) as b:
        up(b)
        with audio_over_http() as address:
            url = f"http_cache://http://{address}/hello.wav"
            b.execute(A, "playback", url, "first")
            fetched(b)
            b.advance(2.5)
        b.execute(A, "playback", url, "second")
        b.advance(2.5)
        assert response(b, "second")["Application-Response"] == "FILE PLAYED"


def test_what_is_no_sound_is_not_found_and_a_fetch_is_broken_off_as_in_no_trace() -> None:
    with audio_over_http() as address, bench(far_ends=one("answer")) as b:
        up(b)
        b.execute(A, "playback", f"http://{address}/page.html", "page")
        fetched(b)
        assert response(b, "page")["Application-Response"] == "FILE NOT FOUND"
        b.execute(A, "playback", f"http://{address}/slow.wav", "slow")
        b.advance(0.1, step=0.02)
        b.client.api(f"uuid_break {A}")
        b.advance(0.1, step=0.02)
        assert response(b, "slow")["Application-Response"] == "FILE PLAYED"
        assert "PLAYBACK_START" not in b.client.names(A)
        b.execute(A, "playback", f"http://{address}/slow.wav", "slow2")
        b.advance(0.1, step=0.02)
        b.client.api(f"uuid_kill {A}")
        b.advance(0.1, step=0.02)
        assert response(b, "slow2")["Application-Response"] == "PLAYBACK ERROR"


# Recordings


def test_a_recording_session_keeps_the_sides_apart_and_masks_what_must_not_be_kept_as_in_no_trace(
    tmp_path: Path,
) -> None:
    with bench(far_ends=one("answer", TONE), recordings=str(tmp_path)) as b:
        up(b, "RECORD_STEREO=true")
        b.execute(A, "record_session", "/calls/a.wav", "r")
        b.advance(1)
        assert b.client.api(f"uuid_record {A} mask /calls/a.wav") == "+OK Success\n"
        b.advance(1)
        assert b.client.api(f"uuid_record {A} unmask /calls/a.wav") == "+OK Success\n"
        b.execute(A, "playback", "tone_stream://%(1000,0,900)", "p")
        b.advance(1)
        b.execute(A, "stop_record_session", "/calls/a.wav", "s")
        b.advance(0.1)
        stop = b.client.wait_event("RECORD_STOP").event
        assert stop["Record-File-Path"] == "/calls/a.wav"
        sides, rate = soundfile.read(tmp_path / "a.wav")
        assert (rate, sides.shape[1]) == (8000, 2)
        far, ours = sides[:, 0], sides[:, 1]
        assert np.abs(far[:7000]).max() > 0.1
        assert np.abs(far[9000:15000]).max() == 0
        assert np.abs(far[17000:23000]).max() > 0.1
        assert np.abs(ours[:15000]).max() == 0
        assert np.abs(ours[17000:23000]).max() > 0.1
        assert b.client.api(f"uuid_record {A} mask /calls/a.wav") == "-ERR Operation Failed\n"


def test_a_record_ends_by_silence_and_by_the_digits_that_may_end_it_as_in_no_trace() -> None:
    script = one("answer", {"silence": 1}, {"tone": {"hz": 440, "seconds": 4}}, {"silence": 4}, {"dtmf": "5#"})
    with bench(far_ends=script) as b:
        up(b)
        b.advance(2.5)
        b.execute(A, "record", "/r2.wav 60 200 2", "silence")
        b.advance(5)
        assert int(response(b, "silence")["variable_record_ms"]) == pytest.approx(4200, abs=500)
        b.client.api(f"uuid_setvar {A} playback_terminators 5")
        b.execute(A, "record", "/r3.wav 60", "digit")
        b.advance(2.5)
        assert response(b, "digit")["variable_playback_terminator_used"] == "5"
        b.client.api(f"uuid_setvar {A} playback_terminators none")
        b.execute(A, "record", "/r4.wav 1", "none")
        b.client.api(f"uuid_recv_dtmf {A} n")
        b.advance(0.5)
        assert "none" not in [f.event.get("Application-UUID") for f in b.client.events if "COMPLETE" in f.name]


@pytest.mark.parametrize(("phase", "limit", "ms"), [(0.02, 2, 2980), (0.62, 2, 2380), (0.32, 3, 3680)])
def test_the_limit_of_a_record_is_passed_as_on_a_real_node(phase: float, limit: int, ms: int) -> None:
    with bench(far_ends=one("answer")) as b:
        up(b)
        # A frame passes until the command is noticed.
        b.advance((phase - 0.02 - b.clock.wall()) % 1, step=0.01)
        b.execute(A, "record", f"/r.wav {limit}", "r")
        b.advance(limit + 1.5, step=0.05)
        done = response(b, "r")
        assert int(done["variable_record_ms"]) == pytest.approx(ms, abs=25)
        assert done["variable_record_record_file_size"] == done["variable_record_file_size"]
        stop = b.client.wait_event("RECORD_STOP").event
        assert "Record-Completion-Cause" not in stop
        assert "variable_record_completion_cause" not in done


@pytest.mark.parametrize(
    ("seconds", "cause", "hung_up"),
    [(3, "success-maxtime", False), (6, "uri-failure", False), (3, "success-silence", True)],
)
def test_on_a_full_disk_a_session_is_cut_without_a_word(
    tmp_path: Path, seconds: int, cause: str, hung_up: bool
) -> None:
    with bench(far_ends=one("answer", {"tone": {"hz": 440, "seconds": 20}}), recordings=str(tmp_path)) as b:
        up(b)
        b.simulator.faults.fill_disk()
        b.execute(A, "record_session", "/s.wav", "s")
        b.advance(seconds)
        if hung_up:
            b.client.api(f"uuid_kill {A}")
        else:
            b.execute(A, "stop_record_session", "/s.wav", "e")
        b.advance(0.1)
        stop = b.client.wait_event("RECORD_STOP").event
        assert (stop["Record-Completion-Cause"], stop["variable_record_file_size"]) == (cause, "4096")
        assert int(stop["variable_record_ms"]) == pytest.approx(1000 * seconds, abs=100)
        assert (tmp_path / "s.wav").stat().st_size == 4096


def test_on_a_full_disk_a_record_ends_early(tmp_path: Path) -> None:
    with bench(far_ends=one("answer"), recordings=str(tmp_path)) as b:
        up(b)
        b.simulator.faults.fill_disk()
        b.execute(A, "record", "/r.wav 8", "r")
        b.advance(6)
        done = response(b, "r")
        assert int(done["variable_record_ms"]) == pytest.approx(4100, abs=20)
        assert (tmp_path / "r.wav").stat().st_size == 4096


def test_a_session_has_a_limit_only_behind_a_plus_as_on_a_real_node() -> None:
    with bench(far_ends=one("answer")) as b:
        up(b)
        b.execute(A, "record_session", "/plain.wav 2", "p")
        b.execute(A, "record_session", "/plus.wav +2", "q")
        b.advance(4)
        stopped = [f.event["Record-File-Path"] for f in b.client.events if f.name == "RECORD_STOP"]
        assert stopped == ["/plus.wav"]


# Speech of ours


def test_numbers_are_said_on_a_node_that_has_the_sounds_as_in_no_trace() -> None:
    with bench(far_ends=one("answer")) as b:
        up(b)
        b.execute(A, "say", "en NUMBER iterated feminine 12", "s")
        b.advance(0.3)
        assert sound.heard(said(b, 0.2))
        b.advance(2)
        assert response(b, "s")["Application-Response"] == "_none_"
        started = b.client.wait_event("PLAYBACK_START", Unique_ID=A).event
        assert started["Playback-File-Path"] == "file_string://number/12"
        b.execute(A, "say", "en NUMBER", "bad")
        b.advance(0.1)
        assert response(b, "bad")


def test_a_prompt_can_be_words_when_an_engine_is_named_as_in_no_trace() -> None:
    with bench(far_ends=one("answer", {"silence": 2.5}, {"dtmf": "1"})) as b:
        up(b)
        b.execute(A, "multiset", "tts_engine=flite tts_voice=slt", "m")
        b.advance(0.1)
        ask = "1 1 1 4000 # 'say:press one please' silence_stream://100 choice ^1$ 500"
        b.execute(A, "play_and_get_digits", ask, "g")
        b.advance(0.5)
        assert sound.heard(said(b, 0.3))
        b.advance(4)
        assert response(b, "g")["variable_choice"] == "1"
        b.execute(A, "playback", "say:flite:slt:good bye", "p")
        b.advance(2)
        assert response(b, "p")["Application-Response"] == "FILE PLAYED"


def test_without_an_engine_there_are_no_words_in_place_of_a_file_as_in_no_trace() -> None:
    with bench(far_ends=one("answer")) as b:
        up(b)
        b.execute(A, "playback", "say:hello", "p")
        b.advance(0.1)
        assert response(b, "p")["Application-Response"] == "FILE NOT FOUND"
        b.execute(A, "speak", "nosuch|voice|hello", "s")
        b.advance(0.1)
        assert response(b, "s")["Application-Response"] == "_none_"
        assert not sound.heard(said(b, 0.1))


def test_speaking_to_an_unanswered_caller_is_early_media_as_in_no_trace() -> None:
    with bench(dialplan=Dialplan((parked("1999", variables={}),))) as b:
        uuid = b.simulator.call_in("1999", parse_script("caller", "*", [{"silence": 60}]))
        b.advance(0.2)
        b.execute(uuid, "speak", "flite|slt|you are the first in line", "s")
        b.advance(0.3)
        assert b.client.wait_event("CHANNEL_PROGRESS_MEDIA", Unique_ID=uuid)


# Speech of the far end

ASK = "silence_stream://500 detect:unimrcp {no-input-timeout=2000,start-input-timers=true}builtin:speech"


def test_what_the_far_end_says_is_recognised_as_in_no_trace() -> None:
    script = one("answer", {"silence": 1.5}, {"speak": "yes & please"}, {"silence": 60})
    with bench(far_ends=script) as b:
        up(b)
        b.execute(A, "play_and_detect_speech", ASK, "d")
        b.advance(5)
        done = response(b, "d")
        assert done["Application-Response"] == "DONE"
        assert "<instance>yes &amp; please</instance>" in done["variable_detect_speech_result"]


def test_speech_ends_the_prompt_and_silence_is_no_input_as_in_no_trace() -> None:
    script = one("answer", {"silence": 1}, {"play": {"file": "person-hello.flac", "text": "hello"}}, {"silence": 60})
    with bench(far_ends=script) as b:
        up(b)
        b.execute(A, "play_and_detect_speech", ASK.replace("500", "30000"), "d")
        b.advance(5)
        assert "hello" in response(b, "d")["variable_detect_speech_result"]
        assert b.client.wait_event("PLAYBACK_STOP", Unique_ID=A).event["Playback-Status"] == "break"
        b.execute(A, "play_and_detect_speech", ASK, "nobody")
        b.advance(4)
        assert response(b, "nobody")["variable_detect_speech_result"] == "Completion-Cause: 002\r\n"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("silence_stream://10", "USAGE ERROR"),
        ("silence_stream://10 detect:unimrcp", "USAGE ERROR"),
        ("silence_stream://10 detect:nosuch builtin:speech", "ASR INIT ERROR"),
    ],
)
def test_recognition_that_cannot_begin_says_why_as_in_no_trace(argument: str, expected: str) -> None:
    with bench(far_ends=one("answer")) as b:
        up(b)
        b.execute(A, "play_and_detect_speech", argument, "d")
        b.advance(0.2)
        assert response(b, "d")["Application-Response"] == expected


@pytest.mark.parametrize("seconds", [0.2, 1.2])
def test_hanging_up_ends_recognition_in_each_of_its_phases_as_in_no_trace(seconds: float) -> None:
    with bench(far_ends=one("answer")) as b:
        up(b)
        b.execute(A, "play_and_detect_speech", ASK, "d")
        b.advance(seconds)
        b.client.api(f"uuid_kill {A}")
        b.advance(0.2)
        assert "variable_detect_speech_result" not in response(b, "d")


# Far ends that answer


def menu(b: Bench, digit: str) -> None:
    b.execute(A, "send_dtmf", digit, f"d{digit}")


def test_a_far_end_with_a_menu_plays_what_was_chosen_and_hangs_up_on_another_choice() -> None:
    steps = [
        "answer",
        {
            "menu": {
                "prompt": [{"tone": {"hz": 440, "seconds": 30}}],
                "choices": {"1": [{"tone": {"hz": 900, "seconds": 2}}, {"silence": 1}], "2": [{"hangup": "USER_BUSY"}]},
                "otherwise": [{"tone": {"hz": 1500, "seconds": 1}}],
                "times": 2,
            }
        },
        {"silence": 60},
    ]
    with bench(far_ends=one(*steps)) as b:
        up(b)
        leg = b.simulator.node.channels[A]
        b.advance(1)
        menu(b, "9")
        b.advance(0.8)
        power = np.abs(np.fft.rfft(np.frombuffer(leg.heard.read(leg.sample() - 1600, 1600), "<i2")))
        assert int(np.argmax(power)) * 5 == pytest.approx(1500, abs=10)
        b.advance(1)
        menu(b, "1")
        b.advance(0.8)
        power = np.abs(np.fft.rfft(np.frombuffer(leg.heard.read(leg.sample() - 1600, 1600), "<i2")))
        assert int(np.argmax(power)) * 5 == pytest.approx(900, abs=10)


def test_a_menu_gives_up_after_its_turns_and_a_choice_may_end_the_call() -> None:
    steps = {"prompt": [{"speak": "press two"}], "seconds": 1, "times": 2, "choices": {"2": [{"hangup": "USER_BUSY"}]}}
    for digit, cause in (("2", "USER_BUSY"), ("", "NORMAL_CLEARING")):
        with bench(far_ends=one("answer", {"menu": steps}, "hangup")) as b:
            up(b)
            if digit:
                menu(b, digit)
            b.advance(8)
            assert b.client.wait_event("CHANNEL_HANGUP", Unique_ID=A).event["Hangup-Cause"] == cause


def test_a_far_end_echoes_what_it_hears() -> None:
    with bench(far_ends=one("answer", {"echo": 2}, {"silence": 60})) as b:
        up(b)
        b.execute(A, "playback", "tone_stream://%(900,0,900)", "p")
        b.advance(0.5)
        leg = b.simulator.node.channels[A]
        assert sound.heard(leg.heard.read(leg.sample() - 1600, 1600))
        b.advance(2.5)
        b.execute(A, "playback", "tone_stream://%(900,0,900)", "p2")
        b.advance(0.5)
        assert not sound.heard(leg.heard.read(leg.sample() - 1600, 1600))


def test_a_call_is_taken_back_to_park_without_an_extension_as_in_no_trace() -> None:
    with bench(far_ends=one("answer")) as b:
        up(b)
        b.execute(A, "conference", "room", "c")
        b.advance(0.2)
        assert b.client.api(f"uuid_transfer {A} set:mood=good,park inline") == "+OK\n"
        b.advance(0.3)
        assert response(b, "c")
        assert b.client.api(f"uuid_getvar {A} mood") == "good"
        assert b.client.names(A).count("CHANNEL_PARK") == 2
