"""Reading thousands of audio sockets on a timetable, instead of being woken for every frame.

A wake-up a frame costs 11 to 33 microseconds; the network only wants 100 ms of audio at a time. So a cycle of
100 ms is cut into `GROUPS` slots; each slot reads the sockets of one group, without blocking and once each, and
hands the streams that have a whole tick of audio to the batch engine together. Rules:

* A stream that lacks its tick moves on to the next slot's group. So it settles in the slot that comes just
  after its own ticks are complete, and waits one slot at worst, not one cycle. One that stays silent stops moving.
* One bounded `recv` a stream and turn (two when it had more than usual): a flooding peer gets its share and no
  more, and is stopped by its own TCP window once `MAX_PENDING_BYTES` of its audio are waiting.
* A stream with its verdict is only drained, seldom and unread, until the switch closes it; one whose call asked
  for a recording is heard on until that is full.
* A stream whose options say so listens on: it stays under analysis, its recording growing, to its end or bound.
* Whatever one peer does wrong ends that stream alone.

This module does the reading and the closing; when to run a slot is the server's business.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Protocol

import structlog

from amd_model.verdict import AmdOptions, Heard, WireError, decode_options, encode_event, encode_heard
from amd_model.worker import websocket
from amd_model.worker.batch import CONTEXT_BYTES, Analysis, BatchEngine
from amd_model.worker.keep import Keeper, Recording
from amd_model.worker.shadow import Comparison
from amd_model.worker.timetable import GROUPS
from amd_model.worker.websocket import USUAL_SIZE, AudioReceiver, usual_payloads

DRAIN_GROUPS = 9
"""Slots between two looks at a stream that has its verdict (0.3 s)."""

RECV_BYTES = 4_096
"""Twice what a cycle usually brings."""
ROOM_BYTES = 256 * 1_024
"""What is unmasked at once: small enough for the core's cache."""
USUAL_PAYLOAD = USUAL_SIZE - 8
BACKLOG_BYTES = 16_384
DRAIN_RECV_BYTES = 65_536
MAX_PENDING_BYTES = 32_000
MAX_OUTGOING_BYTES = 16_384
MAX_MISSES = 2 * GROUPS
IDLE_S = 30.0
"""Audio flows all the time, silence included; nothing for this long means that the other side is gone."""
ANALYSIS_S = 300.0
"""Longest wall time a stream may hold its place; the longest timeouts a call can ask for end before it.
One that listens on may hold it for as much longer as its options say."""
CLOSING_S = 1.0
"""How long we wait for the peer's end after our close frame."""

log = structlog.get_logger(__name__)


class Counters(Protocol):
    """What the sweep tells about itself; see `amd_model.worker.server.Metrics`."""

    def verdict(self, result: str) -> None: ...

    def ended(self, how: str) -> None: ...

    def bad_metadata(self) -> None: ...

    def compared(self, agree: bool) -> None: ...


class Stream:
    """One audio socket. `analysis` is None once the last event was sent (or the peer left)."""

    __slots__ = (
        "analysis",
        "closing_until",
        "engine",
        "heard_at",
        "limit_s",
        "misses",
        "name",
        "opened_at",
        "outgoing",
        "receiver",
        "recording",
        "sock",
        "waits_for_metadata",
    )

    def __init__(self, name: str, sock: socket.socket, engine: BatchEngine, analysis: Analysis, now: float) -> None:
        self.name = name
        self.sock = sock
        self.engine = engine
        self.analysis: Analysis | None = analysis
        self.receiver = AudioReceiver(analysis.audio)
        self.recording: Recording | None = None
        self.outgoing = b""
        self.opened_at = now
        self.limit_s = ANALYSIS_S
        self.heard_at = now
        self.misses = 0
        self.waits_for_metadata = True
        self.closing_until: float | None = None


