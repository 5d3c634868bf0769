"""mod_audio_fork's side of the audio WebSocket: connects, streams what the far end says, hands on what comes back.

As measured on the real module (tests/traces/fork_*.jsonl): sub-protocol ``audio.drachtio.org``, a Host header without
the port, the metadata as first text frame, then binary frames of 320 bytes each 20 ms, longer ones after a lag;
2 s of uncollected audio are dropped and told once; no reconnect, no ping; close code 1000 at hang-up. The server's
``{"type":"transcription","data":…}`` and ``{"type":"json",…}`` become CUSTOM events on the channel.

One pacing callback (`pacer`) serves all taps; nothing in it waits: a socket that takes no more is asked again at
the next tick.
"""

from __future__ import annotations

import errno
from typing import Protocol

import gevent
import gevent.socket
import numpy as np
import orjson
import structlog
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from fsbridge.simulator.audio.lines import FRAME_SAMPLES, RATE
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.parts import TapRequest

SUBPROTOCOL = "audio.drachtio.org"
BUFFER_SAMPLES = 2 * RATE
CONNECT_SECONDS = 10.0
UPGRADE_SECONDS = 25.0
"""A server that never answers the upgrade: the real module says nothing for at least this long, and neither do we."""
CLOSE_SECONDS = 2.0
MAX_TEXT_BYTES = 65_536

log = structlog.get_logger(__name__)


class Pacer(Protocol):
    """Calls `tick` of the taps that it was given."""

    def add(self, tap: AudioTap) -> None: ...

    def remove(self, tap: AudioTap) -> None: ...


