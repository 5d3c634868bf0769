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
FULL_DISK_SECONDS = 4.1
"""64 KiB of PCM: what FreeSWITCH writes at once."""
FULL_DISK_BYTES = 4096
_WAV_HEADER = 44
_BUG = "session_record"


def place(folder: str, path: str) -> str:
    """Where a recording asked for at `path` goes: always inside `folder`; "" (nowhere) when no folder is set."""
    if not folder:
        return ""
    root = Path(folder).resolve()
    wanted = (root / path).resolve()
    return str(wanted if wanted.is_relative_to(root) else root / Path(path).name)


def can_open(folder: str, path: str) -> bool:
    """Whether a recording could be begun there; missing folders are made, as by a FreeSWITCH that may."""
    file = place(folder, path)
    try:
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return not file or os.access(Path(file).parent, os.W_OK)


class Recorder:
    """Takes down a channel from `start` to `stop`: the far end alone, or both sides of a `session`.

    Both sides are added up, or kept apart (the far end on the left) when RECORD_STEREO is set on the channel. A full
    disk (`faults.fill_disk`) is noticed when FULL_DISK_SECONDS are to be written at once; what was recorded is lost but
    for the first FULL_DISK_BYTES.
    """

    def __init__(self, channel: Channel, path: str, *, session: bool) -> None:
        """session: it goes on beside the applications and tells how it ended; else it is the application `record`."""
        self._channel = channel
        self._path = path
        self._session = session
        self._from = 0
        self._masks: list[tuple[int, int | None]] = []
        self._limit: Timer | None = None

    def start(self, limit: int = 0) -> bool:
        """Begin; False when nothing can be written there. `limit`: seconds of the clock until it ends by itself."""
        channel = self._channel
        if not can_open(channel.node.settings.recordings, self._path):
            channel.variables["record_completion_cause"] = "uri-failure"
            return False
        self._from = channel.sample()
        for line in (channel.heard, channel.said):
            line.keep(MAX_SECONDS * RATE)
        channel.recorders[self._path] = self
        channel.fire("RECORD_START", [("Record-File-Path", self._path)])
        if self._session:
            channel.add_bug(_BUG)
        seconds = limit - channel.node.scheduler.wall() % 1 if limit else MAX_SECONDS
        self._limit = channel.node.scheduler.call_later(seconds, self.stop)
        return True

    def stop(self, *, hung_up: bool = False) -> None:
        """Write the file, set the variables, tell. A second call does nothing."""
        channel = self._channel
        if channel.recorders.pop(self._path, None) is None:
            return
        if self._limit is not None:
            self._limit.cancel()
        count = channel.sample() - self._from
        size, written = self._write(count)
        values = {"file_size": size, "samples": count, "seconds": count // RATE, "ms": count * 1000 // RATE}
        if not self._session:
            values["record_file_size"] = size
        for name, value in values.items():
            channel.variables[f"record_{name}"] = str(value)
        told = [("Record-File-Path", self._path)]
        if self._session:
            completion = "success-silence" if hung_up else "success-maxtime"
            channel.variables["record_completion_cause"] = completion if written else "uri-failure"
            told.append(("Record-Completion-Cause", channel.variables["record_completion_cause"]))
        channel.fire("RECORD_STOP", told)
        if self._session:
            channel.remove_bug(_BUG)

    def _write(self, count: int) -> tuple[int, bool]:
        """Write so many samples; the file's size, and whether they have all been written as far as was seen."""
        channel = self._channel
        sides = [channel.heard.read(self._from, count)]
        if self._session:
            sides.append(channel.said.read(self._from, count))
            if channel.variables.get("RECORD_STEREO") != "true":
                total = np.frombuffer(sides[0], "<i2").astype(np.int32) + np.frombuffer(sides[1], "<i2")
                sides = [total.clip(-32768, 32767).astype("<i2").tobytes()]
        sides = [self._masked(pcm) for pcm in sides]
        file = place(channel.node.settings.recordings, self._path)
        size = _WAV_HEADER + sum(map(len, sides))
        written = True
        if file:
            try:
                size = sound.write_wav(file, *sides)
            except sound.SoundError:
                written = False
        if channel.node.faults.disk_full:
            size = min(size, FULL_DISK_BYTES)
            written = count < FULL_DISK_SECONDS * RATE
            if file:
                os.truncate(file, size)
        return size, written

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
