"""The event-socket client: greenswitch's InboundESL with our own receive loop over the sans-I/O session. Shell.

What the subclass replaces, and why: greenswitch decodes before it splits, waits for replies without a deadline,
leaves callers hanging on a lost connection, writes without a lock and hands every event to one greenlet.

* One greenlet reads; it settles replies and hands events to `on_event`, which must not block.
* Writes happen under one lock and a deadline; a write that fails half-way ends the connection.
* A lost connection fails every pending command and job at once, with EslConnectionLost.
* Deadlines are in the time for which we have listened (`esl.attention`): a hub that was late is not the node's silence.
* A command that gets no reply in time makes the client have the node say a word again (`_doubt`). The word in its own
  place: nothing is amiss. In another's: a reply is missing, all that follow would go astray, and the connection ends.
  No word at all: the node answers no commands any more, though events may keep it looking alive; it ends as well.
* The reader yields by a time budget (`esl.transport`): on a busy socket `recv` never blocks, and the hub would starve.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

import structlog
from gevent import socket
from gevent.event import AsyncResult
from gevent.event import Event as Flag
from gevent.lock import BoundedSemaphore
from greenswitch import InboundESL

from fsbridge.clock import Clock, SystemClock
from fsbridge.esl.commands import Api, Auth, BgApi, Command, Echo, Execute, Exit, Line
from fsbridge.esl.errors import (
    CommandFailed,
    CommandTimeout,
    EslAuthRejected,
    EslConnectionLost,
    EslError,
    EslNotSent,
    EslProtocolError,
)
from fsbridge.esl.events import AuthRequest, Disconnect, Event, RudeRejection, Unreadable
from fsbridge.esl.session import Done, EslSession, JobResult, Outward, Ticket
from fsbridge.esl.transport import Transport
from fsbridge.model.ids import ActionId, ChannelUuid, JobUuid, new_uuid
from fsbridge.supervise import Supervisor

log = structlog.get_logger(__name__)

ECHO_TIMES = 2
"""How many command timeouts long a word is waited for: an overloaded node is slow, and cutting it off is no help."""


class EslClient(InboundESL):  # type: ignore[misc]
    """One connection to one FreeSWITCH. `connect` once; after `lost` is set the object is done with.

    Every command takes its deadline in seconds and raises EslConnectionLost, CommandTimeout or CommandFailed. After
    CommandTimeout it may have been done, or may yet be, and is to be asked after.
    """

    def __init__(
        self,
        host: str,
        port: int,
        password: str,
        supervisor: Supervisor,
        on_event: Callable[[Event | Unreadable], None] | None = None,
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
        self._transport = Transport(host, port, supervisor, clock or SystemClock())
        self._session = EslSession()
        self._write_lock = BoundedSemaphore()
        self._greeted = Flag()
        self._doubting = False

    def connect(self) -> None:
        """Open the socket and log in, all within the connect timeout; on a failure nothing stays open.

        Raises EslConnectionLost (nobody there, silent peer), EslAuthRejected (password, ACL), EslProtocolError
        (something else listens there).
        """
        where, transport = f"{self.host}:{self.port}", self._transport
        self._supervisor.spawn(f"esl.attention {where}", self._attend)
        until = transport.listened_s + self.timeout
        self._open()
        self.start_event_handlers()
        if not transport.wait(self._greeted, until - transport.listened_s):
            self._lose(EslConnectionLost(f"{where} accepted the connection but sent no greeting: no event socket?"))
        if self.lost_because is not None:
            raise self.lost_because
        try:
            self._log_in(until - transport.listened_s)
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
        reply: AsyncResult[str | EslError] = AsyncResult()
        ticket = self._write(command, reply.set)
        patience = self._command_timeout_s if timeout_s is None else timeout_s
        try:
            self._transport.wait(reply, patience)
        finally:
            # Whatever ended the wait, a kill or somebody else's timeout included: the late reply is not the next's.
            ticket.abandoned = not reply.ready()
        if ticket.abandoned:
            if patience >= self._command_timeout_s:
                self._doubt()
            raise CommandTimeout(f"{command.name}: no reply within {patience:g} s")
        outcome = reply.get()
        if isinstance(outcome, EslError):
            raise outcome
        return outcome or ""

    def api(self, command: str, timeout_s: float | None = None) -> str:
        """What an `api` command prints. It holds up the connection's other replies: for quick commands only."""
        return self.command(Api(command), timeout_s)

    def bgapi(self, command: str, job: JobUuid, timeout_s: float) -> JobResult:
        """Run a command as a background job and wait for its result.

        CommandFailed means that FreeSWITCH refused the job. CommandTimeout and EslConnectionLost leave open
        whether it ran: the caller has to ask the node. A reply that is late keeps nobody from the result.
        """
        result: AsyncResult[JobResult | EslError] = AsyncResult()
        request = BgApi(command, job)
        self._session.expect_job(job, result.set)
        try:
            ticket = self._write(
                request, lambda outcome: result.set(outcome) if isinstance(outcome, EslError) else None
            )
            patience = min(timeout_s, self._command_timeout_s)
            if not self._transport.wait(result, patience):
                if not ticket.answered and patience >= self._command_timeout_s:
                    self._doubt()
                self._transport.wait(result, timeout_s - patience)
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
    def listened_s(self) -> float:
        """For how many seconds this connection has been listened to: the clock for judging the node's silence."""
        return self._transport.listened_s

    @property
    def events_seen(self) -> int:
        """How many events this connection has brought."""
        return self._session.counters.events

    def stop(self, because: str = "closed by us") -> None:
        """Say goodbye and close; what is pending fails."""
        if self.connected:
            with contextlib.suppress(EslError):
                self.command(Exit(), 1.0)
        self._lose(EslConnectionLost(because))

    # --- inside ------------------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._transport.open(self.timeout)
        except (OSError, UnicodeError) as error:
            # Unless `stop` came while it was opened.
            self._lose(EslConnectionLost(f"no event socket at {self.host}:{self.port}: {_why(error)}"))
        if self.lost_because is not None:
            raise self.lost_because
        self.sock = self._transport.sock
        self.connected = True

    def _attend(self) -> None:
        try:
            self._transport.attend()
        finally:
            self._lose(EslConnectionLost(f"{self.host}:{self.port}: nobody listens any more"))

    def _write(self, command: Command, done: Done) -> Ticket:
        with self._write_lock:
            if self.lost_because is not None:
                raise EslNotSent(f"{command.name}: the connection is lost") from self.lost_because
            if self.sock is None:
                raise EslNotSent(f"{command.name}: not connected")
            try:
                data, ticket = self._session.send(command, done)
                self._transport.write(data, self._command_timeout_s)
            except OSError as error:
                self._lose(EslConnectionLost(f"{command.name}: could not be written: {_why(error)}"))
            except EslProtocolError as error:
                self._lose(error)
                raise EslNotSent(f"{command.name}: {error}") from error
            except BaseException:
                # Killed, or timed out from outside, with half a command written: the next would be glued to it.
                self._lose(EslConnectionLost(f"{command.name}: interrupted while it was written"))
                raise
        return ticket

    def _doubt(self) -> None:
        """A reply is overdue: have the node say a word again, unless it was asked already."""
        if not self._doubting and self.lost_because is None:
            self._doubting = True
            self._supervisor.spawn(f"esl.echo {self.host}:{self.port}", self._ask_for_echo)

    def _ask_for_echo(self) -> None:
        try:
            self.command(Echo(new_uuid()), ECHO_TIMES * self._command_timeout_s)
        except CommandTimeout:
            self._lose(EslConnectionLost(f"{self.host}:{self.port} answers no commands any more"))
        except EslError as error:
            log.info("esl_echo_ended", node=f"{self.host}:{self.port}", error=str(error))
        finally:
            self._doubting = False

    def receive_events(self) -> None:
        """The reader: until the connection ends."""
        try:
            self._transport.read(self._take)
            self._lose(EslConnectionLost(f"{self.host}:{self.port} closed the connection"))
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

    def _take(self, data: bytes) -> None:
        for message in self._session.receive_data(data):
            self._hand_on(message)

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
            case Event() | Unreadable() if self._on_event is not None:
                try:
                    self._on_event(message)
                except Exception:
                    log.exception("event_handler_failed", event_name=message.name if isinstance(message, Event) else "")

    def _lose(self, error: EslError) -> None:
        """End the connection, once: everything that waits learns why."""
        if self.lost_because is not None:
            return
        self.lost_because = error
        self.connected = False
        self._transport.close()
        failure = error if isinstance(error, (EslConnectionLost, EslAuthRejected)) else EslConnectionLost(str(error))
        self._session.fail_all(failure)
        self._greeted.set()
        self.lost.set()


def _why(error: BaseException) -> str:
    if isinstance(error, UnicodeError):
        return "the host is no valid name"
    if isinstance(error, OSError) and error.errno == errno.ETIMEDOUT:
        return "timed out"
    return getattr(error, "strerror", None) or str(error)