class AudioTap:
    """One fork of one channel."""

    def __init__(self, pacer: Pacer, channel: Channel, request: TapRequest) -> None:
        self._pacer = pacer
        self._channel = channel
        self._request = request
        self._position = channel.sample() // FRAME_SAMPLES * FRAME_SAMPLES
        self._protocol: ClientProtocol | None = None
        self._socket: gevent.socket.socket | None = None
        self._out = b""
        self._paused = False
        self._stopping = False
        self._overrun = False
        self.connected = False

    # Commands

    def send_text(self, text: str) -> bool:
        if not self.connected or self._protocol is None:
            return False
        self._protocol.send_text(text.encode("utf-8", "surrogateescape"))
        self._flush()
        return True

    def pause(self, paused: bool) -> None:
        self._paused = paused

    def stop(self, text: str) -> None:
        self._stopping = True
        if self.connected and self._protocol is not None:
            self.tick()
            if text:
                self._protocol.send_text(text.encode("utf-8", "surrogateescape"))
            self._close(1000)
        self._pacer.remove(self)

    # Audio

    def tick(self) -> None:
        """Send what has been heard since the last frame, if the socket takes it."""
        now = self._channel.sample() // FRAME_SAMPLES * FRAME_SAMPLES
        behind = now - self._position
        if behind <= 0:
            return
        if self._paused:
            self._position = now
            return
        if self._out:
            self._flush()
            if self._out:
                if behind > BUFFER_SAMPLES:
                    self._position = now
                    self._tell_overrun()
                return
        if behind > BUFFER_SAMPLES:
            self._position = now - BUFFER_SAMPLES
            behind = BUFFER_SAMPLES
            self._tell_overrun()
        frame = self._audio(self._position, behind)
        self._position = now
        if frame and self._protocol is not None and self._protocol.state is State.OPEN:
            self._protocol.send_binary(frame)
            self._flush()

    def _audio(self, start: int, count: int) -> bytes:
        channel, mix = self._channel, self._request.mix
        pcm = channel.heard.read(start, count)
        if mix == "mono" and self._request.rate == RATE:
            return pcm
        heard = np.frombuffer(pcm, "<i2")
        if mix != "mono":
            # The real module sends nothing in these modes while the leg plays nothing.
            if not channel.said.playing_at(start):
                return b""
            said = np.frombuffer(channel.said.read(start, count), "<i2")
            if mix == "mixed":
                heard = (heard.astype(np.int32) + said).clip(-32768, 32767).astype("<i2")
        factor = self._request.rate // RATE
        if factor > 1:
            heard = _stretch(heard, factor)
        if mix == "stereo":
            heard = np.column_stack([heard, _stretch(said, factor) if factor > 1 else said])
        return heard.tobytes()

    def _tell_overrun(self) -> None:
        if not self._overrun:
            self._overrun = True
            self._tell("buffer_overrun")

    # The connection

    def run(self) -> None:
        """Connect, then read until the end: the body of this tap's task."""
        try:
            uri = parse_uri(self._request.url)
        except InvalidURI:
            self._failed("Unable to connect")
            return
        try:
            with gevent.Timeout(CONNECT_SECONDS, TimeoutError("nobody answers")):
                if uri.secure:
                    gevent.socket.getaddrinfo(uri.host, uri.port)
                    self._failed("the simulator speaks ws:// only")
                    return
                self._socket = gevent.socket.create_connection((uri.host, uri.port))
        except gevent.socket.gaierror:
            # Nothing at all is told of a host that is not found (tests/traces/flows bot_host_unresolvable).
            return
        except OSError:
            self._failed("Unable to connect")
            return
        try:
            self._protocol = ClientProtocol(uri, subprotocols=[SUBPROTOCOL], max_size=MAX_TEXT_BYTES)  # type: ignore[list-item]
            self._socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if self._upgrade(uri.host):
                self._read()
        finally:
            self.connected = False
            self._pacer.remove(self)
            self._socket.close()

    def _upgrade(self, host: str) -> bool:
        protocol, sock = self._protocol, self._socket
        assert protocol is not None
        assert sock is not None
        request = protocol.connect()
        del request.headers["Host"]
        request.headers["Host"] = host
        protocol.send_request(request)
        sock.settimeout(UPGRADE_SECONDS)
        try:
            sock.sendall(b"".join(protocol.data_to_send()))
            while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
                data = sock.recv(65_536)
                if data:
                    protocol.receive_data(data)
                else:
                    protocol.receive_eof()
        except TimeoutError:
            return False
        except OSError:
            self._failed("Unable to connect")
            return False
        if protocol.handshake_exc is not None:
            self._failed("HS: ws upgrade response not 101")
            return False
        sock.settimeout(0.0)
        self.connected = True
        if self._stopping:
            self._close(1000)
            return True
        if self._request.metadata:
            protocol.send_text(self._request.metadata.encode("utf-8", "surrogateescape"))
            self._flush()
        self._tell("connect")
        self._pacer.add(self)
        return True

    def _read(self) -> None:
        protocol, sock = self._protocol, self._socket
        assert protocol is not None
        assert sock is not None
        open_end = True
        while open_end:
            try:
                self._handle(protocol)
                gevent.socket.wait_read(sock.fileno(), timeout=CLOSE_SECONDS if self._stopping else None)
                data = sock.recv(65_536)
            except BlockingIOError:
                continue
            except (TimeoutError, OSError):
                data = b""
            if data:
                protocol.receive_data(data)
            else:
                protocol.receive_eof()
            open_end = bool(data) and protocol.state is not State.CLOSED
            self._handle(protocol)
        self.connected = False
        if not self._stopping:
            self._tell("disconnect")

    def _handle(self, protocol: ClientProtocol) -> None:
        for event in protocol.events_received():
            if getattr(event, "opcode", None) is Opcode.TEXT:
                self._server_said(bytes(event.data))  # type: ignore[union-attr]
        self._flush()

    def _server_said(self, text: bytes) -> None:
        try:
            message = orjson.loads(text)
            kind = message["type"]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            log.warning("simulator_tap_unreadable_text", channel=self._channel.uuid)
            return
        if kind == "transcription":
            self._tell("transcription", orjson.dumps(message.get("data")).decode())
        elif kind == "json":
            self._tell("json", text.decode("utf-8", "replace"))
        elif kind == "error":
            self._tell("error", orjson.dumps(message.get("data")).decode())
        elif kind == "disconnect":
            self._close(1000)

    def _close(self, code: int) -> None:
        protocol = self._protocol
        if protocol is not None and protocol.state is State.OPEN:
            protocol.send_close(code)
            self._flush()

    def _flush(self) -> None:
        """Give the socket what it takes now."""
        protocol, sock = self._protocol, self._socket
        if protocol is None or sock is None:
            return
        data = protocol.data_to_send()
        self._out = b"".join([self._out, *data]) if self._out or len(data) > 1 else (data[0] if data else b"")
        while self._out:
            try:
                sent = sock.send(self._out)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                    # The reader sees the same end and tells it.
                    self._out = b""
                return
            self._out = self._out[sent:]

    def _failed(self, reason: str) -> None:
        self._tell("connect_failed", orjson.dumps({"reason": reason}).decode())

    def _tell(self, what: str, body: str | None = None) -> None:
        """A CUSTOM event of the module on this channel, at its place in simulated time."""
        channel = self._channel
        if not self._stopping or what == "disconnect":
            channel.node.scheduler.perform(
                lambda: (
                    None if channel.destroyed else channel.fire("CUSTOM", subclass=f"mod_audio_fork::{what}", body=body)
                )
            )


def _stretch(
    samples: np.ndarray[tuple[int, ...], np.dtype[np.int16]], factor: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Samples at `factor` times the rate, by linear interpolation."""
    count = len(samples)
    return np.interp(np.arange(count * factor) / factor, np.arange(count), samples).astype("<i2")
