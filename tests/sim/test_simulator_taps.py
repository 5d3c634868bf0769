"""The simulator's audio fork against a real WebSocket server."""

from __future__ import annotations

import gevent.socket
import numpy as np
import pytest

from fsbridge.clock import SystemClock
from fsbridge.simulator import FarEndBook, SimulatorSettings, parse_script
from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import FRAME_BYTES
from fsbridge.simulator.farends.dialplan import Dialplan, Extension
from tests.sim.simulator_helpers import AudioServer, Bench, Client, bench, simulated, wait_until

pytestmark = pytest.mark.sim

A = "aaaaaaaa-0000-4000-8000-000000000001"
CONNECT, DISCONNECT, FAILED = (f"mod_audio_fork::{what}" for what in ("connect", "disconnect", "connect_failed"))

SPEAKER = FarEndBook((parse_script("speaker", "*", ["answer", {"tone": {"hz": 440, "seconds": 2}}, {"silence": 60}]),))


def fork(b: Bench, url: str, rest: str = "mono 8k amd") -> str:
    return b.client.api(f"uuid_audio_fork {A} start {url} {rest}")


def test_from_the_answer_on_nothing_of_the_far_end_is_lost() -> None:
    with bench(far_ends=SPEAKER) as b:
        audio = AudioServer(b.supervisor)
        b.originate("1555", A, f"api_on_answer='uuid_audio_fork {A} start {audio.url} mono 8k amd {{\"s\":1}}'")
        b.advance(0.1)
        b.client.wait_event(CONNECT, Unique_ID=A)
        b.advance(2.5, step=0.02)
        wait_until(lambda: len(audio.heard[0].pcm) >= 2 * 8000 * 2)
        heard = audio.heard[0]
        assert heard.request.headers["Host"] == "127.0.0.1"
        assert heard.request.headers["Sec-WebSocket-Protocol"] == "audio.drachtio.org"
        assert heard.texts == ['{"s":1}']
        tone = sound.tone((440.0,), 2.0)
        assert heard.pcm[: len(tone)] == tone
        assert all(len(frame) % FRAME_BYTES == 0 for frame in heard.frames)
        assert b.client.api(f"uuid_kill {A}") == "+OK\n"
        b.advance(0.1)
        wait_until(lambda: heard.ended)
        assert heard.close_code == 1000
        assert DISCONNECT not in b.client.names(A)


def test_frames_are_twenty_milliseconds_at_real_pace() -> None:
    with simulated(SimulatorSettings(far_ends=SPEAKER), SystemClock()) as (simulator, supervisor):
        audio = AudioServer(supervisor)
        client = Client(simulator.port, supervisor).login("plain ALL")
        client.command(
            f"bgapi originate {{api_on_answer='uuid_audio_fork {A} start {audio.url} mono 8k amd',"
            f"origination_uuid={A}}}sofia/gateway/carrier/1 &park()"
        )
        wait_until(lambda: audio.heard and len(audio.heard[0].frames) >= 20)
        frames = audio.heard[0].frames[1:]
        # Late ticks may join frames on a busy machine; most must be single.
        assert sum(len(frame) == FRAME_BYTES for frame in frames) > len(frames) / 2


def test_a_server_that_stalls_costs_two_seconds_at_a_time_and_is_told_once() -> None:
    with bench(far_ends=SPEAKER) as b:
        audio = AudioServer(b.supervisor)
        b.answered("1", A)
        fork(b, audio.url)
        b.client.wait_event(CONNECT)
        audio.stalled.clear()
        b.advance(500, step=1.0)
        overruns = [frame for frame in b.client.events if frame.name == "mod_audio_fork::buffer_overrun"]
        assert len(overruns) == 1
        audio.stalled.set()
        b.advance(3, step=0.5)
        wait_until(lambda: len(audio.heard[0].pcm) > 0)
        assert len(audio.heard[0].pcm) < 500 * 16_000
        longest = max(len(frame) for frame in audio.heard[0].frames)
        assert FRAME_BYTES < longest <= 2 * 16_000


def test_a_refused_upgrade_is_told() -> None:
    with bench() as b:
        audio = AudioServer(b.supervisor)
        audio.refuse = True
        b.answered("1", A)
        assert fork(b, audio.url) == "+OK Success\n"
        assert b.client.wait_event(FAILED).body == '{"reason":"HS: ws upgrade response not 101"}'


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ws://127.0.0.1:1/x", "Unable to connect"),
        ("http://127.0.0.1:1/x", "Unable to connect"),
        ("wss://127.0.0.1:1/x", "the simulator speaks ws:// only"),
    ],
)
def test_what_cannot_be_reached_is_told(url: str, reason: str) -> None:
    with bench() as b:
        b.answered("1", A)
        assert fork(b, url) == "+OK Success\n"
        assert b.client.wait_event(FAILED).body == f'{{"reason":"{reason}"}}'


