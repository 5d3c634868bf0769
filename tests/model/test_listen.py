"""A stream that listens on, over real sockets: what is said, sounded and kept quiet is told when and where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from amd_model.detector import checkpoint
from amd_model.listening import likeness
from amd_model.verdict import (
    AmdEvent,
    AmdOptions,
    EventKind,
    Heard,
    Sound,
    decode_event,
    decode_heard,
    encode_options,
    is_heard,
)
from amd_model.worker import stream
from tests.model.test_server import Tap, Worker, until
from training.telephone import signals

pytestmark = pytest.mark.model

AUDIO = Path(__file__).resolve().parents[2] / "fsbridge" / "simulator" / "audio"
CALL = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"

Samples = NDArray[np.float32]
Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    workers = []

    def begin(**settings: object) -> Worker:
        worker = Worker(checkpoint.SHIPPED, capacity=8, **settings)  # type: ignore[arg-type]
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.stop()


def listening(**options: object) -> str:
    return encode_options(AmdOptions(listen=True, **options))  # type: ignore[arg-type]


def recording(name: str) -> Samples:
    samples: Samples = soundfile.read(AUDIO / f"{name}.flac", dtype="float32")[0]
    return samples


def told(worker: Worker, tap: Tap, *parts: Samples) -> list[AmdEvent | Heard]:
    """Everything that the worker tells of some more sound, in order of its telling."""
    pcm = (np.clip(np.concatenate(parts), -1, 0.999) * 32_767).astype("<i2").tobytes()
    pcm += bytes(-len(pcm) % 1_600)
    wanted = worker.counter("amd_ticks_total") + len(pcm) // 1_600
    for at in range(0, len(pcm), 1_600):
        tap.frame(2, pcm[at : at + 1_600])
    until(lambda: worker.counter("amd_ticks_total") >= wanted)
    tap.frame(9, b"all?")
    found: list[AmdEvent | Heard] = []
    while True:
        opcode, payload = tap.read()
        if opcode == 10:
            return found
        assert opcode == 1, (opcode, payload)
        body = json.dumps(json.loads(payload)["data"])
        found.append(decode_heard(body) if is_heard(body) else decode_event(body))


def of(what: Sound, events: list[AmdEvent | Heard]) -> list[Heard]:
    return [event for event in events if isinstance(event, Heard) and event.what is what]


def amd(kind: EventKind, events: list[AmdEvent | Heard]) -> list[AmdEvent]:
    return [event for event in events if isinstance(event, AmdEvent) and event.kind is kind]


def test_speech_and_silence_beside_the_verdict(start: Start) -> None:
    worker = start()
    tap = Tap(worker, metadata=listening())
    voice = recording("person-thanks")
    events = told(worker, tap, signals.silence(1.0), voice, signals.silence(2.6), voice, signals.silence(1.0))
    (verdict,) = amd(EventKind.VERDICT, events)
    assert verdict.result is not None
    begun, ended = of(Sound.SPEECH, events), of(Sound.SPEECH_END, events)
    length = len(voice) / 8
    for at, speech, end in zip((1_000, 3_600 + length), begun, ended, strict=True):
        assert at - 100 <= speech.at_ms <= at + 300
        assert end.start_ms == speech.at_ms
        assert at + length - 500 <= end.at_ms <= at + length + 200
    quiet = of(Sound.SILENCE, events)
    assert [s.for_ms for s in quiet[:4]] == [200, 400, 600, 800]
    assert (quiet[0].at_ms, quiet[3].at_ms) == (200, 800)
    between = [s for s in quiet if ended[0].at_ms < s.at_ms < begun[1].at_ms]
    assert [s.for_ms for s in between][:11] == [*range(200, 2_001, 200), 2_500]
    assert all(not any(b.at_ms < s.at_ms <= e.at_ms for b, e in zip(begun, ended, strict=True)) for s in quiet)
    assert worker.health()["streams"] == 1


def test_every_beep_and_tone_is_told(start: Start) -> None:
    worker = start()
    tap = Tap(worker, metadata=listening())
    tones = [signals.tone((hertz,), 0.5) * 0.5 for hertz in (1_000, 800)]
    gap = signals.silence(1.0)
    events = told(worker, tap, gap, recording("person-hello"), gap, tones[0], gap, tones[1], gap)
    told_tones = of(Sound.TONE, events)
    assert [tone.ended for tone in told_tones] == [False, True, False, True]
    for tone, hertz, at in zip(told_tones[1::2], (1_000, 800), (2_800, 4_300), strict=True):
        assert tone.frequency_hz == pytest.approx(hertz, abs=4)
        assert abs(tone.at_ms - at) <= 60
        assert tone.duration_ms == pytest.approx(500, abs=60)
    beeps = amd(EventKind.BEEP, events)
    assert [round((beep.frequency_hz or 0) / 100) for beep in beeps] == [10, 8]
    assert len(of(Sound.SPEECH, events)) == 1


def test_bands_fit_the_recording(start: Start) -> None:
    worker = start()
    tap = Tap(worker, metadata=listening(listen_bands=True))
    prompt = recording("prompt-thanks")
    events = told(worker, tap, signals.silence(1.0), prompt * 0.1, signals.silence(1.4))
    pieces = of(Sound.BANDS, events)
    assert [piece.at_ms for piece in pieces] == list(range(0, 500 * len(pieces), 500))
    assert {piece.hop_ms for piece in pieces} == {likeness.HOP_MS}
    heard = np.frombuffer(b"".join(piece.bands for piece in pieces), np.uint8).reshape(-1, likeness.BANDS)
    match = likeness.find(likeness.fingerprint(prompt), heard)
    assert match.score >= 0.8
    assert abs(match.at_ms - 1_000) <= 40
    other = likeness.find(likeness.fingerprint(recording("prompt-goodbye")), heard)
    assert other.score < likeness.THRESHOLD


def test_a_stream_that_does_not_ask_hears_nothing(start: Start) -> None:
    worker = start()
    tap = Tap(worker, metadata=encode_options(AmdOptions(total_timeout_ms=500)))
    events = told(worker, tap, signals.silence(0.5))
    assert [type(event) for event in events] == [AmdEvent]
    until(lambda: worker.health()["streams"] == 0)


def test_listening_has_a_bound_and_then_says_goodbye(start: Start) -> None:
    worker = start()
    tap = Tap(worker, metadata=listening(listen_max_ms=1_500))
    sound = np.concatenate((signals.silence(1.0), signals.tone((700,), 0.6) * 0.5))
    tap.frame(2, (sound * 32_767).astype("<i2").tobytes())
    texts = []
    while (frame := tap.read())[0] == 1:
        texts.append(json.dumps(json.loads(frame[1])["data"]))
    assert frame == (8, b"\x03\xe8listened for as long as was asked")
    tones = [heard for text in texts if is_heard(text) and (heard := decode_heard(text)).what is Sound.TONE]
    assert [(tone.ended, tone.duration_ms) for tone in tones] == [(False, 100), (True, 500)]
    until(lambda: worker.health()["streams"] == 0)
    assert worker.counter("amd_streams_ended_total", how="listened") == 1


def test_a_listener_may_hold_its_place_for_longer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ANALYSIS_S", -1.0)
    worker = start()
    tap = Tap(worker, metadata=listening(listen_max_ms=60_000))
    assert told(worker, tap, signals.silence(1.0))
    assert worker.health()["streams"] == 1


def test_a_whole_call_is_kept(start: Start, tmp_path: Path) -> None:
    worker = start(keep_dir=tmp_path / "answers")
    tap = Tap(worker, metadata=listening(keep_ms=600_000, call_id=CALL))
    told(worker, tap, signals.silence(6.0), recording("person-thanks"), signals.silence(6.0))
    tap.frame(8, b"\x03\xe8")
    path = tmp_path / "answers" / f"{CALL}.wav"
    until(path.exists)
    opinion = json.loads(path.with_suffix(".json").read_text())
    assert opinion["seconds"] == pytest.approx(12 + len(recording("person-thanks")) / 8_000, abs=0.11)
    assert opinion["result"] is not None
