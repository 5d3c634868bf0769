"""The telephone: what happens to clean speech between a mouth and our socket.

One channel for every class: the caller draws it without knowing the label (``compose`` does), otherwise the
network would learn the microphone. All functions take and return float32 at 8 kHz in −1…1 and draw only from
the generator given, so a seed fixes the result.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from amd_model.detector.spec import SAMPLE_RATE

Audio = NDArray[np.float32]
Random = np.random.Generator

CODECS: Final = ("mulaw", "alaw", "gsm", "adpcm", "linear")
_SUBTYPES: Final = {
    "mulaw": ("AU", "ULAW"),
    "alaw": ("AU", "ALAW"),
    "gsm": ("WAV", "GSM610"),
    "adpcm": ("AU", "G721_32"),
}
_FRAME: Final = 160  # 20 ms: one RTP packet


@dataclass(frozen=True, slots=True)
class Channel:
    """One line. Levels in dB, times in ms; zero or None switches a part off."""

    level_dbfs: float = -20.0
    low_hz: float = 300.0
    high_hz: float = 3_400.0
    codecs: tuple[str, ...] = ("mulaw",)
    noise: str | None = None
    snr_db: float = 30.0
    comfort_noise: bool = False
    loss: float = 0.0
    loss_burst: float = 1.5
    echo_db: float | None = None
    echo_ms: float = 120.0
    room_s: float = 0.0
    clip: float = 1.0


def rms(audio: Audio) -> float:
    """Root mean square; 0 for nothing."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if len(audio) else 0.0


def active_rms(audio: Audio) -> float:
    """Level of the loud half: silence between words must not make a person 'quiet'."""
    count = len(audio) // _FRAME
    if not count:
        return rms(audio)
    power = np.square(audio[: count * _FRAME].reshape(count, _FRAME), dtype=np.float64).mean(axis=1)
    loud = power[power > 0.03 * power.max()] if power.max() > 0 else power
    return float(np.sqrt(loud.mean()))


def scaled(audio: Audio, level_dbfs: float) -> Audio:
    """The same sound at this active level (dB re full scale, RMS)."""
    level = active_rms(audio)
    return (audio * (10 ** (level_dbfs / 20) / level)).astype(np.float32) if level > 1e-7 else audio


def band(audio: Audio, low_hz: float, high_hz: float) -> Audio:
    """Second-order band pass, as a telephone's filters; edges at or beyond the ends of the band are left out."""
    if low_hz > 20.0:
        audio = signal.sosfilt(signal.butter(2, low_hz, "highpass", fs=SAMPLE_RATE, output="sos"), audio)
    if high_hz < 3_900.0:
        audio = signal.sosfilt(signal.butter(4, high_hz, "lowpass", fs=SAMPLE_RATE, output="sos"), audio)
    return np.asarray(audio, dtype=np.float32)


def coded(audio: Audio, codec: str) -> Audio:
    """Through a codec and back. GSM is the real 06.10 full rate, ADPCM the real G.721. Raises KeyError."""
    if codec == "linear":
        return audio
    container, subtype = _SUBTYPES[codec]
    memory = io.BytesIO()
    soundfile.write(memory, np.clip(audio, -1.0, 0.99997), SAMPLE_RATE, format=container, subtype=subtype)
    memory.seek(0)
    out, _ = soundfile.read(memory, dtype="float32")
    if len(out) < len(audio):
        out = np.concatenate((out, np.zeros(len(audio) - len(out), np.float32)))
    return np.asarray(out[: len(audio)], dtype=np.float32)


