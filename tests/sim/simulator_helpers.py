"""What the simulator's tests share: a clock that moves when told, a plain event-socket client, an audio server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

import gevent
import gevent.socket
from gevent.event import Event
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from fsbridge.simulator import FarEndBook, Simulator, SimulatorSettings, parse_script
from fsbridge.supervise import Supervisor

DEADLINE = 5.0


def wait_until(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """Wait for a condition, failing after a deadline of real time."""
    with gevent.Timeout(seconds, AssertionError("waited in vain")):
        while not condition():
            gevent.sleep(0.001)


class ManualClock:
    """Time that moves only by `advance`."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        return 1_800_000_000.0 + self._now

    def advance_to(self, moment: float) -> None:
        self._now = max(self._now, moment)


class Frame:
    """One frame from the event socket: outer headers, the event's own headers if it is one, and the body."""

    def __init__(self, raw: bytes) -> None:
        head, _, rest = raw.partition(b"\n\n")
        self.raw = raw
        self.outer = dict(line.split(": ", 1) for line in head.decode().split("\n") if ": " in line)
        self.event: dict[str, str] = {}
        self.body = rest.decode("utf-8", "surrogateescape")
        kind = self.outer.get("Content-Type")
        if kind == "text/event-plain":
            own, _, self.body = self.body.partition("\n\n")
            for line in own.split("\n"):
                name, _, value = line.partition(": ")
                self.event[name] = unquote(value)
        elif kind == "text/event-json":
            self.event = json.loads(self.body)
            self.body = self.event.pop("_body", "")

    @property
    def name(self) -> str:
        return self.event.get("Event-Subclass") or self.event.get("Event-Name", "")


class Client:
    """A controller as simple as can be: commands answered in order, events kept in a list."""

    def __init__(self, port: int, supervisor: Supervisor) -> None:
        self.socket = gevent.socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.frames: list[Frame] = []
        self.replies: list[Frame] = []
        self.events: list[Frame] = []
        self.ended = False
        supervisor.spawn("test.client", self._read)

    def _read(self) -> None:
        buffer = b""
        self.socket.settimeout(None)
        try:
            while data := self.socket.recv(65_536):
                buffer += data
                while (end := buffer.find(b"\n\n")) >= 0:
                    length = 0
                    for line in buffer[:end].split(b"\n"):
                        if line.startswith(b"Content-Length: "):
                            length = int(line[16:])
                    if len(buffer) < end + 2 + length:
                        break
                    frame = Frame(buffer[: end + 2 + length])
                    buffer = buffer[end + 2 + length :]
                    self.frames.append(frame)
                    (self.events if frame.event else self.replies).append(frame)
        except OSError:
            pass
        finally:
            self.ended = True
            self.socket.close()

    def send(self, raw: str) -> None:
        self.socket.sendall(raw.encode())

    def command(self, raw: str) -> Frame:
        """Send one command (without its empty line) and wait for its reply."""
        count = len(self.replies)
        self.send(raw + "\n\n")
        wait_until(lambda: len(self.replies) > count)
        return self.replies[count]

    def api(self, line: str) -> str:
        return self.command(f"api {line}").body

    def login(self, *subscriptions: str) -> Client:
        wait_until(lambda: self.replies)
        assert self.command("auth ClueCon").outer["Reply-Text"] == "+OK accepted"
        for subscription in subscriptions:
            self.command(f"event {subscription}")
        return self

    def wait_event(self, name: str, count: int = 1, **headers: str) -> Frame:
        """The `count`-th event of this name (or subclass) whose headers (dashes as underscores) have these values."""

        def found() -> list[Frame]:
            return [
                frame
                for frame in self.events
                if frame.name == name and all(frame.event.get(key.replace("_", "-")) == v for key, v in headers.items())
            ]

        wait_until(lambda: len(found()) >= count)
        return found()[count - 1]

    def names(self, channel_uuid: str) -> list[str]:
        return [frame.name for frame in self.events if frame.event.get("Unique-ID") == channel_uuid]

    def close(self) -> None:
        self.socket.close()


@dataclass
class Heard:
    """What one audio connection brought."""

    request: Request
    texts: list[str] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    close_code: int | None = None
    ended: bool = False

    @property
    def pcm(self) -> bytes:
        return b"".join(self.frames)


