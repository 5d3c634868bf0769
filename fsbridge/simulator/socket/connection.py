"""One connection to the simulated node's event socket: it speaks FreeSWITCH's protocol over TCP.

It has a reader and a writer task. Commands of one connection are answered in order, one after the other
(`api originate` blocks its connection, as in FreeSWITCH); events are interleaved, never ahead of the reply to the
command that caused them. A listener's queue is bounded: past it events are lost, and a listener that lost more than
500 is cut off, as FreeSWITCH does.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import deque

import gevent
import gevent.socket
import structlog
from gevent.event import Event as Wakeup

from fsbridge.simulator.protocol import wire
from fsbridge.simulator.protocol.events import Event, Subscription
from fsbridge.simulator.switch.execution import Message
from fsbridge.simulator.switch.node import Node

AUTH_SECONDS = 30.0
SEND_SECONDS = 30.0
MAX_LOST = 500
MAX_BACKLOG = 1000
_BATCH = 200
_JOB_DELAY = 0.001

log = structlog.get_logger(__name__)


class Connection:
    """One controller's connection, before and after it has authenticated."""

    def __init__(self, node: Node, sock: gevent.socket.socket) -> None:
        self._node = node
        self._socket = sock
        self._reader = wire.CommandReader()
        self._authenticated = False
        self._backlog: deque[wire.Command] = deque()
        self._busy = False
        self._out: deque[bytes] = deque()
        self._withheld: list[bytes] | None = None
        self._wakeup = Wakeup()
        self._closing = False
        self._cut = False
        self._lost = 0
        self.subscription = Subscription()

    # Listener

    def deliver(self, event: Event) -> None:
        if len(self._out) + len(self._withheld or ()) >= self._node.settings.listener_queue:
            self._lost += 1
            if self._lost > MAX_LOST:
                log.warning("simulator_listener_too_slow", lost=self._lost)
                self.cut()
            return
        self._send(event.encode(self.subscription.format))

    def cut(self) -> None:
        self._cut = True
        self._end(gevent.socket.SHUT_RDWR)

    def close_after_queue(self) -> None:
        self._closing = True
        self._end(gevent.socket.SHUT_RD)

    def _end(self, how: int) -> None:
        self._node.listeners.discard(self)
        self._wakeup.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(how)

    def _send(self, data: bytes) -> None:
        if self._withheld is not None:
            self._withheld.append(data)
            return
        self._out.append(data)
        self._wakeup.set()

    def _withhold(self, seconds: float) -> None:
        """Say nothing for so long, as a connection whose command does not come to its end; commands wait."""
        self._withheld = []
        self._node.scheduler.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        withheld, self._withheld = self._withheld or [], None
        for data in withheld:
            self._send(data)
        self._work()

    # Tasks

    def read(self) -> None:
        """Read commands until the end; the body of the reader task."""
        node = self._node
        self._socket.settimeout(AUTH_SECONDS)
        self._send(wire.AUTH_REQUEST)
        try:
            while not (self._closing or self._cut):
                data = self._socket.recv(65_536)
                if not data:
                    break
                for command in self._reader.receive_data(data):
                    self._take(command)
                if self._authenticated:
                    self._socket.settimeout(None)
        except (OSError, wire.CommandTooLong) as error:
            if not (self._closing or self._cut):
                log.info("simulator_connection_ended", reason=str(error))
        finally:
            node.listeners.discard(self)
            self._closing = True
            self._wakeup.set()

    def write(self) -> None:
        """Send what is queued until the connection ends; the body of the writer task. It closes the socket."""
        try:
            while not self._cut:
                if not self._out:
                    if self._closing:
                        break
                    self._wakeup.clear()
                    self._wakeup.wait()
                    continue
                chunk = b"".join([self._out.popleft() for _ in range(min(len(self._out), _BATCH))])
                self._transmit(chunk)
        except OSError as error:
            if not self._cut:
                log.info("simulator_write_ended", reason=str(error))
        finally:
            self.cut()
            self._socket.close()

    def _transmit(self, data: bytes) -> None:
        size = self._node.faults.split_bytes or len(data)
        with gevent.Timeout(SEND_SECONDS, TimeoutError("the listener takes nothing")):
            for start in range(0, len(data), size):
                self._socket.sendall(data[start : start + size])

    # Commands

    def _take(self, command: wire.Command) -> None:
        if len(self._backlog) >= MAX_BACKLOG:
            log.warning("simulator_too_many_commands")
            self.cut()
            return
        self._backlog.append(command)
        self._node.scheduler.perform(self._work)

    def _work(self) -> None:
        while self._backlog and not self._busy and not self._closing and self._withheld is None:
            command = self._backlog.popleft()
            if self._node.faults.swallows(command.line):
                continue
            lateness = self._node.faults.lateness(command.line)
            if lateness:
                self._withhold(lateness)
            self._node.hold()
            try:
                self._handle(command)
            finally:
                self._node.release()

    def _handle(self, command: wire.Command) -> None:
        if not self._authenticated:
            self._authenticate(command)
            return
        match command.verb:
            case "api":
                self._api(command.argument)
            case "bgapi":
                self._bgapi(command)
            case "sendmsg":
                self._sendmsg(command)
            case "event":
                known = self.subscription.subscribe(command.argument)
                form = self.subscription.format.value
                self._reply(f"+OK event listener enabled {form}" if known else "-ERR no keywords supplied")
            case "nixevent":
                self.subscription.unsubscribe(command.argument)
                self._reply("+OK events nixed")
            case "noevents":
                self.subscription.clear()
                self._reply("+OK no longer listening for events")
            case "filter":
                self._filter(command.argument)
            case "linger" | "nolinger" | "log" | "nolog" | "divert_events":
                self._reply("+OK")
            case "exit":
                self._reply("+OK bye")
                self._send(wire.DISCONNECT_NOTICE)
                self._closing = True
                self._node.listeners.discard(self)
            case _:
                self._reply("-ERR command not found")

    def _reply(self, text: str, **headers: str) -> None:
        self._send(wire.command_reply(text, **headers))

    def _authenticate(self, command: wire.Command) -> None:
        if command.verb == "auth" and command.argument == self._node.settings.password:
            self._authenticated = True
            self._node.listeners.add(self)
            self._reply("+OK accepted")
            return
        self._reply("-ERR invalid" if command.verb == "auth" else "-ERR command not found")
        if command.verb == "auth":
            self._send(wire.DISCONNECT_NOTICE)
            self._closing = True

    def _filter(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        if name.lower() == "delete":
            name, _, value = value.partition(" ")
            self.subscription.remove_filter(name, value)
            self._reply(f"+OK filter deleted. [{name}][{value}]")
        elif not name or not value:
            self._reply("-ERR invalid syntax")
        else:
            self.subscription.filters.append((name, value))
            self._reply(f"+OK filter added. [{name}]=[{value}]")

    def _api(self, line: str) -> None:
        self._busy = True

        def answer(output: str) -> None:
            self._busy = False
            self._send(wire.api_response(output or "-ERR no reply\n"))
            if self._backlog:
                self._node.scheduler.call_later(0.0, self._work)

        self._node.run_api(line, answer)

    def _bgapi(self, command: wire.Command) -> None:
        node = self._node
        job = command.headers.get("job-uuid") or str(uuid.uuid4())
        name, _, argument = command.argument.partition(" ")
        if not name:
            self._reply("-ERR command not found")
            return
        self._reply(f"+OK Job-UUID: {job}", Job_UUID=job)

        def report(output: str) -> None:
            described = [("Job-UUID", job), ("Job-Command", name)]
            if argument:
                described.append(("Job-Command-Arg", argument))
            node.fire("BACKGROUND_JOB", described, body=output)

        line = command.argument
        node.scheduler.call_later(_JOB_DELAY, lambda: node.run_api(line, report))

    def _sendmsg(self, command: wire.Command) -> None:
        channel_uuid = command.argument
        channel = self._node.live(channel_uuid)
        if channel is None:
            self._reply(f"-ERR invalid session id [{channel_uuid}]")
            return
        headers = command.headers
        what = headers.get("call-command", "").lower()
        if what == "hangup":
            self._node.run_api(f"uuid_kill {channel_uuid} {headers.get('hangup-cause', '')}".strip())
        elif what == "execute" and headers.get("execute-app-name"):
            argument = headers.get("execute-app-arg", "") or command.body
            identity = headers.get("event-uuid") or str(uuid.uuid4())
            shown = [("Command", command.line), ("call-command", "execute")]
            shown += [("execute-app-name", headers["execute-app-name"]), ("execute-app-arg", argument)]
            shown += [("Event-UUID", identity)]
            message = Message(headers["execute-app-name"], argument, identity, tuple(shown))
            if not channel.execution.send(message):
                self._reply("-ERR memory error")
                return
        else:
            self._reply("-ERR invalid command")
            return
        self._reply("+OK")