def test_a_server_that_hangs_up_in_the_handshake_is_told() -> None:
    with bench() as b:
        listening = gevent.socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        b.answered("1", A)
        fork(b, f"ws://127.0.0.1:{listening.getsockname()[1]}/x")
        peer, _ = listening.accept()
        peer.close()
        listening.close()
        assert b.client.wait_event(FAILED)


def test_after_the_server_closed_a_new_start_fails_until_stop() -> None:
    with bench() as b:
        audio = AudioServer(b.supervisor)
        audio.close_after_bytes = 3200
        b.answered("1", A)
        fork(b, audio.url)
        b.client.wait_event(CONNECT)
        b.advance(0.5)
        b.client.wait_event(DISCONNECT, Unique_ID=A)
        assert fork(b, audio.url) == "-ERR Operation Failed\n"
        assert b.client.api(f"uuid_audio_fork {A} send_text amd {{}}") == "-ERR Operation Failed\n"
        assert b.client.api(f"uuid_audio_fork {A} stop amd") == "+OK Success\n"
        assert b.client.api(f"uuid_audio_fork {A} stop amd") == "-ERR Operation Failed\n"
        assert fork(b, audio.url) == "+OK Success\n"
        b.client.wait_event(CONNECT, 2)


def test_pause_text_and_closing_text() -> None:
    with bench(far_ends=SPEAKER) as b:
        audio = AudioServer(b.supervisor)
        b.answered("1", A)
        fork(b, audio.url, "mono 8k")
        b.client.wait_event(CONNECT)
        assert b.client.api(f"uuid_audio_fork {A} send_text hello") == "-ERR Operation Failed\n"
        assert b.client.api(f'uuid_audio_fork {A} send_text {{"dtmf":"1"}}') == "+OK Success\n"
        assert b.client.api(f"uuid_audio_fork {A} pause") == "+OK Success\n"
        b.advance(1)
        before = len(audio.heard[0].pcm)
        b.advance(1)
        assert len(audio.heard[0].pcm) == before
        assert b.client.api(f"uuid_audio_fork {A} resume") == "+OK Success\n"
        b.advance(1)
        wait_until(lambda: len(audio.heard[0].pcm) > before)
        assert b.client.api(f"uuid_audio_fork {A} dance").startswith("-USAGE")
        assert b.client.api(f'uuid_audio_fork {A} stop {{"bye":1}}') == "+OK Success\n"
        wait_until(lambda: audio.heard[0].ended)
        assert audio.heard[0].texts == ['{"dtmf":"1"}', '{"bye":1}']


def test_what_the_server_says_that_nobody_understands_is_left_alone() -> None:
    with bench() as b:
        audio = AudioServer(b.supervisor)
        audio.say = ["not json", '["a"]', '{"type":"unheard of"}', '{"type":"error","data":{"e":1}}']
        b.answered("1", A)
        fork(b, audio.url)
        assert b.client.wait_event("mod_audio_fork::error").body == '{"e":1}'
        assert [n for n in b.client.names(A) if "fork::" in n] == [CONNECT, "mod_audio_fork::error"]


