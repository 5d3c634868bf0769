"""The event-socket client: greenswitch's InboundESL with our own receive loop over the sans-I/O session. Shell.

What the subclass replaces, and why: greenswitch decodes before it splits, waits for replies without a deadline,
leaves callers hanging on a lost connection, writes without a lock and hands every event to one greenlet.

* One greenlet reads; it settles replies and hands events to `on_event`, which must not block.
* Writes happen under one lock and a deadline; a write that fails half-way ends the connection.
* A lost connection fails every pending command and job at once, with EslConnectionLost.
* The reader yields by a time budget: on a busy socket `recv` never blocks, and the hub would starve.
"""

from __future__ import annotations

import contextlib
import errno
import socket as plain_socket
import time
from collections.abc import Callable

import gevent
import structlog
from gevent import socket
from gevent.event import AsyncResult
from gevent.event import Event as Flag
from gevent.lock import BoundedSemaphore
from greenswitch import InboundESL

from fsbridge.esl.commands import Api, Auth, BgApi, Command, Execute, Exit
from fsbridge.esl.errors import (
    CommandFailed,
    CommandTimeout,
    EslAuthRejected,
    EslConnectionLost,
    EslError,
)
from fsbridge.esl.events import AuthRequest, Disconnect, Event, RudeRejection
from fsbridge.esl.session import EslSession, JobResult, Ticket
from fsbridge.ids import ActionId, ChannelUuid, JobUuid
from fsbridge.supervise import Supervisor

log = structlog.get_logger(__name__)

READ_BYTES = 65_536
READ_BUDGET_S = 0.005
"""How long the reader may run without letting others: FreeSWITCH drops a listener that lags, so no longer pause."""
READ_PAUSE_S = 0.0001

KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class EslClient(InboundESL):  # type: ignore[misc]
    """One connection to one FreeSWITCH. `connect` once; after `lost` is set the object is done with.

    Every command takes its deadline in seconds and raises EslConnectionLost, CommandTimeout or CommandFailed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        password: str,
        supervisor: Supervisor,
        on_event: Callable[[Event], None] | None = None,
        connect_timeout_s: float = 5.0,
        command_timeout_s: float = 5.0,
    ) -> None:
        super().__init__(host, port, password, timeout=connect_timeout_s)
        self.lost = Flag()
        self.lost_because: EslError | None = None
        self._supervisor = supervisor
        self._on_event = on_event
        self._command_timeout_s = command_timeout_s
        self._session = EslSession()
        self._write_lock = BoundedSemaphore()
        self._greeted = Flag()

    def connect(self) -> None:
        """Open the socket and log in, both within the connect timeout.

        Raises EslConnectionLost (nobody there, silent peer), EslAuthRejected (password, ACL).
        """
        where = f"{self.host}:{self.port}"
        try:
            self.sock = socket.create_connection((self.host, self.port), timeout=self.timeout)
        except OSError as error:
            raise EslConnectionLost(f"no event socket at {where}: {_why(error)}") from error
        self.sock.settimeout(None)
        _keep_alive(self.sock)
        self.connected = True
        self._supervisor.spawn(f"esl.reader {where}", self.receive_events)
        if not self._greeted.wait(self.timeout):
            self._lose(EslConnectionLost(f"{where} accepted the connection but sent no greeting: no event socket?"))
        if self.lost_because is not None:
            raise self.lost_because
        self.authenticate()

    def authenticate(self) -> None:
        """Send the password. Raises EslAuthRejected."""
        try:
            self.command(Auth(self.password), self.timeout)
        except CommandFailed as error:
            rejected = EslAuthRejected(f"{self.host}:{self.port} refused the event-socket password")
            self._lose(rejected)
            raise rejected from error

    def command(self, command: Command, timeout_s: float | None = None) -> str:
        """Send any command and wait for its reply text."""
        return self._await_reply(self._write(command), command, timeout_s)

    def api(self, command: str, timeout_s: float | None = None) -> str:
        """What an `api` command prints. It holds up the connection's other replies: for quick commands only."""
        return self.command(Api(command), timeout_s)

    def bgapi(self, command: str, job: JobUuid, timeout_s: float) -> JobResult:
        """Run a command as a background job and wait for its result.

        CommandFailed means that FreeSWITCH refused the job. CommandTimeout and EslConnectionLost leave open
        whether it ran: the caller has to ask the node.
        """
        result: AsyncResult[JobResult | EslError] = AsyncResult()
        self._session.expect_job(job, result.set)
        try:
            self.command(BgApi(command, job))
            outcome = result.get(timeout=timeout_s)
        except gevent.Timeout as error:
            raise CommandTimeout(f"bgapi {command.split(' ', 1)[0]}: no result within {timeout_s:.0f} s") from error
        finally:
            self._session.forget_job(job)
        if isinstance(outcome, EslError):
            raise outcome
        return outcome or JobResult(False, "no result")

    def execute(self, channel: ChannelUuid, action: ActionId, app: str, arg: str) -> None:
        """Start an application on a channel; its completion comes as an event with Application-UUID `action`."""
        self.command(Execute(channel, action, app, arg))

    @property
    def events_seen(self) -> int:
        """How many events this connection has brought."""
        return self._session.counters.events

    def stop(self) -> None:
        """Say goodbye and close; what is pending fails."""
        if not self.lost.is_set():
            with contextlib.suppress(EslError):
                self.command(Exit(), 1.0)
        self._lose(EslConnectionLost("closed by us"))

    # --- inside ------------------------------------------------------------------------------------------

    def _write(self, command: Command) -> tuple[Ticket, AsyncResult[str | EslError]]:
        reply: AsyncResult[str | EslError] = AsyncResult()
        with self._write_lock:
            if self.lost_because is not None:
                raise EslConnectionLost(f"{command.name}: the connection is lost") from self.lost_because
            data, ticket = self._session.send(command, reply.set)
            try:
                with gevent.Timeout(self._command_timeout_s, TimeoutError("the socket takes no more bytes")):
                    self.sock.sendall(data)
            except OSError as error:
                self._lose(EslConnectionLost(f"{command.name}: could not be written: {_why(error)}"))
        return ticket, reply

    def _await_reply(
        self, pending: tuple[Ticket, AsyncResult[str | EslError]], command: Command, timeout_s: float | None
    ) -> str:
        ticket, reply = pending
        patience = self._command_timeout_s if timeout_s is None else timeout_s
        try:
            outcome = reply.get(timeout=patience)
        except gevent.Timeout as error:
            ticket.abandoned = True
            raise CommandTimeout(f"{command.name}: no reply within {patience:g} s") from error
        if isinstance(outcome, EslError):
            raise outcome
        return outcome or ""

    def receive_events(self) -> None:
        """The reader: until the connection ends."""
        try:
            self._read()
        except EslError as error:
            self._lose(error)
        except OSError as error:
            self._lose(EslConnectionLost(f"{self.host}:{self.port}: {_why(error)}"))

    def _read(self) -> None:
        since = time.monotonic()
        while data := self.sock.recv(READ_BYTES):
            for message in self._session.receive_data(data):
                self._hand_on(message)
            if time.monotonic() - since > READ_BUDGET_S:
                gevent.sleep(READ_PAUSE_S)
                since = time.monotonic()
        raise EslConnectionLost(f"{self.host}:{self.port} closed the connection")

    def _hand_on(self, message: AuthRequest | Event | Disconnect | RudeRejection) -> None:
        match message:
            case AuthRequest():
                self._greeted.set()
            case RudeRejection():
                raise EslAuthRejected(
                    f"{self.host}:{self.port}: the event socket's ACL refuses this host; "
                    "add it to apply-inbound-acl in event_socket.conf.xml"
                )
            case Disconnect():
                log.info("esl_disconnect_notice", node=f"{self.host}:{self.port}")
            case Event() if self._on_event is not None:
                try:
                    self._on_event(message)
                except Exception:
                    log.exception("event_handler_failed", event_name=message.name)

    def _lose(self, error: EslError) -> None:
        """End the connection, once: everything that waits learns why."""
        if self.lost_because is not None:
            return
        self.lost_because = error
        self.connected = False
        with contextlib.suppress(OSError):
            self.sock.shutdown(plain_socket.SHUT_RDWR)
        self.sock.close()
        failure = error if isinstance(error, (EslConnectionLost, EslAuthRejected)) else EslConnectionLost(str(error))
        self._session.fail_all(failure)
        self._greeted.set()
        self.lost.set()


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(plain_socket.IPPROTO_TCP, plain_socket.TCP_NODELAY, 1)
    sock.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        option = getattr(plain_socket, name, None)
        if option is not None:
            sock.setsockopt(plain_socket.IPPROTO_TCP, option, value)


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "timed out"
    return error.strerror or str(error)