class AudioServer:
    """A WebSocket server that takes audio down. `on_open(send, close)` is called when a connection is up."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.heard: list[Heard] = []
        self.say: list[str] = []
        """Text frames sent to each connection as soon as it is up."""
        self.close_after_bytes = 0
        self.refuse = False
        self._last: tuple[ServerProtocol, gevent.socket.socket] | None = None
        self.stalled = Event()
        self.stalled.set()
        """While cleared, nothing is read."""
        self._socket = gevent.socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(64)
        self.port = self._socket.getsockname()[1]
        supervisor.spawn("test.audio", self._accept)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/tap"

    def close(self) -> None:
        self._socket.close()

    def push(self, text: str) -> None:
        """Send a text frame on the connection that came last."""
        assert self._last is not None
        protocol, sock = self._last
        protocol.send_text(text.encode())
        for out in protocol.data_to_send():
            sock.sendall(out)

    def _accept(self) -> None:
        try:
            self._accept_all()
        except OSError:
            pass
        finally:
            self._socket.close()

    def _accept_all(self) -> None:
        while True:
            sock, _ = self._socket.accept()
            self.supervisor.spawn("test.audio.connection", self._serve, sock)

    def _serve(self, sock: gevent.socket.socket) -> None:
        protocol = ServerProtocol(subprotocols=["audio.drachtio.org"])  # type: ignore[list-item]
        sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_RCVBUF, 8192)
        record: Heard | None = None
        try:
            while True:
                self.stalled.wait()
                data = sock.recv(65_536)
                protocol.receive_data(data) if data else protocol.receive_eof()
                for event in protocol.events_received():
                    if isinstance(event, Request):
                        response = protocol.reject(403, "no") if self.refuse else protocol.accept(event)
                        protocol.send_response(response)
                        if not self.refuse:
                            record = Heard(event)
                            self.heard.append(record)
                            self._last = (protocol, sock)
                            for text in self.say:
                                protocol.send_text(text.encode())
                    elif record is not None and event.opcode is Opcode.TEXT:
                        record.texts.append(bytes(event.data).decode())
                    elif record is not None and event.opcode is Opcode.BINARY:
                        record.frames.append(bytes(event.data))
                        if 0 < self.close_after_bytes <= len(record.pcm) and protocol.state is State.OPEN:
                            protocol.send_close(1000)
                for out in protocol.data_to_send():
                    if out:
                        sock.sendall(out)
                    else:
                        sock.shutdown(gevent.socket.SHUT_WR)
                if protocol.state is State.CLOSED or not data:
                    break
        except OSError:
            pass
        finally:
            if record is not None:
                record.close_code = protocol.close_rcvd.code if protocol.close_rcvd else None
                record.ended = True
            sock.close()


LOOP = FarEndBook(
    tuple(
        parse_script(name, match, steps)
        for name, match, steps in (
            # The far ends of the recordings: see tests/traces/README.md.
            ("486", "*486", ["busy"]),
            ("603", "*603", [{"reject": 603}]),
            ("404", "*404", [{"reject": 404}]),
            ("503", "*503", [{"reject": 503}]),
            ("999", "*999", [{"ring": 0}, "never_answer"]),
            ("183", "*183", ["early_media", {"silence": 12}, "answer"]),
            ("111", "*111", ["answer", {"silence": 1}, "hangup"]),
            ("329", "*329", [{"ring": 0.3}, "answer", {"fax": 3}, {"silence": 60}]),
            ("dtmf", "dtmf-4711", ["answer", {"silence": 1}, {"dtmf": "4711"}, {"wait_dtmf": {"digits": 1}}, "hangup"]),
            ("hello", "play-hello", [{"ring": 0.3}, "answer", {"play": "person-hello.flac"}]),
            ("12#", "*1212", [{"ring": 0.2}, "answer", {"listen": {"quiet": 0.5}}, {"dtmf": "12#"}]),
            ("any", "*", [{"ring": 0.2}, "answer"]),
        )
    )
)


@contextmanager
def simulated(settings: SimulatorSettings, clock: object) -> Iterator[tuple[Simulator, Supervisor]]:
    """A running simulator with the supervisor that owns its tasks and the test's."""
    supervisor = Supervisor()
    simulator = Simulator(settings, supervisor, clock)  # type: ignore[arg-type]
    simulator.start()
    try:
        yield simulator, supervisor
    finally:
        simulator.stop()
        supervisor.stop()
        assert supervisor.failures == {}


class Bench:
    """A simulator on a clock that the test moves, and a controller that hears everything."""

    def __init__(self, simulator: Simulator, supervisor: Supervisor, clock: ManualClock) -> None:
        self.simulator = simulator
        self.supervisor = supervisor
        self.clock = clock
        self.client = Client(simulator.port, supervisor).login("plain ALL")

    def advance(self, seconds: float, step: float = 0.1) -> None:
        """Let simulated time pass; everything due has happened and reached the client's socket when it returns."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end - 1e-9:
            self.clock.advance_to(min(self.clock.monotonic() + step, end))
            self.simulator.node.scheduler.perform(lambda: None)
            # Sockets get their turn between the steps, as they would in the time that passes.
            gevent.sleep(0.0002)
        if not self.client.ended:
            # Its reply comes after every event that was sent before it.
            self.client.command("nolog")

    def originate(
        self, target: str, uuid: str, variables: str = "", *, gateway: str = "carrier", application: str = "&park()"
    ) -> str:
        """Place a call; returns its job's id."""
        job = f"job-of-{uuid}"
        more = f",{variables}" if variables else ""
        self.client.command(
            f"bgapi originate {{origination_uuid={uuid},ignore_early_media=true,originate_timeout=30{more}}}"
            f"sofia/gateway/{gateway}/{target} {application}\nJob-UUID: {job}"
        )
        return job

    def answered(self, target: str, uuid: str, variables: str = "") -> None:
        """Place a call and wait until it is parked."""
        self.originate(target, uuid, variables)
        self.advance(2.5)
        self.client.wait_event("CHANNEL_PARK", Unique_ID=uuid)

    def result(self, uuid: str) -> str:
        return self.client.wait_event("BACKGROUND_JOB", Job_UUID=f"job-of-{uuid}").body

    def execute(self, uuid: str, application: str, argument: str, identity: str) -> str:
        """Send an execute and return the reply."""
        return self.client.command(
            f"sendmsg {uuid}\ncall-command: execute\nexecute-app-name: {application}\n"
            f"execute-app-arg: {argument}\nEvent-UUID: {identity}"
        ).outer["Reply-Text"]


@contextmanager
def bench(**settings: object) -> Iterator[Bench]:
    """A `Bench` with these settings."""
    clock = ManualClock()
    with simulated(SimulatorSettings(**settings), clock) as (simulator, supervisor):  # type: ignore[arg-type]
        yield Bench(simulator, supervisor, clock)
