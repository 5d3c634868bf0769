"""Recordings of a channel: what `record` and `uuid_record` take down, and where they may be written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.scheduler import Timer

MAX_SECONDS = 3600
_BUG = "session_record"


def place(folder: str, path: str) -> str:
    """Where a recording asked for at `path` goes: always inside `folder`; "" (nowhere) when no folder is set."""
    if not folder:
        return ""
    root = Path(folder).resolve()
    wanted = (root / path).resolve()
    return str(wanted if wanted.is_relative_to(root) else root / Path(path).name)


def can_open(folder: str, path: str) -> bool:
    """Whether a recording could be begun there: FreeSWITCH makes no folders."""
    file = place(folder, path)
    return not file or (Path(file).parent.is_dir() and os.access(Path(file).parent, os.W_OK))


class Recorder:
    """Takes down a channel from `start` to `stop`: the far end alone, or both sides when `both`.

    Both sides are added up, or kept apart (the far end on the left) when RECORD_STEREO is set on the channel.
    """

    def __init__(self, channel: Channel, path: str, seconds: int, *, both: bool, bug: bool) -> None:
        self._channel = channel
        self._path = path
        self._seconds = min(seconds or MAX_SECONDS, MAX_SECONDS)
        self._both = both
        self._bug = bug
        self._from = 0
        self._masks: list[tuple[int, int | None]] = []
        self._limit: Timer | None = None

    def start(self) -> None:
        channel = self._channel
        self._from = channel.sample()
        for line in (channel.heard, channel.said):
            line.keep(MAX_SECONDS * RATE)
        channel.recorders[self._path] = self
        channel.fire("RECORD_START", [("Record-File-Path", self._path)])
        if self._bug:
            channel.add_bug(_BUG)
        self._limit = channel.node.scheduler.call_later(self._seconds, self.stop)

    def stop(self) -> None:
        """Write the file, set the variables, tell. A second call does nothing."""
        channel = self._channel
        if channel.recorders.pop(self._path, None) is None:
            return
        if self._limit is not None:
            self._limit.cancel()
        count = channel.sample() - self._from
        sides = [channel.heard.read(self._from, count)]
        if self._both:
            sides.append(channel.said.read(self._from, count))
            if channel.variables.get("RECORD_STEREO") != "true":
                total = np.frombuffer(sides[0], "<i2").astype(np.int32) + np.frombuffer(sides[1], "<i2")
                sides = [total.clip(-32768, 32767).astype("<i2").tobytes()]
        sides = [self._masked(pcm) for pcm in sides]
        file = place(channel.node.settings.recordings, self._path)
        size = 44 + sum(map(len, sides))
        completion = "success-maxtime"
        if file:
            try:
                size = sound.write_wav(file, *sides)
            except sound.SoundError:
                completion = "failure"
        values = {"file_size": size, "samples": count, "seconds": count // RATE, "ms": count * 1000 // RATE}
        for name, value in values.items():
            channel.variables[f"record_{name}"] = str(value)
        channel.variables["record_completion_cause"] = completion
        told = [("Record-File-Path", self._path), ("Record-Completion-Cause", completion)]
        channel.fire("RECORD_STOP", told)
        if self._bug:
            channel.remove_bug(_BUG)

    def mask(self, masked: bool) -> None:
        """Take down silence from now on, or again what is heard: for digits and card numbers."""
        now = self._channel.sample()
        if masked and not (self._masks and self._masks[-1][1] is None):
            self._masks.append((now, None))
        elif not masked and self._masks and self._masks[-1][1] is None:
            self._masks[-1] = (self._masks[-1][0], now)

    def _masked(self, pcm: bytes) -> bytes:
        if not self._masks:
            return pcm
        samples = np.frombuffer(pcm, "<i2").copy()
        for start, end in self._masks:
            samples[max(start - self._from, 0) : None if end is None else end - self._from] = 0
        return samples.tobytes()
