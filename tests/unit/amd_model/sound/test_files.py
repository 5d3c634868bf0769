"""What libsndfile can decode is read, whatever it cannot do with it; the rest is refused in words, by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from amd_model.sound import files
from amd_model.sound.files import HEADERLESS, AudioError, Headerless, decode, headerless, read

pytestmark = pytest.mark.unit

RATE = 8_000
TONE = (0.4 * np.sin(2 * np.pi * 440.0 * np.arange(RATE) / RATE)).astype(np.float32)

WHOLE_ONLY = [
    ("gsm.wav", "WAV", "GSM610"),
    ("gsm.w64", "W64", "GSM610"),
    ("gsm.aiff", "AIFF", "GSM610"),
    ("g721.au", "AU", "G721_32"),
    ("g721.wav", "WAV", "G721_32"),
    ("g723.au", "AU", "G723_24"),
    ("nms.wav", "WAV", "NMS_ADPCM_32"),
    ("dwvw.aiff", "AIFF", "DWVW_16"),
]
"""Files on which soundfile's own `SoundFile.read()` fails: libsndfile cannot seek in them, or fails at it."""
BARE = [("a.raw", "PCM_16"), ("a.ulaw", "ULAW"), ("A.AL", "ALAW"), ("a.gsm", "GSM610"), ("a.vox", "VOX_ADPCM")]


def put(path: Path, samples: NDArray[np.float32] = TONE, rate: int = RATE, **kind: str) -> Path:
    soundfile.write(path, samples, rate, **kind)
    return path


def piped(path: Path) -> Path:
    """As a program writes FLAC into a pipe: nobody goes back to the header, so it says no number of samples."""
    data = bytearray(put(path, format="FLAC").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    return path


def is_the_tone(samples: NDArray[np.float32]) -> bool:
    """As loud and as high, whatever a coarse coder did to it: the first and last tenth are its business."""
    middle = samples[800:7_200]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    hertz = int(spectrum.argmax()) * RATE / len(middle)
    return abs(hertz - 440) < 3 and 0.2 < float(np.sqrt(np.mean(middle**2))) < 0.35


@pytest.mark.parametrize(("name", "container", "coding"), WHOLE_ONLY)
def test_what_cannot_be_sought_in_is_read(tmp_path: Path, name: str, container: str, coding: str) -> None:
    path = put(tmp_path / name, format=container, subtype=coding)
    with soundfile.SoundFile(path) as sound, pytest.raises((ValueError, RuntimeError)):
        sound.read()
    found = read(path)
    assert (found.rate, found.channels) == (RATE, 1)
    assert RATE <= len(found.samples) < RATE + 400  # the last block is filled up
    assert is_the_tone(found.samples)
    assert np.array_equal(decode(path.read_bytes(), name).samples, found.samples)


def test_a_flac_out_of_a_pipe_is_read(tmp_path: Path) -> None:
    path = piped(tmp_path / "p.flac")
    with pytest.raises(ValueError, match="too big"):
        soundfile.read(path)
    assert len(read(path).samples) == RATE
    assert is_the_tone(read(path).samples)


@pytest.mark.parametrize(("name", "coding"), BARE)
def test_an_extension_says_what_has_no_header(tmp_path: Path, name: str, coding: str) -> None:
    path = put(tmp_path / name, format="RAW", subtype=coding)
    found = read(path)
    assert (found.rate, found.channels) == (RATE, 1)
    assert is_the_tone(found.samples)
    assert np.array_equal(decode(path.read_bytes(), name).samples, found.samples)


@pytest.mark.parametrize("extension", HEADERLESS)
def test_a_header_is_believed_before_an_extension(tmp_path: Path, extension: str) -> None:
    path = put(tmp_path / "x.wav", rate=16_000, subtype="ULAW").rename(tmp_path / f"x.{extension}")
    assert (read(path).rate, len(read(path).samples)) == (16_000, RATE)


def test_what_begins_like_an_mp3_is_what_its_extension_says(tmp_path: Path) -> None:
    """Digital silence in µ-law is a row of 0xFF: an MP3's mark."""
    path = tmp_path / "quiet.ulaw"
    path.write_bytes(b"\xff" * RATE)
    assert len(read(path).samples) == RATE
    assert float(np.abs(read(path).samples).max()) < 1e-3


def test_the_caller_may_say_what_has_no_header(tmp_path: Path) -> None:
    path = put(tmp_path / "call.bin", format="RAW", subtype="ALAW")
    with pytest.raises(AudioError, match=r"^call\.bin: not readable as audio: format not recognised$"):
        read(path)
    assert is_the_tone(read(path, otherwise=headerless("alaw")).samples)
    assert read(path, otherwise=headerless("alaw@16000")).rate == 16_000
    raw = put(tmp_path / "a.raw", format="RAW", subtype="ULAW")
    assert is_the_tone(read(raw, otherwise=headerless("ulaw")).samples), "the caller knows better than the extension"
    wave = put(tmp_path / "b.wav", subtype="PCM_16")
    assert np.allclose(read(wave, otherwise=headerless("ulaw")).samples, TONE, atol=1e-4)


def test_the_names_of_what_has_no_header() -> None:
    assert headerless("ULAW") == Headerless("ULAW", 8_000)
    assert headerless("r16") == Headerless("PCM_16", 16_000)
    for words in ("", "wav", "mp3@8000", "ulaw@", "ulaw@fast", "ulaw@0", "ulaw@999999", "ulaw@-8000", "ulaw@８０００"):
        with pytest.raises(ValueError, match=r"is none of|is no sample rate"):
            headerless(words)


def test_channels(tmp_path: Path) -> None:
    both = np.stack((TONE, np.zeros_like(TONE)), axis=1)
    path = put(tmp_path / "s.wav", both, subtype="PCM_24")
    assert np.allclose(read(path).samples, TONE / 2, atol=1e-6)
    assert np.allclose(read(path, channel=0).samples, TONE, atol=1e-6)
    assert not read(path, channel=1).samples.any()
    assert read(path).channels == 2
    for channel in (2, -1):
        with pytest.raises(AudioError, match=rf"s\.wav: has 2 channel\(s\), channel {channel} was asked for"):
            read(path, channel=channel)


@pytest.mark.parametrize("name", ["long.flac", "long.wav"])
def test_what_is_too_long_is_refused_or_cut(tmp_path: Path, name: str) -> None:
    kind = {"subtype": "GSM610"} if name.endswith("wav") else {}
    path = put(tmp_path / name, np.tile(TONE, 3), **kind)
    with pytest.raises(AudioError, match="longer than 2 s"):
        read(path, max_s=2)
    assert len(read(path, max_s=2, cut=True).samples) == 2 * RATE
    exact = put(tmp_path / "exact.flac", np.tile(TONE, 2))
    assert len(read(exact, max_s=2).samples) == 2 * RATE


def test_a_file_that_tells_a_lie_about_its_length_takes_no_memory(tmp_path: Path) -> None:
    path = piped(tmp_path / "p.flac")
    assert len(read(path, max_s=0.5, cut=True).samples) == RATE // 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not readable as audio: "),
        (b"hello there", "not readable as audio: format not recognised"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "not readable as audio: "),
        (b"fLaC" + bytes(60), "not readable as audio: "),
    ],
)
def test_what_is_no_sound_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=rf"^bad\.wav: {words}") as refused:
        read(path)
    assert str(refused.value) == f"bad.wav: {refused.value.reason}"
    assert str(path) not in refused.value.reason


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"none\.wav: not readable: No such file"):
        read(tmp_path / "none.wav")
    (tmp_path / "d.wav").mkdir()
    with pytest.raises(AudioError, match=r"d\.wav: not readable: Is a directory"):
        read(tmp_path / "d.wav")


