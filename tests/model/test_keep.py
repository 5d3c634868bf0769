"""Recordings over real sockets: what was said is what is kept, as long as was asked, whatever ends the stream."""

from __future__ import annotations

import json
import struct
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from gevent import monkey
from structlog.testing import capture_logs

from amd_model.verdict import AmdOptions, EventKind, encode_options
from amd_model.worker import keep
from tests.model.test_server import Tap, Worker, save_model, until

pytestmark = pytest.mark.model

CALL = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
NOISE = np.random.default_rng(7).integers(-2_000, 2_000, 40_000, dtype="<i2").tobytes()

Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    weights = tmp_path / "m.safetensors"
    save_model(weights, 1, "one")
    workers = []

    def begin(keep_dir: Path | None = tmp_path / "answers", **settings: float) -> Worker:
        worker = Worker(weights, capacity=8, keep_dir=keep_dir, **settings)  # type: ignore[arg-type]
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.stop()


def asking(keep_ms: int, call_id: str = CALL) -> str:
    return encode_options(AmdOptions(total_timeout_ms=500, keep_ms=keep_ms, call_id=call_id))


def say(tap: Tap, audio: bytes, size: int = 320) -> None:
    for at in range(0, len(audio), size):
        tap.frame(2, audio[at : at + size])


def sound(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


def appeared(folder: Path, call_id: str = CALL) -> tuple[bytes, dict[str, object]]:
    path = folder / f"{call_id}.wav"
    until(path.exists)
    opinion: dict[str, object] = json.loads(path.with_suffix(".json").read_text())
    return sound(path), opinion


@pytest.mark.parametrize("size", [320, 777, 4_000])
def test_audio_is_kept_beyond_the_verdict_up_to_its_length(start: Start, tmp_path: Path, size: int) -> None:
    worker = start()
    tap = Tap(worker, metadata=asking(2_000))
    say(tap, NOISE[:16_000], size)
    event = tap.event()
    assert event.kind is EventKind.VERDICT
    until(lambda: worker.health()["streams"] == 0)
    assert not (tmp_path / "answers").exists()
    say(tap, NOISE[16_000:], size)
    audio, opinion = appeared(tmp_path / "answers")
    assert audio == NOISE[:32_000]
    assert (opinion["result"], opinion["decidedAtMs"]) == (event.result, event.at_ms)
    assert (opinion["callId"], opinion["modelVersion"], opinion["seconds"]) == (CALL, "one", 2.0)
    tap.frame(9, b"still there?")
    assert tap.read() == (10, b"still there?")
    assert worker.counter("amd_recordings_total", outcome="kept") == 1


def test_a_recording_shorter_than_the_decision_waits_for_it(start: Start, tmp_path: Path) -> None:
    tap = Tap(start(), metadata=asking(100))
    say(tap, NOISE[:16_000])
    event = tap.event()
    audio, opinion = appeared(tmp_path / "answers")
    assert audio == NOISE[:1_600]
    assert opinion["result"] == event.result


def test_a_caller_who_hangs_up_before_the_verdict_is_kept_without_an_opinion(start: Start, tmp_path: Path) -> None:
    tap = Tap(start(), metadata=asking(2_000))
    say(tap, NOISE[:3_200])
    tap.frame(8, struct.pack("!H", 1000))
    audio, opinion = appeared(tmp_path / "answers")
    assert audio == NOISE[:3_200]
    assert (opinion["result"], opinion["seconds"]) == (None, 0.2)


def test_a_connection_that_breaks_after_the_verdict_is_kept_too(start: Start, tmp_path: Path) -> None:
    tap = Tap(start(), metadata=asking(5_000))
    say(tap, NOISE[:16_000])
    event = tap.event()
    tap.sock.close()
    audio, opinion = appeared(tmp_path / "answers")
    assert audio == NOISE[:16_000]
    assert opinion["result"] == event.result


def test_nothing_is_kept_unasked_or_without_a_folder(start: Start, tmp_path: Path) -> None:
    keeping, plain = start(), start(keep_dir=None)
    for worker, metadata in ((keeping, encode_options(AmdOptions(total_timeout_ms=500))), (plain, asking(200))):
        tap = Tap(worker, metadata=metadata)
        say(tap, NOISE[:16_000])
        assert tap.event().kind is EventKind.VERDICT
        tap.frame(8, struct.pack("!H", 1000))
        assert tap.close_code() == 1000
    keeping.server.close()  # would write what waits
    assert not (tmp_path / "answers").exists()


def test_a_worker_that_stops_writes_what_it_has(start: Start, tmp_path: Path) -> None:
    worker = start()
    early, decided = Tap(worker, metadata=asking(5_000, "early")), Tap(worker, metadata=asking(5_000, "decided"))
    say(early, NOISE[:3_200])
    say(decided, NOISE[:16_000])
    decided.event()
    until(lambda: worker.health()["streams"] == 1)
    worker.stop()
    assert NOISE.startswith(sound(tmp_path / "answers" / "early.wav"))
    assert sound(tmp_path / "answers" / "decided.wav") == NOISE[:16_000]


def test_a_disk_that_fails_harms_no_call(start: Start, tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("in the way")
    worker = start()
    with capture_logs() as lines:
        for call_id in ("a", "b"):
            tap = Tap(worker, metadata=asking(200, call_id))
            say(tap, NOISE[:16_000])
            assert tap.event().kind is EventKind.VERDICT
        until(lambda: worker.counter("amd_recordings_total", outcome="failed") == 2)
    assert [line["event"] for line in lines].count("amd_audio_not_kept") == 1


def test_a_slow_disk_delays_no_verdict(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = monkey.get_original("_thread", "allocate_lock")()  # the writer waits natively, as for a disk
    lock.acquire()
    written: list[str] = []

    def slow(folder: Path, call_id: str, pcm: bytes, description: dict[str, object]) -> str:
        lock.acquire(timeout=10)
        written.append(call_id)
        return ""

    monkeypatch.setattr(keep, "write", slow)
    worker = start()
    for call_id in ("a", "b", "c"):
        tap = Tap(worker, metadata=asking(200, call_id))
        say(tap, NOISE[:16_000])
        assert tap.event().kind is EventKind.VERDICT
    assert not written
    lock.release()
    until(lambda: written == ["a"])
    lock.release()
    until(lambda: written == ["a", "b"])
    lock.release()
    until(lambda: written == ["a", "b", "c"])
