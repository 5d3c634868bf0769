"""Reading thousands of audio sockets on a timetable, instead of being woken for every frame.

A wake-up a frame costs 11 to 33 microseconds; the network only wants 100 ms of audio at a time. So a cycle of
100 ms is cut into `GROUPS` slots; each slot reads the sockets of one group, without blocking and once each, and
hands the streams that have a whole tick of audio to the batch engine together. Rules:

* A stream that lacks its tick moves on to the next slot's group. So it settles in the slot that comes just
  after its own ticks are complete, and waits one slot at worst, not one cycle. One that stays silent stops moving.
* A stream with its verdict is looked at seldom, until the switch closes it.
* A stream whose options say so listens on: it stays under analysis, its recording growing, to its end or bound.

What a single stream does is in `amd_model.worker.stream`; when to run a slot is the server's business.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict

import structlog

from amd_model.detector.spec import TICK_MS
from amd_model.verdict import AmdEvent
from amd_model.websocket import frames
from amd_model.websocket.frames import USUAL_SIZE, usual_payloads
from amd_model.worker.batch import Analysis, BatchEngine
from amd_model.worker.desk import Desk
from amd_model.worker.keep import Keeper
from amd_model.worker.shadow import Comparison
from amd_model.worker.stream import DRAIN_RECV_BYTES, MAX_PENDING_BYTES, RECV_BYTES, Around, Counters, Stream
from amd_model.worker.timetable import GROUPS

DRAIN_GROUPS = 9
"""Slots between two looks at a stream that has its verdict (0.3 s)."""
ROOM_BYTES = 256 * 1_024
"""What is unmasked at once: small enough for the core's cache."""
USUAL_PAYLOAD = USUAL_SIZE - 8
MAX_MISSES = 2 * GROUPS
ROOM_LOOK_S = 0.1
"""Where nobody's place could be had, nobody is asked again for so long."""

log = structlog.get_logger(__name__)


