"""Recordings in memory and on disk; a disk that fails; no room."""

from __future__ import annotations

import io
import json
import os
import stat
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Reason, Verdict
from amd_model.worker import keep
from amd_model.worker.keep import Keeper, Recording

pytestmark = pytest.mark.unit

CALL = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
VERDICT = AmdEvent(EventKind.VERDICT, 1_400, Verdict.LIVE_PERSON, 0.98765, Reason.SHORT_GREETING, model_version="m")


class Kept:
    """A keeper, its folder and its counts."""

    def __init__(self, folder: Path | None) -> None:
        self.registry = CollectorRegistry()
        self.folder = folder
        self.keeper = Keeper(folder, Counter("kept", "x", ["outcome"], registry=self.registry))
        self.keeper.start()

    def count(self, outcome: str) -> float:
        return self.registry.get_sample_value("kept_total", {"outcome": outcome}) or 0.0

    def record(self, call_id: str, pcm: bytes) -> None:
        recording = self.keeper.begin(AmdOptions(keep_ms=1_000, call_id=call_id))
        assert recording is not None
        recording.hear(pcm)
        self.keeper.finish(recording)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    one = Kept(tmp_path / "answers" / "new")
    yield one
    one.keeper.close(0.0)


def sound(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8_000)
        return file.readframes(file.getnframes())


@given(st.lists(st.binary(max_size=50)), st.integers(1, 5))
def test_audio_in_any_pieces_is_the_same_and_bounded(pieces: list[bytes], keep_ms: int) -> None:
    recording = Recording(CALL, keep_ms * keep.BYTES_A_MS)
    for piece in pieces:
        recording.hear(bytearray(piece))
    whole = b"".join(pieces)[: keep_ms * 16]
    assert recording.pcm == whole[: len(whole) // 2 * 2]
    assert recording.full is (len(whole) == keep_ms * 16)


def test_a_recording_is_a_sound_and_the_detectors_opinion(kept: Kept) -> None:
    assert kept.folder is not None
    recording = kept.keeper.begin(AmdOptions(keep_ms=1_000, call_id=CALL))
    assert recording is not None
    pcm = bytes(range(250)) * 32
    recording.hear(pcm)
    recording.told(VERDICT)
    recording.told(AmdEvent(EventKind.BEEP, 2_000))
    kept.keeper.finish(recording)
    kept.keeper.close()
    assert sound(kept.folder / f"{CALL}.wav") == pcm
    assert json.loads((kept.folder / f"{CALL}.json").read_text()) == {
        "callId": CALL,
        "result": "live_person",
        "confidence": 0.9877,
        "reason": "short_greeting",
        "decidedAtMs": 1_400,
        "modelVersion": "m",
        "seconds": 0.5,
    }
    assert sorted(os.listdir(kept.folder)) == [f"{CALL}.json", f"{CALL}.wav"]
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.folder.iterdir()} == {0o600}
    assert kept.count("kept") == 1


def test_a_correction_is_the_last_word_and_no_word_is_null() -> None:
    recording = Recording(CALL, 100)
    assert recording.description()["result"] is None
    recording.told(VERDICT)
    recording.told(AmdEvent(EventKind.CORRECTION, 3_000, Verdict.ANSWERING_MACHINE))
    assert (recording.description()["result"], recording.description()["decidedAtMs"]) == ("answering_machine", 3_000)


def test_nothing_is_begun_without_a_folder_a_length_or_a_name(kept: Kept, tmp_path: Path) -> None:
    assert Kept(None).keeper.begin(AmdOptions(keep_ms=1_000, call_id=CALL)) is None
    assert kept.keeper.begin(AmdOptions(call_id=CALL)) is None
    assert kept.keeper.begin(AmdOptions(keep_ms=1_000)) is None
    kept.record(CALL, b"")
    kept.keeper.close()
    assert kept.folder is not None
    assert not kept.folder.exists()


def test_memory_is_reserved_and_given_back(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "MAX_BYTES", 32_000)
    small = Kept(kept.folder)
    asked = AmdOptions(keep_ms=1_000, call_id=CALL)
    first, second = small.keeper.begin(asked), small.keeper.begin(asked)
    assert first is not None
    assert second is not None
    assert small.keeper.begin(asked) is None
    assert small.count("no_room") == 1
    small.keeper.finish(first)
    third = small.keeper.begin(asked)
    assert third is not None
    third.hear(b"12")
    small.keeper.finish(third)
    small.keeper.close()
    assert small.count("kept") == 1
    assert small.keeper.begin(asked) is not None


def test_a_writer_that_lags_costs_recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keep, "MAX_WAITING", 1)
    kept = Kept(tmp_path)
    kept.record("a", b"12")
    kept.record("b", b"12")  # the writer had no turn yet
    kept.keeper.close()
    assert (kept.count("kept"), kept.count("no_room")) == (1, 1)
    assert (tmp_path / "a.wav").exists()


def test_a_failing_disk_is_told_once_and_again_when_it_works(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.write_text("a file where the folder should be")
    kept = Kept(folder)
    with capture_logs() as lines:
        for call in ("a", "b", "c"):
            kept.record(call, b"12")
        kept.keeper._waiting.join(5.0)
        folder.unlink()
        kept.record("d", b"12")
        kept.keeper.close()
    assert [line["event"] for line in lines] == ["amd_audio_not_kept", "amd_audio_kept_again"]
    assert (kept.count("failed"), kept.count("kept")) == (3, 1)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".x.wav.part").write_bytes(b"left by a killed worker")
    assert keep.write(tmp_path, "x", b"1234", {}) == ""

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keep.os, "replace", full)
    assert keep.write(tmp_path, "y", b"1234", {}) == "No space left on device"
    assert sorted(os.listdir(tmp_path)) == ["x.json", "x.wav"]


def test_a_wav_of_nothing_is_still_one() -> None:
    with wave.open(io.BytesIO(keep.wav(b""))) as file:
        assert file.getnframes() == 0
