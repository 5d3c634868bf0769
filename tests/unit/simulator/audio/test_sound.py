"""Audio lines and the sounds on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE, Line, silence

pytestmark = pytest.mark.unit


def pcm(value: int, samples: int) -> bytes:
    return np.full(samples, value, dtype="<i2").tobytes()


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 300)), max_size=8), st.integers(0, 500), st.integers(1, 300)
)
def test_a_line_reads_as_if_it_had_been_painted(plays: list[tuple[int, int]], start: int, count: int) -> None:
    line = Line()
    painted = np.zeros(2000, dtype="<i2")
    at = 0
    for number, (gap, length) in enumerate(plays, 1):
        at += gap
        line.play(at, pcm(number, length))
        painted[at:] = 0
        painted[at : at + length] = number
    assert line.read(start, count) == painted[start : start + count].tobytes()


def test_a_cut_line_is_silent_from_there_on() -> None:
    line = Line()
    line.play(0, pcm(5, 100))
    line.cut(40)
    assert line.read(0, 100) == pcm(5, 40) + silence(60)
    assert not line.playing_at(40)
    assert line.playing_at(39)
    line.play(200, pcm(5, 10))
    line.cut(150)
    assert line.read(195, 10) == silence(10)


def test_a_line_forgets_what_is_long_past() -> None:
    line = Line(keep_seconds=1.0)
    line.play(0, pcm(5, 100))
    line.play(3 * RATE, pcm(6, 100))
    assert line.read(0, 100) == silence(100)


def test_long_silences_are_silent_too() -> None:
    assert silence(3 * RATE) == bytes(6 * RATE)


@pytest.mark.parametrize("name", [path.name for path in sound.AUDIO_FOLDER.glob("*.flac")])
def test_the_voices_are_eight_kilohertz_mono_audible_and_attributed(name: str) -> None:
    info = soundfile.info(str(sound.AUDIO_FOLDER / name))
    assert (info.samplerate, info.channels, info.subtype) == (8000, 1, "PCM_16")
    assert sound.heard(sound.load(str(sound.AUDIO_FOLDER / name)))
    assert f"| {name} |" in (sound.AUDIO_FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")


def test_the_voices_are_small() -> None:
    assert sum(path.stat().st_size for path in sound.AUDIO_FOLDER.iterdir()) < 600_000


def test_stereo_at_another_rate_is_mixed_and_resampled(tmp_path: Path) -> None:
    t = np.arange(44_100) / 44_100
    left = 0.5 * np.sin(2 * np.pi * 500 * t)
    soundfile.write(tmp_path / "x.wav", np.column_stack([left, np.zeros(44_100)]), 44_100)
    samples = np.frombuffer(sound.load(str(tmp_path / "x.wav")), "<i2")
    assert len(samples) == 8000
    assert np.abs(samples).max() == pytest.approx(0.25 * 32767, rel=0.02)
    assert np.argmax(np.abs(np.fft.rfft(samples))) == 500


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("not a sound")
    with pytest.raises(sound.SoundError, match="cannot be read"):
        sound.load(str(tmp_path / "x.wav"))
    with pytest.raises(sound.SoundError, match="no such file"):
        sound.resolve("nothing", (str(tmp_path), ""))


def test_a_file_is_found_in_the_folders_with_or_without_its_suffix() -> None:
    assert sound.resolve("person-hello", (str(sound.AUDIO_FOLDER),)).endswith("person-hello.flac")


def test_a_digit_is_two_tones() -> None:
    digits = sound.dtmf("5w", 0.1, 0.05)
    assert len(digits) == 2 * int(0.3 * RATE)
    spectrum = np.abs(np.fft.rfft(np.frombuffer(digits[:1600], "<i2").astype(float)))
    assert {round(i * 10, -1) for i in np.argsort(spectrum)[-2:]} == {770, 1340}


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [("%(500,250,440);loops=2", 1.5), ("%(100,0,400)%(100,100,500)", 0.3), ("v=-20;%(1000,0,400);loops=-1", 600.0)],
)
def test_tone_streams(spec: str, seconds: float) -> None:
    assert len(sound.tone_stream(spec)) / 2 / RATE == seconds


def test_speech_is_as_long_as_the_recorded_engines_and_silent_for_no_words() -> None:
    # tests/traces/flow_say_speak_record.jsonl: 1.72 s.
    assert len(sound.stand_in_speech("Hello from the flow")) / 2 / RATE == pytest.approx(1.72, abs=0.1)
    assert sound.stand_in_speech("  ") == b""


def test_the_answer_tone_is_one_and_a_voice_is_none() -> None:
    assert sound.is_answer_tone(sound.answer_tone(1.0))
    assert not sound.is_answer_tone(sound.load(str(sound.AUDIO_FOLDER / "person-hello.flac"))[:8000])
    assert not sound.is_answer_tone(silence(4000))
    reversals = np.frombuffer(sound.answer_tone(1.0), "<i2").astype(float)
    period = np.exp(-2j * np.pi * 2100 * np.arange(8000) / RATE)
    phase = [np.angle((reversals * period)[at : at + 800].sum()) for at in (400, 4400)]
    assert abs(abs(phase[0] - phase[1]) - np.pi) < 0.1


def test_no_tone_is_silence_and_quiet_is_not_heard() -> None:
    assert sound.tone((), 0.1) == silence(800)
    assert sound.tone((440.0,), 0.0) == b""
    assert not sound.heard(b"")
    assert not sound.heard(pcm(100, 10))
    assert sound.heard(pcm(-300, 10))


def test_what_mod_sndfile_plays_is_played(tmp_path: Path) -> None:
    """Coded so that libsndfile cannot seek in it, or without a header under a known extension."""
    wave = (0.3 * np.sin(np.arange(RATE) / 3)).astype(np.float32)
    for name, container, coding in (
        ("a.wav", "WAV", "GSM610"),
        ("a.au", "AU", "G721_32"),
        ("a.gsm", "RAW", "GSM610"),
        ("a.vox", "RAW", "VOX_ADPCM"),
        ("a.raw", "RAW", "PCM_16"),
        ("a.ulaw", "RAW", "ULAW"),
    ):
        path = tmp_path / name
        soundfile.write(path, wave, RATE, format=container, subtype=coding)
        loaded = sound.load(str(path))
        assert 2 * RATE <= len(loaded) < 2 * RATE + 800
        assert sound.heard(loaded)
        assert sound.decode(path.read_bytes(), name) == loaded


def test_a_sound_longer_than_a_call_may_hold_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "MAX_SECONDS", 0.5)
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(RATE), RATE, subtype="GSM610")
    assert len(sound.load(str(path))) == RATE


@pytest.mark.parametrize("name", ["bad.wav", "bad.flac", "bad.mp3", "bad"])
def test_what_is_no_sound_is_an_error_with_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no sound at all")
    with pytest.raises(sound.SoundError, match=name):
        sound.load(str(tmp_path / name))
    with pytest.raises(sound.SoundError, match="gone"):
        sound.load(str(tmp_path / "gone"))
