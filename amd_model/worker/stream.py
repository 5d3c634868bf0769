"""One audio socket, from its upgrade to its close: what it sends is taken, what is said of it is told, its end is kept.

A `Stream` never waits and never raises: whatever its peer does wrong ends it alone, and is counted. When it is read,
and what is analysed when, is `amd_model.worker.sweep`'s business. Rules:

* One bounded `recv` a turn (two when it had more than usual): a flooding peer gets its share and no more, and is
  stopped by its own TCP window once `MAX_PENDING_BYTES` of its audio are waiting.
* A stream with its verdict is only drained, unread, until the switch closes it; one whose call asked for a
  recording is heard on until that is full.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from amd_model.verdict import AmdEvent, AmdOptions, Heard, WireError, encode_event, encode_heard, salvage_options
from amd_model.websocket import frames
from amd_model.websocket.frames import AudioReceiver
from amd_model.worker.batch import CONTEXT_BYTES, Analysis, BatchEngine
from amd_model.worker.keep import Keeper, Recording

RECV_BYTES = 4_096
"""Twice what a cycle usually brings."""
BACKLOG_BYTES = 16_384
DRAIN_RECV_BYTES = 65_536
MAX_PENDING_BYTES = 32_000
MAX_OUTGOING_BYTES = 16_384
IDLE_S = 30.0
"""Audio flows all the time, silence included; nothing for this long means that the other side is gone."""
MUTE_S = 5.0
"""It flows from the first moment on: a stream without any after so long is no tap."""
MUTE_YIELDS_S, QUIET_YIELDS_S = 1.0, 3.0
"""So long without any audio, or without more, and a stream's place may be given to another."""
ANALYSIS_S = 300.0
"""Longest wall time a stream may hold its place; the longest timeouts a call can ask for end before it.
One that listens on may hold it for as much longer as its options say."""
CLOSING_S = 1.0
"""How long we wait for the peer's end after our close frame."""

log = structlog.get_logger(__name__)