class Sweep:
    """All streams of one worker. Not thread-safe: one greenlet calls `turn`, others of the same thread `add`."""

    def __init__(self, counters: Counters, clock: Callable[[], float], keeper: Keeper) -> None:
        self._counters = counters
        self._keeper = keeper
        self._clock = clock
        self._active: list[dict[int, Stream]] = [{} for _ in range(GROUPS)]
        self._drained: list[dict[int, Stream]] = [{} for _ in range(DRAIN_GROUPS)]
        self._room = memoryview(bytearray(ROOM_BYTES))
        self._slot = 0
        self._serial = 0

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
        stream = Stream(name, sock, engine, analysis, self._clock())
        self._serial += 1
        self._active[(self._slot + 1) % GROUPS][self._serial] = stream
        if first:
            self._take(stream, first)

    def turn(self) -> int:
        """Run one slot: read its group, analyse what is due, answer. Returns how many ticks were analysed."""
        slot = self._slot
        self._slot += 1
        now = self._clock()
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
        for engine, analyses in due.items():
            results, done = engine.run(list(analyses))
            ticks += done
            for analysis, events in results:
                serial = analyses[analysis]
                stream = group[serial]
                for event in events:
                    if isinstance(event, Heard):
                        self._send(stream, websocket.text_frame(encode_heard(event)))
                        continue
                    if stream.recording is not None:
                        stream.recording.told(event)
                    self._send(stream, websocket.text_frame(encode_event(event)))
                    if event.result is not None:
                        self._counters.verdict(event.result.value)
                    comparison = engine.compare(analysis, event)
                    if comparison is not None:
                        self._compared(stream.name, comparison)
                if analysis.finished and stream.analysis is not None:
                    if analysis.hearing is None:
                        self._release(stream)
                        self._counters.ended("verdict")
                    else:
                        goodbye = websocket.close_frame(websocket.NORMAL, "listened for as long as was asked")
                        self._end(stream, goodbye, now, "listened")
                if stream.analysis is None:
                    del group[serial]
                    self._retire(serial, stream)
        self._drain(slot, now)
        return ticks

    def close_all(self, code: int, reason: str, only_finished: bool = False) -> None:
        """Begin the close of every stream (or of those only that have their verdict)."""
        now = self._clock()
        if not only_finished:
            for group in self._active:
                for serial, stream in list(group.items()):
                    del group[serial]
                    self._release(stream)
                    self._counters.ended("shutdown")
                    self._retire(serial, stream)
        for group in self._drained:
            for stream in group.values():
                if stream.closing_until is None:
                    self._close(stream, websocket.close_frame(code, reason), now)

    def abandon(self) -> None:
        """Close every socket at once, without ceremony."""
        for group in (*self._active, *self._drained):
            for stream in group.values():
                self._release(stream)
                self._save(stream)
                stream.sock.close()
            group.clear()

    def _compared(self, name: str, comparison: Comparison) -> None:
        self._counters.compared(comparison.agree)
        if not comparison.agree:
            log.info("amd_shadow_disagrees", stream=name, **asdict(comparison))

    def _drain(self, slot: int, now: float) -> None:
        group = self._drained[slot % DRAIN_GROUPS]
        for serial, stream in list(group.items()):
            if stream.closing_until is None:
                self._read(stream, now, DRAIN_RECV_BYTES)
                if stream.closing_until is None:
                    continue
            if self._closed(stream, now):
                stream.sock.close()
                del group[serial]

    def _read_all(self, streams: Iterable[Stream], now: float) -> None:
        """One bounded recv a stream. Whole usual frames, nearly all there is, are unmasked together."""
        room = self._room
        at = 0
        usual: list[tuple[Stream, int]] = []
        for stream in streams:
            if not stream.receiver.between or len(stream.receiver.audio) >= MAX_PENDING_BYTES:
                self._read(stream, now, RECV_BYTES)
            else:
                try:
                    size = stream.sock.recv_into(room[at : at + RECV_BYTES])
                except BlockingIOError:
                    self._missed(stream, now)
                except OSError:
                    self._end(stream, b"", now, "eof")
                else:
                    if size and not size % USUAL_SIZE:
                        usual.append((stream, size))
                        at += size
                        if at > ROOM_BYTES - RECV_BYTES:
                            self._take_usual(usual, room[:at], now)
                            usual, at = [], 0
                    else:
                        self._read_on(stream, bytes(room[at : at + size]), now)
            if stream.analysis is not None and now - stream.opened_at > stream.limit_s:
                self._end(stream, websocket.close_frame(websocket.POLICY, "no end of the analysis"), now, "overdue")
        if usual:
            self._take_usual(usual, room[:at], now)

    def _take_usual(self, usual: list[tuple[Stream, int]], data: memoryview, now: float) -> None:
        payloads, others = usual_payloads(data)
        sound = memoryview(payloads)
        at = frame = 0
        for stream, size in usual:
            after = frame + size // USUAL_SIZE
            if others and any(frame <= other < after for other in others):
                self._take(stream, bytes(data[at : at + size]))
            else:
                audio = stream.receiver.audio
                before = len(audio)
                audio += sound[frame * USUAL_PAYLOAD : after * USUAL_PAYLOAD]
                if stream.recording is not None:
                    self._record(stream, stream.recording, before)
                if stream.outgoing:
                    self._send(stream, b"")
            stream.heard_at = now
            at, frame = at + size, after

    def _read(self, stream: Stream, now: float, limit: int) -> None:
        """One bounded recv and what follows from it."""
        if len(stream.receiver.audio) >= MAX_PENDING_BYTES:
            return
        try:
            data = stream.sock.recv(limit)
        except BlockingIOError:
            self._missed(stream, now)
        except OSError:
            self._end(stream, b"", now, "eof")
        else:
            self._read_on(stream, data, now)

    def _missed(self, stream: Stream, now: float) -> None:
        """Nothing was there."""
        if now - stream.heard_at > IDLE_S:
            self._end(stream, websocket.close_frame(websocket.GOING_AWAY, "nothing heard"), now, "idle")

    def _read_on(self, stream: Stream, data: bytes, now: float) -> None:
        """Something was there, or the peer's end; who has more than usual is read once more."""
        if not data:
            self._end(stream, b"", now, "eof")
            return
        if len(data) == RECV_BYTES:
            with contextlib.suppress(OSError):  # none there, or an error that the next turn will meet
                data += stream.sock.recv(BACKLOG_BYTES)
        stream.heard_at = now
        self._take(stream, data)

    def _take(self, stream: Stream, data: bytes) -> None:
        receiver = stream.receiver
        before = len(receiver.audio)
        receiver.receive(data)
        if stream.recording is not None:
            self._record(stream, stream.recording, before)
        if receiver.texts:
            self._metadata(stream)
        if receiver.outgoing or stream.outgoing:
            outgoing, receiver.outgoing = receiver.outgoing, b""
            self._send(stream, outgoing)
        if receiver.close_code is not None and stream.closing_until is None:
            if receiver.fault:
                log.warning("amd_stream_fault", stream=stream.name, fault=receiver.fault, code=receiver.close_code)
            self._end(stream, b"", self._clock(), "fault" if receiver.fault else "closed")

    def _metadata(self, stream: Stream) -> None:
        """The first text message is the call's options; later ones (`uuid_audio_fork … send_text`) mean nothing."""
        text = stream.receiver.texts[0]
        stream.receiver.texts.clear()
        if not stream.waits_for_metadata or stream.analysis is None:
            return
        stream.waits_for_metadata = False
        try:
            options = decode_options(text)
        except WireError as error:
            self._counters.bad_metadata()
            log.warning("amd_bad_metadata", stream=stream.name, error=str(error), used="default options")
            options = AmdOptions()
        stream.analysis.choose(options)
        if options.listen:
            stream.limit_s = ANALYSIS_S + options.listen_max_ms / 1000
        stream.recording = self._keeper.begin(options)
        if stream.recording is not None:
            self._record(stream, stream.recording, CONTEXT_BYTES)

    def _record(self, stream: Stream, recording: Recording, start: int) -> None:
        """Keep what is in the stream's buffer from `start` on. Once there is no analysis nobody else consumes it."""
        audio = stream.receiver.audio
        recording.hear(audio[start:])
        if stream.analysis is None:
            audio.clear()
            if recording.full:
                self._save(stream)

    def _save(self, stream: Stream) -> None:
        """A stream's recording, if it has one, is as long as it gets."""
        recording, stream.recording = stream.recording, None
        stream.receiver.discard = stream.analysis is None
        if recording is not None:
            self._keeper.finish(recording)

    def _send(self, stream: Stream, frame: bytes) -> None:
        """Send without waiting; what the socket does not take goes out at a later turn."""
        if stream.closing_until is not None:
            return
        data = stream.outgoing + frame
        try:
            sent = stream.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(stream, b"", self._clock(), "eof")
            return
        stream.outgoing = data[sent:]
        if len(stream.outgoing) > MAX_OUTGOING_BYTES:
            self._end(stream, b"", self._clock(), "stuck")

    def _end(self, stream: Stream, close_frame: bytes, now: float, how: str) -> None:
        """The stream is over before, or after, its verdict."""
        if stream.analysis is not None:
            self._counters.ended(how)
            self._release(stream)
        self._close(stream, close_frame, now)

    def _close(self, stream: Stream, close_frame: bytes, now: float) -> None:
        """Say goodbye and shut our direction. Closing at once would reset the connection under the close frame."""
        self._save(stream)
        if close_frame:
            self._send(stream, close_frame)
        if stream.closing_until is None:
            stream.closing_until = now + CLOSING_S
            try:
                stream.sock.shutdown(socket.SHUT_WR)
            except OSError:
                stream.closing_until = now

    def _closed(self, stream: Stream, now: float) -> bool:
        """Read away what a closing peer still sends; True at its end or when it had time enough."""
        if stream.closing_until is None or now >= stream.closing_until:
            return True
        try:
            return not stream.sock.recv(DRAIN_RECV_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _release(self, stream: Stream) -> None:
        """Give the place in the batch back; audio is not looked at any more, but for a recording."""
        if stream.analysis is not None:
            stream.engine.close(stream.analysis)
            stream.analysis = None
        stream.receiver.audio.clear()
        if stream.recording is None or stream.recording.full:
            self._save(stream)

    def _retire(self, serial: int, stream: Stream) -> None:
        self._drained[(self._slot + serial) % DRAIN_GROUPS][serial] = stream
