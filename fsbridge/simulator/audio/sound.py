"""Sound as PCM bytes: files, FreeSWITCH's tone and silence streams, DTMF, fax tones, stand-in speech.

Everything is 16-bit little-endian, 8 kHz, mono, made once and shared: a call only holds references. Files are what
mod_sndfile plays (WAV, FLAC, OGG, …, and without a header .raw, .gsm, .ulaw and their like; `amd_model.sound`), mixed
to mono and resampled by linear interpolation when they are not 8 kHz.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from amd_model.sound import files
from amd_model.sound.files import AudioError, Sound
from fsbridge.errors import FsbridgeError
from fsbridge.simulator.audio.lines import RATE, silence

AUDIO_FOLDER = Path(__file__).parent
"""The voices that come with the simulator; see ATTRIBUTION.md there."""

MAX_SECONDS = 600.0
"""Longer sounds are cut: a call's audio must not eat the machine's memory."""

Floats = npt.NDArray[np.float64]

_DTMF = {
    digit: (low, high)
    for low, row in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True)
    for high, digit in zip((1209, 1336, 1477, 1633), row, strict=True)
}


class SoundError(FsbridgeError):
    """A sound cannot be had; the message says which and why."""


def to_pcm(wave: Floats) -> bytes:
    """Samples between -1 and 1 as PCM bytes."""
    return (np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()


@lru_cache(maxsize=256)
def load(path: str) -> bytes:
    """A sound file's PCM. Raises SoundError when it is missing or no sound file."""
    try:
        return _pcm(files.read(path, max_s=MAX_SECONDS, cut=True))
    except AudioError as error:
        raise SoundError(f"{path}: cannot be read as a sound file ({error})") from error


def decode(data: bytes, name: str) -> bytes:
    """The PCM of a sound file's content. Raises SoundError, which calls it `name`."""
    try:
        return _pcm(files.decode(data, name, max_s=MAX_SECONDS, cut=True))
    except AudioError as error:
        raise SoundError(f"{name}: cannot be read as a sound file ({error})") from error


def _pcm(sound: Sound) -> bytes:
    wave: Floats = sound.samples.astype(np.float64)
    if sound.rate != RATE and len(wave):
        count = int(len(wave) * RATE / sound.rate)
        wave = np.interp(np.arange(count) * (sound.rate / RATE), np.arange(len(wave)), wave)
    return to_pcm(wave)