class Counters(Protocol):
    """What streams tell about themselves; see `amd_model.worker.metrics`."""

    def verdict(self, result: str) -> None: ...

    def ended(self, how: str) -> None: ...

    def bad_metadata(self) -> None: ...

    def compared(self, agree: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Around:
    """What all streams of one worker share."""

    counters: Counters
    clock: Callable[[], float]
    keeper: Keeper


class Stream:
    """One audio socket. `analysis` is None once the last event was sent (or the peer left)."""

    __slots__ = (
        "_around",
        "_limit_s",
        "_look_at",
        "_missed_at",
        "_opened_at",
        "_outgoing",
        "_waits_for_metadata",
        "analysis",
        "closing_until",
        "engine",
        "heard_at",
        "misses",
        "name",
        "receiver",
        "recording",
        "sock",
    )

    def __init__(self, name: str, sock: socket.socket, engine: BatchEngine, analysis: Analysis, around: Around) -> None:
        self._around = around
        self.name = name
        self.sock = sock
        self.engine = engine
        self.analysis: Analysis | None = analysis
        self.receiver = AudioReceiver(analysis.audio)
        self.recording: Recording | None = None
        self.misses = 0
        self.closing_until: float | None = None
        self.heard_at = self._opened_at = self._missed_at = around.clock()
        self._outgoing = b""
        self._limit_s = ANALYSIS_S
        self._look_at = self._opened_at + min(MUTE_S, self._limit_s)
        self._waits_for_metadata = True

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, now: float, limit: int) -> None:
        """One bounded recv and what follows from it."""
        if len(self.receiver.audio) >= MAX_PENDING_BYTES:
            return
        try:
            data = self.sock.recv(limit)
        except BlockingIOError:
            self.missed(now)
        except OSError:
            self.end(b"", now, "eof")
        else:
            self.read_on(data, now)

    def read_on(self, data: bytes, now: float) -> None:
        """Something was there, or the peer's end; who has more than usual is read once more."""
        if not data:
            self.end(b"", now, "eof")
            return
        if len(data) == RECV_BYTES:
            with contextlib.suppress(OSError):  # none there, or an error that the next turn will meet
                data += self.sock.recv(BACKLOG_BYTES)
        self.heard_at = now
        self.take(data)

    def missed(self, now: float) -> None:
        """Nothing was there."""
        self._missed_at = now
        if now - self.heard_at > IDLE_S:
            self.end(frames.close_frame(frames.GOING_AWAY, "nothing heard"), now, "idle")

    def watch(self, now: float) -> None:
        """End an analysis that never begins, or never ends."""
        if now < self._look_at or self.analysis is None:
            return
        age = now - self._opened_at
        if age >= self._limit_s:
            self.end(frames.close_frame(frames.POLICY, "no end of the analysis"), now, "overdue")
        elif self.mute and age >= MUTE_S:
            self.end(frames.close_frame(frames.POLICY, "no audio came"), now, "mute")
        else:
            self._look_at = self._opened_at + self._limit_s

    @property
    def mute(self) -> bool:
        """True while no audio has come."""
        return self.analysis is not None and not self.analysis.ticks and len(self.analysis.audio) <= CONTEXT_BYTES

    @property
    def yields(self) -> bool:
        """Whether a stream with something to say may have its place: it is over, or has said nothing for too long.

        What counts is when it was last listened to in vain: while nobody listened it may have spoken.
        """
        if self.analysis is None:
            return True
        if self.mute:
            return self._missed_at - self._opened_at >= MUTE_YIELDS_S
        return self._missed_at - self.heard_at >= QUIET_YIELDS_S

    def yield_place(self, now: float) -> None:
        """Leave for another stream."""
        self.end(frames.close_frame(frames.TRY_AGAIN, "others need the place"), now, "yielded")

    def take(self, data: bytes) -> None:
        """What came, in any pieces."""
        receiver = self.receiver
        before = len(receiver.audio)
        receiver.receive(data)
        if self.recording is not None:
            self._record(self.recording, before)
        if receiver.texts:
            self._metadata()
        if receiver.outgoing or self._outgoing:
            outgoing, receiver.outgoing = receiver.outgoing, b""
            self.send(outgoing)
        if receiver.close_code is not None and self.closing_until is None:
            if receiver.fault:
                log.warning("amd_stream_fault", stream=self.name, fault=receiver.fault, code=receiver.close_code)
            self.end(b"", self._around.clock(), "fault" if receiver.fault else "closed")

    def take_sound(self, sound: memoryview) -> None:
        """The payload of whole usual frames, which somebody else has unmasked."""
        audio = self.receiver.audio
        before = len(audio)
        audio += sound
        if self.recording is not None:
            self._record(self.recording, before)
        if self._outgoing:
            self.send(b"")

    def _metadata(self) -> None:
        """The first text message is the call's options; later ones (`uuid_audio_fork … send_text`) mean nothing."""
        text = self.receiver.texts[0]
        self.receiver.texts.clear()
        if not self._waits_for_metadata or self.analysis is None:
            return
        self._waits_for_metadata = False
        try:
            options, faults = salvage_options(text)
        except WireError as error:
            options, faults = AmdOptions(), [str(error)]
        if faults:
            self._around.counters.bad_metadata()
            log.warning("amd_bad_metadata", stream=self.name, error="; ".join(faults), used=str(options))
        self.analysis.choose(options)
        if options.listen:
            self._limit_s = ANALYSIS_S + options.listen_max_ms / 1000
        self.recording = self._around.keeper.begin(options)
        if self.recording is not None:
            self._record(self.recording, CONTEXT_BYTES)

    # --- the recording -------------------------------------------------------------------------------------------

    def _record(self, recording: Recording, start: int) -> None:
        """Keep what is in the buffer from `start` on. Once there is no analysis nobody else consumes it."""
        audio = self.receiver.audio
        recording.hear(audio[start:])
        if self.analysis is None:
            audio.clear()
            if recording.full:
                self._save()

    def _save(self) -> None:
        """The recording, if there is one, is as long as it gets."""
        recording, self.recording = self.recording, None
        self.receiver.discard = self.analysis is None
        if recording is not None:
            self._around.keeper.finish(recording)

    # --- telling -------------------------------------------------------------------------------------------------

    def tell(self, event: AmdEvent | Heard) -> None:
        """What the detector says of it, to its switch, its recording and the counters."""
        if isinstance(event, Heard):
            self.send(frames.text_frame(encode_heard(event)))
            return
        if self.recording is not None:
            self.recording.told(event)
        self.send(frames.text_frame(encode_event(event)))
        if event.result is not None:
            self._around.counters.verdict(event.result.value)

    def send(self, frame: bytes) -> None:
        """Send without waiting; what the socket does not take goes out at a later turn."""
        if self.closing_until is not None:
            return
        data = self._outgoing + frame
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.end(b"", self._around.clock(), "eof")
            return
        self._outgoing = data[sent:]
        if len(self._outgoing) > MAX_OUTGOING_BYTES:
            self.end(b"", self._around.clock(), "stuck")

    # --- its end -------------------------------------------------------------------------------------------------

    def end(self, close_frame: bytes, now: float, how: str) -> None:
        """It is over before, or after, its verdict."""
        if self.analysis is not None:
            self._around.counters.ended(how)
            self.release()
        self.close(close_frame, now)

    def close(self, close_frame: bytes, now: float) -> None:
        """Say goodbye and shut our direction. Closing at once would reset the connection under the close frame."""
        self._save()
        if close_frame:
            self.send(close_frame)
        if self.closing_until is None:
            self.closing_until = now + CLOSING_S
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.closing_until = now

    def closed(self, now: float) -> bool:
        """Read away what a closing peer still sends; True at its end or when it had time enough."""
        if self.closing_until is None or now >= self.closing_until:
            return True
        try:
            return not self.sock.recv(DRAIN_RECV_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def release(self) -> None:
        """Give the place in the batch back; audio is not looked at any more, but for a recording."""
        if self.analysis is not None:
            self.engine.close(self.analysis)
            self.analysis = None
        self.receiver.audio.clear()
        if self.recording is None or self.recording.full:
            self._save()

    def abandon(self) -> None:
        """Close the socket at once, without ceremony."""
        self.release()
        self._save()
        self.sock.close()
