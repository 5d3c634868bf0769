"""The first seconds of answers, or whole calls, kept as files. Off unless the worker was given a folder.

A `Recording` gathers one stream's audio in memory and is handed to the `Keeper` when it is full or its stream
is over. The keeper's own greenlet has a native thread write it, so a slow disk delays no verdict. Rules:

* Memory is reserved when a recording begins, its whole length, out of `MAX_BYTES`; without room it is not made.
* A recording appears under its name only when it is complete, and its JSON is there before it. People's voices:
  files are for the owner of the process alone.
* Whatever the disk does is told once, until it works again, and costs recordings, never calls.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import wave
from pathlib import Path

import structlog
from gevent.pool import Group
from gevent.queue import Full, JoinableQueue
from gevent.threadpool import ThreadPool
from prometheus_client import Counter

from amd_model.detector.spec import SAMPLE_RATE
from amd_model.verdict import AmdEvent, AmdOptions

BYTES_A_MS = 2 * SAMPLE_RATE // 1_000
MAX_BYTES = 256 << 20
"""What all recordings together may take in memory: 1,600 of ten seconds, or 26 of ten minutes."""
MAX_WAITING = 4_096
FLUSH_S = 2.0
"""How long a worker that stops goes on writing what it has."""

log = structlog.get_logger(__name__)


class Recording:
    """One stream's audio, 8 kHz mono 16-bit, cut at `limit` bytes, and what the detector made of it."""

    __slots__ = ("_pcm", "call_id", "event", "limit")

    def __init__(self, call_id: str, limit: int) -> None:
        self.call_id = call_id
        self.limit = limit
        self.event: AmdEvent | None = None
        self._pcm = bytearray()

    @property
    def full(self) -> bool:
        """True when no more audio is wanted."""
        return len(self._pcm) >= self.limit

    @property
    def pcm(self) -> bytes:
        """Whole samples only."""
        return bytes(self._pcm[: len(self._pcm) & ~1])

    def hear(self, audio: bytes | bytearray) -> None:
        """Take audio as it came off the wire, in any pieces."""
        self._pcm += audio[: self.limit - len(self._pcm)]

    def told(self, event: AmdEvent) -> None:
        """The detector's last word on who answered is what a person will be shown."""
        if event.result is not None:
            self.event = event

    def description(self) -> dict[str, object]:
        """What stands beside the sound; nulls where the answer ended before it was judged."""
        event = self.event
        return {
            "callId": self.call_id,
            "result": event and event.result,
            "confidence": event and round(event.confidence, 4),
            "reason": event and event.reason,
            "decidedAtMs": event and event.at_ms,
            "modelVersion": event and event.model_version,
            "seconds": round(len(self._pcm) / (1_000 * BYTES_A_MS), 3),
        }


def write(folder: Path, call_id: str, pcm: bytes, description: dict[str, object]) -> str:
    """``<call_id>.wav`` and ``<call_id>.json`` in `folder`, which is made if need be; what went wrong, or nothing.

    Both are written beside their names and then renamed; of a failure nothing stays. For a native thread.
    """
    sound, text = folder / f"{call_id}.wav", folder / f"{call_id}.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_part(sound, wav(pcm))
        _write_part(text, json.dumps(description).encode())
        os.replace(_part(text), text)
        os.replace(_part(sound), sound)
    except OSError as error:
        for path in (_part(sound), _part(text), *(() if sound.exists() else (text,))):
            with contextlib.suppress(OSError):
                path.unlink()
        return error.strerror or type(error).__name__
    return ""


def wav(pcm: bytes) -> bytes:
    """The samples as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm)
    return out.getvalue()


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _write_part(path: Path, data: bytes) -> None:
    """Beside its name, for its owner only; what a killed worker left there gives way."""
    part = _part(path)
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(data)


class Keeper:
    """All recordings of one worker. `begin` and `finish` never wait; `folder` None keeps nothing."""

    def __init__(self, folder: Path | None, counter: Counter) -> None:
        self._folder = folder
        self._counter = counter
        self._room = MAX_BYTES
        self._waiting: JoinableQueue[Recording] = JoinableQueue(MAX_WAITING)
        self._pool = ThreadPool(1)
        self._tasks = Group()
        self._failing = ""

    def start(self) -> None:
        """Begin to write what is finished."""
        if self._folder is not None:
            self._tasks.spawn(self._write_all, self._folder)

    def begin(self, options: AmdOptions) -> Recording | None:
        """A recording for a stream that asks for one by these options; None when there is none to make."""
        if self._folder is None or not options.keep_ms or not options.call_id:
            return None
        limit = options.keep_ms * BYTES_A_MS
        if limit > self._room:
            self._counter.labels("no_room").inc()
            return None
        self._room -= limit
        return Recording(options.call_id, limit)

    def finish(self, recording: Recording) -> None:
        """No more audio will come. Call it once for each `begin`. An empty recording is dropped."""
        if recording.pcm:
            try:
                self._waiting.put_nowait(recording)
            except Full:
                self._counter.labels("no_room").inc()
            else:
                return
        self._room += recording.limit

    def close(self, within_s: float = FLUSH_S) -> None:
        """Write what is waiting, as far as it can be done in time, and stop."""
        if len(self._tasks):
            self._waiting.join(within_s)
        self._tasks.kill()

    def _write_all(self, folder: Path) -> None:
        while True:
            recording = self._waiting.get()
            try:
                self._write(folder, recording)
            finally:
                self._room += recording.limit
                self._waiting.task_done()

    def _write(self, folder: Path, recording: Recording) -> None:
        job = self._pool.spawn(write, folder, recording.call_id, recording.pcm, recording.description())
        trouble = str(job.get())
        self._counter.labels("failed" if trouble else "kept").inc()
        if trouble == self._failing:
            return
        # One line a kind of trouble: a full disk fails for every call.
        if trouble:
            log.error("amd_audio_not_kept", folder=str(folder), error=trouble, calls="go on")
        else:
            log.info("amd_audio_kept_again", folder=str(folder))
        self._failing = trouble