@lru_cache(maxsize=256)
def tone(frequencies: tuple[float, ...], seconds: float, level_db: float = -13.0) -> bytes:
    """A steady sum of sines, each at `level_db` below full scale, with 2 ms ramps against clicks."""
    count = round(min(seconds, MAX_SECONDS) * RATE)
    if not count or not frequencies:
        return silence(count)
    t = np.arange(count) / RATE
    wave: Floats = np.zeros(count)
    for frequency in frequencies:
        wave += np.sin(2 * np.pi * frequency * t)
    wave *= 10 ** (level_db / 20)
    ramp = min(16, count // 2)
    if ramp:
        wave[:ramp] *= np.linspace(0, 1, ramp)
        wave[-ramp:] *= np.linspace(1, 0, ramp)
    return to_pcm(wave)


def dtmf(digits: str, seconds: float = 0.1, gap: float = 0.1) -> bytes:
    """The tones of `digits` (0-9, A-D, *, #; others are pauses of one digit's length), each followed by a gap."""
    parts = []
    for digit in digits.upper():
        parts.append(tone(tuple(map(float, _DTMF.get(digit, ()))), seconds))
        parts.append(silence(int(gap * RATE)))
    return b"".join(parts)


@lru_cache(maxsize=8)
def answer_tone(seconds: float) -> bytes:
    """ANSam of ITU-T V.8: 2100 Hz, phase reversed every 450 ms, its amplitude modulated by 20 % at 15 Hz."""
    count = int(min(seconds, MAX_SECONDS) * RATE)
    t = np.arange(count) / RATE
    sign = 1 - 2 * ((np.arange(count) // int(0.45 * RATE)) % 2)
    wave = sign * np.sin(2 * np.pi * 2100 * t) * (1 + 0.2 * np.sin(2 * np.pi * 15 * t)) * 10 ** (-13 / 20)
    return to_pcm(wave)


@lru_cache(maxsize=128)
def stand_in_speech(text: str) -> bytes:
    """Buzzing syllables in place of a text-to-speech engine: as long as flite would take, silent between words.

    0.085 s a character is what flite's slt took in tests/traces/flow_say_speak_record.jsonl.
    """
    parts: list[Floats] = []
    for word in text.split()[:500]:
        count = int(max(0.085 * len(word), 0.06) * RATE)
        t = np.arange(count) / RATE
        pitch = 110 + 15 * math.sin(sum(map(ord, word)))
        wave: Floats = np.zeros(count)
        for harmonic in range(1, 20):
            wave += np.sin(2 * np.pi * pitch * harmonic * t) / harmonic
        wave *= 0.12 * np.abs(np.sin(np.pi * t * 4.5))
        parts += [wave, np.zeros(int(0.085 * RATE))]
    return to_pcm(np.concatenate(parts)[: int(60 * RATE)]) if parts else b""


_CADENCE = re.compile(r"%\(([^)]*)\)")


@lru_cache(maxsize=128)
def tone_stream(spec: str) -> bytes:
    """The sound of ``tone_stream://`` + spec: ``%(on ms,off ms,Hz,…)`` pieces, ``v=`` decibels, ``loops=N``.

    Raises SoundError when it has no such piece. Endless loops (-1) are cut at MAX_SECONDS.
    """
    volume = re.search(r"(?:^|;)v=(-?\d+)", spec)
    level = float(volume.group(1)) if volume else -7.0
    loops_match = re.search(r"(?:^|;)(?:loops|L)=(-?\d+)", spec)
    loops = int(loops_match.group(1)) if loops_match else 1
    once = b""
    for match in _CADENCE.finditer(spec):
        try:
            numbers = [float(part) for part in match.group(1).split(",")]
        except ValueError as error:
            raise SoundError(f"tone_stream: {match.group(0)!r} is not %(on,off,Hz,…)") from error
        if len(numbers) < 2:
            raise SoundError(f"tone_stream: {match.group(0)!r} is not %(on,off,Hz,…)")
        on, off, *frequencies = numbers
        once += tone(tuple(frequencies), on / 1000, level - 6) + silence(int(off / 1000 * RATE))
    if not once:
        raise SoundError(f"tone_stream: nothing to play in {spec!r}")
    whole = int(MAX_SECONDS * RATE * 2)
    repeats = whole // len(once) + 1 if loops < 1 else min(loops, whole // len(once) + 1)
    return (once * repeats)[:whole]


def silence_stream(spec: str) -> bytes:
    """The sound of ``silence_stream://`` + milliseconds; -1 is endless (cut at MAX_SECONDS)."""
    match = re.match(r"(-?\d+)", spec)
    if match is None:
        raise SoundError(f"silence_stream: {spec!r} is no number of milliseconds")
    milliseconds = int(match.group(1))
    seconds = MAX_SECONDS if milliseconds < 0 else min(milliseconds / 1000, MAX_SECONDS)
    return silence(int(seconds * RATE))


def resolve(path: str, folders: tuple[str, ...]) -> str:
    """The file meant by `path`: itself, or in one of the folders (with .wav or .flac if it has no suffix).

    Raises SoundError when there is none.
    """
    candidates = [Path(path), *(Path(folder) / path for folder in folders if folder)]
    for candidate in candidates:
        for file in (candidate, candidate.with_suffix(".wav"), candidate.with_suffix(".flac")):
            if file.is_file():
                return str(file)
    raise SoundError(f"{path}: no such file")


def heard(pcm: bytes, threshold: int = 200) -> bool:
    """Whether anything in these samples would be heard (peak above `threshold` of 32768)."""
    if not pcm.strip(b"\x00"):
        return False
    return bool(np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32)).max(initial=0) > threshold)


def write_wav(path: str, *sides: bytes) -> int:
    """Write PCM as a WAV file, a channel for each of `sides`, and return its size in bytes.

    Raises SoundError when it cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(
            path, np.column_stack([np.frombuffer(pcm, dtype="<i2") for pcm in sides]), RATE, subtype="PCM_16"
        )
        return Path(path).stat().st_size
    except (OSError, RuntimeError) as error:
        raise SoundError(f"{path}: cannot be written ({error})") from error


def is_answer_tone(pcm: bytes) -> bool:
    """Whether most of this sound's energy lies within 60 Hz of a fax's 2100 Hz."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    power = np.abs(np.fft.rfft(samples)) ** 2
    total = float(power.sum())
    if total < 1e6 * len(samples):
        return False
    low, high = (int(f * len(samples) / RATE) for f in (2040, 2160))
    return float(power[low : high + 1].sum()) > 0.6 * total