def noise(kind: str, count: int, random: Random, voices: Sequence[Audio] = ()) -> Audio:
    """``count`` samples at −20 dBFS. ``babble`` and ``tv`` need ``voices``. Raises ValueError for another kind."""
    white = random.standard_normal(count + SAMPLE_RATE).astype(np.float32)
    if kind == "white":
        out = white
    elif kind in ("pink", "brown", "street", "car"):
        pole = {"pink": 0.85, "brown": 0.985, "street": 0.95, "car": 0.992}[kind]
        out = np.asarray(signal.lfilter([1.0], [1.0, -pole], white), dtype=np.float32)
        if kind == "street":  # slow swells, as of passing cars
            knots = random.uniform(0.2, 1.6, max(4, count // 4_000))
            out *= np.interp(np.linspace(0, len(knots) - 1, len(out)), np.arange(len(knots)), knots).astype(np.float32)
    elif kind == "hum":
        time = np.arange(len(white)) / SAMPLE_RATE
        base = random.choice([50.0, 60.0])
        out = sum(
            np.sin(2 * np.pi * base * k * time + random.uniform(0, 6)) * random.uniform(0.2, 1.0) for k in range(1, 9)
        )
        out = np.asarray(out, dtype=np.float32) + 0.2 * white
    elif kind == "clatter":
        out = 0.05 * white
        for _ in range(random.integers(3, 25)):
            at, width = int(random.integers(0, len(white) - 900)), int(random.integers(40, 800))
            decay = np.exp(-np.arange(width) / random.uniform(10, 150)).astype(np.float32)
            out[at : at + width] += random.uniform(0.3, 3.0) * decay * white[:width]
    elif kind in ("babble", "tv") and len(voices):
        out = 0.01 * white
        for _ in range(random.integers(4, 8) if kind == "babble" else 1):
            at = int(-random.integers(0, SAMPLE_RATE))
            while at < len(out):
                voice = scaled(voices[int(random.integers(len(voices)))], -20.0)
                part = voice[max(0, -at) : max(0, len(out) - at)]
                out[max(0, at) : max(0, at) + len(part)] += part
                at += len(voice) + int(random.integers(200, 5_000))
    else:
        raise ValueError(f"unknown noise {kind!r}, or no voices to make it of")
    out = out[:count]
    return (out * (0.1 / max(rms(out), 1e-6))).astype(np.float32)


def room(audio: Audio, seconds: float, random: Random) -> Audio:
    """A speakerphone's room: the direct sound and a decaying tail (``seconds`` to −60 dB)."""
    length = max(2, int(seconds * SAMPLE_RATE))
    tail = random.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail *= random.uniform(0.3, 0.9) / np.sqrt(np.sum(tail**2))
    tail[: int(0.004 * SAMPLE_RATE)] = 0.0
    tail[0] = 1.0
    return np.asarray(signal.fftconvolve(audio, tail)[: len(audio)], dtype=np.float32)


def lossy(audio: Audio, share: float, burst: float, random: Random) -> Audio:
    """Lost packets in bursts (Gilbert's model), concealed as G.711 appendix I roughly does: repeat, then fade."""
    out = audio.copy()
    lost, run = False, 0
    leave, enter = 1.0 / max(1.0, burst), share / max(1e-6, (1.0 - share)) / max(1.0, burst)
    draws = random.random(len(audio) // _FRAME)
    for index, draw in enumerate(draws):
        lost = draw > leave if lost else draw < enter
        run = run + 1 if lost else 0
        if lost and index:
            at = index * _FRAME
            out[at : at + _FRAME] = out[at - _FRAME : at] * (0.8 if run < 3 else 0.3)
    return out


def through(
    voice: Audio, line: Channel, random: Random, voices: Sequence[Audio] = (), local: Audio | None = None
) -> Audio:
    """What our socket hears of ``voice``. ``local`` (tones made by the switch) joins after room and noise."""
    out = voice
    if line.room_s > 0.0:
        out = room(out, line.room_s, random)
    level = 10 ** (line.level_dbfs / 20)
    reference = active_rms(out) or 0.1
    if line.noise is not None:
        background = noise(line.noise, len(out), random, voices)
        background *= reference / 0.1 * 10 ** (-line.snr_db / 20)
        if line.comfort_noise:  # discontinuous transmission: the far side sends nothing while nobody speaks
            envelope = np.convolve(np.abs(out), np.ones(1_600, np.float32) / 1_600, mode="same")
            gate = np.convolve((envelope > 0.02 * reference).astype(np.float32), np.ones(80) / 80, mode="same")
            hiss = (
                random.standard_normal(len(out)).astype(np.float32) * reference * 10 ** (-random.uniform(38, 60) / 20)
            )
            background = background * gate.astype(np.float32) + hiss * (1.0 - gate).astype(np.float32)
        out = out + background
    out = out * (level / reference)
    if local is not None:
        out = out + local
    out = band(out.astype(np.float32), line.low_hz, line.high_hz)
    if line.echo_db is not None:
        delay = int(line.echo_ms * SAMPLE_RATE / 1_000)
        echo = np.zeros_like(out)
        echo[delay:] = out[:-delay] * 10 ** (line.echo_db / 20)
        out = out + echo
    out = np.clip(out, -line.clip, line.clip).astype(np.float32)
    for index, codec in enumerate(line.codecs):
        out = coded(out, codec)
        if index == 0 and line.loss > 0.0:
            out = lossy(out, line.loss, line.loss_burst, random)
    return np.clip(out, -1.0, 1.0)
