"""The event-socket client: greenswitch's InboundESL with our own receive loop over the sans-I/O session. Shell.

What the subclass replaces, and why: greenswitch decodes before it splits, waits for replies without a deadline,
leaves callers hanging on a lost connection, writes without a lock and hands every event to one greenlet.

* One greenlet reads; it settles replies and hands events to `on_event`, which must not block.
* Writes happen under one lock and a deadline; a write that fails half-way ends the connection.
* A lost connection fails every pending command and job at once, with EslConnectionLost.
* Two commands without a reply, one wholly after the other and nothing answered in between, end the connection: a
  reply that never comes shifts all that follow to the wrong commands, and events alone would keep it looking alive.
* The reader yields by a time budget: on a busy socket `recv` never blocks, and the hub would starve.
"""

from __future__ import annotations

import contextlib
import errno
import socket as plain_socket
from collections.abc import Callable

import gevent
import structlog
from gevent import socket
from gevent.event import AsyncResult
from gevent.event import Event as Flag
from gevent.lock import BoundedSemaphore
from greenswitch import InboundESL

from fsbridge.clock import Clock, SystemClock
from fsbridge.esl.commands import Api, Auth, BgApi, Command, Execute, Exit, Line
from fsbridge.esl.errors import (
    CommandFailed,
    CommandTimeout,
    EslAuthRejected,
    EslConnectionLost,
    EslError,
    EslProtocolError,
)
from fsbridge.esl.events import AuthRequest, Disconnect, Event, RudeRejection
from fsbridge.esl.session import EslSession, JobResult, Outward, Ticket
from fsbridge.model.ids import ActionId, ChannelUuid, JobUuid
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
        clock: Clock | None = None,
    ) -> None:
        super().__init__(host, port, password, timeout=connect_timeout_s)
        self.sock: socket.socket | None = None
        self.lost = Flag()
        self.lost_because: EslError | None = None
        self._supervisor = supervisor
        self._on_event = on_event
        self._command_timeout_s = command_timeout_s
        self._clock = clock or SystemClock()
        self._session = EslSession()
        self._write_lock = BoundedSemaphore()
        self._greeted = Flag()
        self._unanswered = False

    def connect(self) -> None:
        """Open the socket and log in, all within the connect timeout; on a failure nothing stays open.

        Raises EslConnectionLost (nobody there, silent peer), EslAuthRejected (password, ACL), EslProtocolError
        (something else listens there).
        """
        where = f"{self.host}:{self.port}"
        until = self._clock.monotonic() + self.timeout
        sock = self._open()
        if self.lost_because is not None:
            sock.close()  # `stop` came while it was opened
            raise self.lost_because
        _keep_alive(sock)
        self.sock = sock
        self.connected = True
        self.start_event_handlers()
        if not self._greeted.wait(until - self._clock.monotonic()):
            self._lose(EslConnectionLost(f"{where} accepted the connection but sent no greeting: no event socket?"))
        if self.lost_because is not None:
            raise self.lost_because
        try:
            self._log_in(until - self._clock.monotonic())
        except EslError as error:
            self._lose(error)
            raise

    def start_event_handlers(self) -> None:
        """Start the reader; there is no second greenlet that events would queue up for."""
        self._supervisor.spawn(f"esl.reader {self.host}:{self.port}", self.receive_events)

    def authenticate(self) -> None:
        """Send the password. Raises EslAuthRejected."""
        self._log_in(self.timeout)

    def send(self, data: str) -> str:
        """greenswitch's call for a command of one line, with this class's deadlines and errors."""
        return self.command(Line(data))

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
        request = BgApi(command, job)
        self._session.expect_job(job, result.set)
        try:
            self.command(request)
            result.wait(timeout_s)
        finally:
            self._session.forget_job(job)
        if not result.ready():
            raise CommandTimeout(f"{request.name}: no result within {timeout_s:g} s")
        outcome = result.get()
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
        if self.connected:
            with contextlib.suppress(EslError):
                self.command(Exit(), 1.0)
        self._lose(EslConnectionLost("closed by us"))

    # --- inside ------------------------------------------------------------------------------------------

    def _open(self) -> socket.socket:
        # Bounds the look-up of the name as well, and the sum of a host's addresses. A plain Timeout: gevent would
        # take an OSError thrown into it for one address's failure, and go on with the next.
        limit = gevent.Timeout(self.timeout)
        try:
            with limit:
                return socket.create_connection((self.host, self.port))
        except (OSError, UnicodeError, gevent.Timeout) as error:
            if isinstance(error, gevent.Timeout) and error is not limit:
                raise
            lost = EslConnectionLost(f"no event socket at {self.host}:{self.port}: {_why(error)}")
            self._lose(lost)
            raise lost from error

    def _write(self, command: Command) -> tuple[Ticket, AsyncResult[str | EslError]]:
        reply: AsyncResult[str | EslError] = AsyncResult()
        with self._write_lock:
            if self.lost_because is not None:
                raise EslConnectionLost(f"{command.name}: the connection is lost") from self.lost_because
            if self.sock is None:
                raise EslConnectionLost(f"{command.name}: not connected")
            try:
                data, ticket = self._session.send(command, reply.set)
                with gevent.Timeout(self._command_timeout_s, TimeoutError("the socket takes no more bytes")):
                    self.sock.sendall(data)
            except OSError as error:
                self._lose(EslConnectionLost(f"{command.name}: could not be written: {_why(error)}"))
            except EslProtocolError as error:
                self._lose(error)
                raise EslConnectionLost(f"{command.name}: {error}") from error
            except BaseException:
                # Killed, or timed out from outside, with half a command written: the next would be glued to it.
                self._lose(EslConnectionLost(f"{command.name}: interrupted while it was written"))
                raise
        return ticket, reply

    def _await_reply(
        self, pending: tuple[Ticket, AsyncResult[str | EslError]], command: Command, timeout_s: float | None
    ) -> str:
        ticket, reply = pending
        patience = self._command_timeout_s if timeout_s is None else timeout_s
        unanswered_before = self._unanswered
        try:
            reply.wait(patience)
        finally:
            # Whatever ended the wait, a kill or somebody else's timeout included: the late reply is not the next's.
            ticket.abandoned = not reply.ready()
        if ticket.abandoned:
            if patience >= self._command_timeout_s:
                if unanswered_before and self._unanswered:
                    self._lose(EslConnectionLost(f"{self.host}:{self.port} answers no commands any more"))
                self._unanswered = True
            raise CommandTimeout(f"{command.name}: no reply within {patience:g} s")
        self._unanswered = False
        outcome = reply.get()
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
        finally:
            # Without a reader nothing is ever answered: also when it was killed, or failed by our own fault.
            self._lose(EslConnectionLost(f"{self.host}:{self.port}: the reader has ended"))

    def _log_in(self, timeout_s: float) -> None:
        try:
            self.command(Auth(self.password), timeout_s)
        except CommandFailed as error:
            rejected = EslAuthRejected(
                f"{self.host}:{self.port} refused the event-socket password: "
                "it has to be the one in the node's event_socket.conf.xml"
            )
            self._lose(rejected)
            raise rejected from error

    def _read(self) -> None:
        sock = self.sock
        if sock is None:
            return
        since = self._clock.monotonic()
        while data := sock.recv(READ_BYTES):
            for message in self._session.receive_data(data):
                self._hand_on(message)
            if self._clock.monotonic() - since > READ_BUDGET_S:
                gevent.sleep(READ_PAUSE_S)
                since = self._clock.monotonic()
        raise EslConnectionLost(f"{self.host}:{self.port} closed the connection")

    def _hand_on(self, message: Outward) -> None:
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
        if self.sock is not None:
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


def _why(error: BaseException) -> str:
    if isinstance(error, UnicodeError):
        return "the host is no valid name"
    if isinstance(error, gevent.Timeout) or (isinstance(error, OSError) and error.errno == errno.ETIMEDOUT):
        return "timed out"
    return getattr(error, "strerror", None) or str(error)