class Sweep:
    """All streams of one worker. Not thread-safe: one greenlet calls `turn`, others of the same thread `add`."""

    def __init__(
        self, counters: Counters, clock: Callable[[], float], keeper: Keeper, desk: Desk | None = None
    ) -> None:
        self._around = Around(counters, clock, keeper)
        self._desk = desk
        self._active: list[dict[int, Stream]] = [{} for _ in range(GROUPS)]
        self._drained: list[dict[int, Stream]] = [{} for _ in range(DRAIN_GROUPS)]
        self._room = memoryview(bytearray(ROOM_BYTES))
        self._slot = 0
        self._serial = 0
        self._nobody_yields_until = 0.0

    @property
    def active(self) -> int:
        """Streams under analysis."""
        return sum(len(group) for group in self._active)

    @property
    def draining(self) -> int:
        """Streams that have their verdict, or are closing."""
        return sum(len(group) for group in self._drained)

    def add(self, name: str, sock: socket.socket, engine: BatchEngine, analysis: Analysis, first: bytes = b"") -> None:
        """Own a non-blocking socket whose upgrade was answered; `first` is what came behind its handshake.

        `name` is what logs call the stream: the path of its URL, into which a caller may put the call's id.
        """
        stream = Stream(name, sock, engine, analysis, self._around)
        self._serial += 1
        self._active[(self._slot + 1) % GROUPS][self._serial] = stream
        if first:
            stream.take(first)

    def has_slack(self) -> bool:
        """Whether a stream under analysis has said nothing for so long that another may have its place."""
        return self._slackest() is not None

    def make_room(self) -> bool:
        """End the stream that has been silent for longest, if any has been for too long; its place is free at once."""
        found = self._slackest()
        if found is None:
            return False
        group, serial = found
        stream = group.pop(serial)
        stream.yield_place(self._around.clock())
        self._retire(serial, stream)
        return True

    def _slackest(self) -> tuple[dict[int, Stream], int] | None:
        now = self._around.clock()
        if now < self._nobody_yields_until:
            return None
        yielding = [
            (stream.heard_at, serial, group)
            for group in self._active
            for serial, stream in group.items()
            if stream.yields
        ]
        if not yielding:
            self._nobody_yields_until = now + ROOM_LOOK_S
            return None
        _, serial, group = min(yielding, key=lambda one: one[:2])
        return group, serial

    def turn(self) -> int:
        """Run one slot: read its group, analyse what is due, answer. Returns how many ticks were analysed."""
        slot = self._slot
        self._slot += 1
        now = self._around.clock()
        group = self._active[slot % GROUPS]
        following = self._active[(slot + 1) % GROUPS]
        due: dict[BatchEngine, dict[Analysis, int]] = {}
        self._read_all(group.values(), now)
        for serial, stream in list(group.items()):
            analysis = stream.analysis
            if analysis is None:
                del group[serial]
                self._retire(serial, stream)
            elif analysis.due:
                stream.misses = 0
                due.setdefault(stream.engine, {})[analysis] = serial
            elif stream.misses < MAX_MISSES:
                stream.misses += 1
                del group[serial]
                following[serial] = stream
        ticks = 0
        if self._desk is not None:
            self._desk.turn()
        for engine, analyses in due.items():
            results, done = engine.run(list(analyses))
            ticks += done
            if self._desk is not None and engine.looks:
                self._look(engine, self._desk)
            for analysis, events in results:
                serial = analyses[analysis]
                stream = group[serial]
                for event in events:
                    stream.tell(event)
                    if isinstance(event, AmdEvent) and (comparison := engine.compare(analysis, event)) is not None:
                        self._compared(stream.name, comparison)
                if analysis.finished and stream.analysis is not None:
                    if analysis.hearing is None:
                        stream.release()
                        self._around.counters.ended("verdict")
                    else:
                        goodbye = frames.close_frame(frames.NORMAL, "listened for as long as was asked")
                        stream.end(goodbye, now, "listened")
                if stream.analysis is None:
                    del group[serial]
                    self._retire(serial, stream)
        self._drain(slot, now)
        return ticks

    def _look(self, engine: BatchEngine, desk: Desk) -> None:
        """Hand over what the engine wants read; who is skipped is decided on sound alone."""
        for analysis in engine.looks:
            spoken = analysis.spoken
            if spoken is None or not desk.ask(bytes(spoken.pcm), analysis.ticks * TICK_MS, analysis.state):
                analysis.state.looked(None)
        engine.looks.clear()

    def close_all(self, code: int, reason: str, only_finished: bool = False) -> None:
        """Begin the close of every stream (or of those only that have their verdict)."""
        now = self._around.clock()
        if not only_finished:
            for group in self._active:
                for serial, stream in list(group.items()):
                    del group[serial]
                    stream.release()
                    self._around.counters.ended("shutdown")
                    self._retire(serial, stream)
        for group in self._drained:
            for stream in group.values():
                if stream.closing_until is None:
                    stream.close(frames.close_frame(code, reason), now)

    def abandon(self) -> None:
        """Close every socket at once, without ceremony."""
        for group in (*self._active, *self._drained):
            for stream in group.values():
                stream.abandon()
            group.clear()

    def _compared(self, name: str, comparison: Comparison) -> None:
        self._around.counters.compared(comparison.agree)
        if not comparison.agree:
            log.info("amd_shadow_disagrees", stream=name, **asdict(comparison))

    def _drain(self, slot: int, now: float) -> None:
        group = self._drained[slot % DRAIN_GROUPS]
        for serial, stream in list(group.items()):
            if stream.closing_until is None:
                stream.read(now, DRAIN_RECV_BYTES)
                if stream.closing_until is None:
                    continue
            if stream.closed(now):
                stream.sock.close()
                del group[serial]

    def _read_all(self, streams: Iterable[Stream], now: float) -> None:
        """One bounded recv a stream. Whole usual frames, nearly all there is, are unmasked together."""
        room = self._room
        at = 0
        usual: list[tuple[Stream, int]] = []
        for stream in streams:
            if not stream.receiver.between or len(stream.receiver.audio) >= MAX_PENDING_BYTES:
                stream.read(now, RECV_BYTES)
            else:
                try:
                    size = stream.sock.recv_into(room[at : at + RECV_BYTES])
                except BlockingIOError:
                    stream.missed(now)
                except OSError:
                    stream.end(b"", now, "eof")
                else:
                    if size and not size % USUAL_SIZE:
                        usual.append((stream, size))
                        at += size
                        if at > ROOM_BYTES - RECV_BYTES:
                            self._take_usual(usual, room[:at], now)
                            usual, at = [], 0
                    else:
                        stream.read_on(bytes(room[at : at + size]), now)
            stream.watch(now)
        if usual:
            self._take_usual(usual, room[:at], now)

    def _take_usual(self, usual: list[tuple[Stream, int]], data: memoryview, now: float) -> None:
        payloads, others = usual_payloads(data)
        sound = memoryview(payloads)
        at = frame = 0
        for stream, size in usual:
            after = frame + size // USUAL_SIZE
            if others and any(frame <= other < after for other in others):
                stream.take(bytes(data[at : at + size]))
            else:
                stream.take_sound(sound[frame * USUAL_PAYLOAD : after * USUAL_PAYLOAD])
            stream.heard_at = now
            at, frame = at + size, after

    def _retire(self, serial: int, stream: Stream) -> None:
        self._drained[(self._slot + serial) % DRAIN_GROUPS][serial] = stream