def test_what_are_no_numbers_is_refused(tmp_path: Path) -> None:
    for number in (np.nan, np.inf):
        path = put(tmp_path / "n.wav", np.array([0.0, number], np.float32), subtype="FLOAT")
        with pytest.raises(AudioError, match=r"n\.wav: holds samples that are not numbers"):
            read(path)


def test_a_rate_that_nobody_samples_at_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "slow.wav", rate=500, subtype="PCM_16")
    with pytest.raises(AudioError, match=r"slow\.wav: a sample rate of 500 Hz is not supported"):
        read(path)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    data = put(tmp_path / "a.wav", subtype="GSM610").read_bytes()
    code = "from amd_model.sound import files; print(len(files.read('/dev/stdin').samples))"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60, check=True)
    assert int(done.stdout) == len(read(tmp_path / "a.wav").samples)


@given(data=st.binary(max_size=400), name=st.sampled_from(["x.wav", "x.flac", "x.raw", "x.gsm", "x.vox", "x.mp3", "x"]))
def test_no_bytes_do_more_than_be_refused(data: bytes, name: str) -> None:
    for head in (b"", b"RIFF\xff\0\0\0WAVEfmt ", b"fLaC", b".snd", b"OggS", b"ID3"):
        found = refused = None
        try:
            found = decode(head + data, name)
        except AudioError as error:
            refused = str(error)
        assert found is None or np.isfinite(found.samples).all()
        assert refused is None or refused.startswith(f"{name}: ")


def test_reading_is_the_same_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.wav", np.tile(TONE, 2), subtype="GSM610")
    whole = read(path).samples
    monkeypatch.setattr(files, "_BLOCK", 777)
    assert np.array_equal(read(path).samples, whole)