@pytest.mark.parametrize(("mix", "rate", "channels"), [("mono", 16_000, 1), ("mixed", 8000, 1), ("stereo", 16_000, 2)])
def test_other_mixes_and_rates(mix: str, rate: int, channels: int) -> None:
    with bench(far_ends=SPEAKER) as b:
        audio = AudioServer(b.supervisor)
        b.originate("1", A)
        b.advance(0.1)
        fork(b, audio.url, f"{mix} {rate} amd")
        b.client.wait_event(CONNECT)
        b.execute(A, "playback", "tone_stream://%(1000,0,1000)", "p")
        b.advance(2, step=0.02)
        heard = audio.heard[0]
        wait_until(lambda: len(heard.pcm) > rate * channels)
        samples = np.frombuffer(heard.pcm, "<i2").reshape(-1, channels)[: rate // 2]
        spectrum = np.abs(np.fft.rfft(samples[:, 0].astype(float)))
        loudest = float(np.argmax(spectrum)) * rate / len(samples)
        assert loudest == pytest.approx(440, abs=5)
        ours_too = spectrum[round(1000 * len(samples) / rate)] > 0.5 * spectrum.max()
        assert ours_too == (mix == "mixed")
        if mix == "stereo":
            ours = np.abs(np.fft.rfft(samples[:, 1].astype(float)))
            assert float(np.argmax(ours)) * rate / len(samples) == pytest.approx(1000, abs=5)


def test_stereo_sends_nothing_while_nothing_plays() -> None:
    with bench() as b:
        audio = AudioServer(b.supervisor)
        b.answered("1", A)
        fork(b, audio.url, "stereo 8k amd")
        b.client.wait_event(CONNECT)
        b.advance(1)
        assert audio.heard[0].frames == []


@pytest.mark.parametrize("arguments", ["mono", "sideways 8k"])
def test_a_fork_badly_asked_for_is_refused(arguments: str) -> None:
    with bench() as b:
        b.answered("1", A)
        assert fork(b, "ws://127.0.0.1:1/x", arguments).startswith("-USAGE")


def test_a_strange_rate_is_used_as_eight_kilohertz() -> None:
    with bench() as b:
        audio = AudioServer(b.supervisor)
        b.answered("1", A)
        assert fork(b, audio.url, "mono 12345 amd") == "+OK Success\n"
        b.client.wait_event(CONNECT)
        b.advance(1.0, step=0.02)
        wait_until(lambda: len(audio.heard[0].pcm) >= 15_000)


def test_a_call_that_ends_while_the_tap_connects_closes_it() -> None:
    with bench() as b:
        audio = AudioServer(b.supervisor)
        audio.stalled.clear()
        b.answered("1", A)
        fork(b, audio.url)
        b.client.api(f"uuid_kill {A}")
        b.advance(0.1)
        b.client.wait_event("CHANNEL_DESTROY")
        audio.stalled.set()
        wait_until(lambda: audio.heard and audio.heard[0].ended)
        assert CONNECT not in b.client.names(A)


def test_two_taps_on_a_channel_go_their_own_ways() -> None:
    with bench(far_ends=SPEAKER) as b:
        amd, bot = AudioServer(b.supervisor), AudioServer(b.supervisor)
        bot.say = ['{"type":"json","data":{"do":"play"}}']
        b.answered("1", A)
        assert fork(b, amd.url, 'mono 8k fsbridge_amd {"who":"amd"}') == "+OK Success\n"
        b.client.wait_event(CONNECT)
        assert fork(b, bot.url, 'mono 16k fsbridge_bot {"who":"bot"}') == "+OK Success\n"
        b.client.wait_event(CONNECT, 2)
        b.client.wait_event("mod_audio_fork::json")
        assert b.client.api(f"uuid_audio_fork {A} pause fsbridge_amd") == "+OK Success\n"
        assert b.client.api(f'uuid_audio_fork {A} send_text fsbridge_bot {{"dtmf":"1"}}') == "+OK Success\n"
        before = len(amd.heard[0].pcm)
        b.advance(1, step=0.02)
        wait_until(lambda: len(bot.heard[0].pcm) >= 2 * 16000 - 2000)
        assert len(amd.heard[0].pcm) <= before + 2 * FRAME_BYTES
        assert amd.heard[0].texts == ['{"who":"amd"}']
        assert bot.heard[0].texts == ['{"who":"bot"}', '{"dtmf":"1"}']
        assert b.client.api(f"uuid_audio_fork {A} stop fsbridge_bot") == "+OK Success\n"
        wait_until(lambda: bot.heard[0].ended)
        assert b.client.api(f"uuid_audio_fork {A} resume fsbridge_amd") == "+OK Success\n"
        paused = len(amd.heard[0].pcm)
        b.advance(0.5, step=0.02)
        wait_until(lambda: len(amd.heard[0].pcm) > paused)
        assert not amd.heard[0].ended


def test_a_tap_hears_the_other_leg_of_a_call_that_came_back() -> None:
    plan = Dialplan(
        (Extension(("1999",), (("answer", ""), ("playback", "tone_stream://%(1000,0,440)"), ("park", ""))),)
    )
    with bench(dialplan=plan) as b:
        audio = AudioServer(b.supervisor)
        b.originate("1999", A, f"api_on_answer='uuid_audio_fork {A} start {audio.url} mono 8k amd'")
        b.advance(0.1, step=0.02)
        b.client.wait_event(CONNECT, Unique_ID=A)
        b.advance(1.5, step=0.02)
        wait_until(lambda: len(audio.heard[0].pcm) >= 2 * 8000)
        tone = sound.tone_stream("%(1000,0,440)")
        # Nothing is lost of it on the way from leg to leg: not a sample.
        assert tone[200:-200] in audio.heard[0].pcm
