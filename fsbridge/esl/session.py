"""One event-socket conversation without its socket: bytes in, messages out, replies matched to commands. Pure.

Replies come in the order of the commands, so a queue of tickets matches them; a command that was given up
leaves its ticket in the queue, so that its late reply meets the ticket and not the next command. Where a reply names
its command (a job's uuid, the word of an `Echo`) the place is held to it: one reply that never came would send all that
follow to the wrong commands. Jobs are matched by their own uuid, whenever they end. No clock, no socket, no lock: the
shell has them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fsbridge.esl.commands import BgApi, Command, Echo, Line
from fsbridge.esl.errors import CommandFailed, EslError, EslProtocolError
from fsbridge.esl.events import (
    ApiResponse,
    AuthRequest,
    CommandReply,
    Disconnect,
    Event,
    Message,
    RudeRejection,
    UnknownFrame,
    Unreadable,
    decode,
)
from fsbridge.esl.framing import FrameDecoder
from fsbridge.model.ids import JobUuid

Done = Callable[["str | EslError"], None]
"""Told a command's reply text, or why there is none. Must not block and must not raise."""

JobDone = Callable[["JobResult | EslError"], None]


Outward = AuthRequest | Event | Unreadable | Disconnect | RudeRejection
"""What a session does not settle itself."""

MAX_AWAITING = 4_096
"""Commands without a reply, given up or not: so many mean that FreeSWITCH answers nothing any more."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """A background job's inner body: `+OK <text>` or `-ERR <text>`."""

    ok: bool
    text: str


@dataclass(slots=True)
class Ticket:
    """A command on its way; `abandoned` once nobody waits for its reply, `answered` once it came all the same."""

    command: Command
    done: Done
    abandoned: bool = False
    answered: bool = False


@dataclass(slots=True)
class Counters:
    """What the session saw, for metrics."""

    events: int = 0
    unreadable_events: int = 0
    unknown_frames: int = 0
    stray_replies: int = 0


class EslSession:
    """Replies and jobs of one connection. `receive_data` gives what is not a reply, in order."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._awaiting: deque[Ticket] = deque()
        self._jobs: dict[JobUuid, JobDone] = {}
        self._echo: str | None = None
        self.counters = Counters()

    @property
    def pending(self) -> int:
        """Commands without a reply, and jobs without a result."""
        return len(self._awaiting) + len(self._jobs)

    def send(self, command: Command, done: Done) -> tuple[bytes, Ticket]:
        """The command's bytes, to be written in the order of these calls, and its ticket.

        Raises EslProtocolError when MAX_AWAITING commands have had no reply.
        """
        if len(self._awaiting) >= MAX_AWAITING:
            raise EslProtocolError(f"{MAX_AWAITING} commands without a reply")
        ticket = Ticket(command, done)
        if isinstance(command, Echo):
            self._echo = command.word
        self._awaiting.append(ticket)
        return command.encode(), ticket

    def expect_job(self, job: JobUuid, done: JobDone) -> None:
        """Register a job before its command is written: its result may overtake the reply."""
        self._jobs[job] = done

    def forget_job(self, job: JobUuid) -> None:
        """Nobody waits for this job any more."""
        self._jobs.pop(job, None)

    def receive_data(self, data: bytes) -> Iterator[Outward]:
        """Take bytes; settle replies and jobs; give events and notices, in the order of the wire.

        To be iterated to its end. Raises EslProtocolError where the stream cannot be followed, after what came
        before the fault; `fail_all` is then the shell's next call.
        """
        self._decoder.receive_data(data)
        for frame in self._decoder.frames():
            outward = self._sort(decode(frame))
            if outward is not None:
                yield outward

    def fail_all(self, error: EslError) -> None:
        """The connection is gone: everything that waits is told so at once."""
        awaiting, self._awaiting = self._awaiting, deque()
        jobs, self._jobs = self._jobs, {}
        for ticket in awaiting:
            if not ticket.abandoned:
                ticket.done(error)
        for done in jobs.values():
            done(error)

    def _sort(self, message: Message) -> Outward | None:
        match message:
            case CommandReply():
                self._check_job(message.headers.get("Job-UUID"))
                self._settle(message.text, message.ok)
            case ApiResponse(text):
                self._check_echo(text)
                # `-ERR` and `-USAGE` are words of the command here; an api command may also print them as data.
                self._settle(text, True)
            case Event():
                self.counters.events += 1
                if message.name == "BACKGROUND_JOB":
                    self._end_job(message)
                return message
            case Unreadable():
                self.counters.unreadable_events += 1
                return message
            case UnknownFrame():
                self.counters.unknown_frames += 1
            case _:
                return message
        return None

    def _check_job(self, job: str | None) -> None:
        """A reply that names a job is that job's. Raises EslProtocolError."""
        if job is None or not self._awaiting or isinstance(self._awaiting[0].command, Line):
            return
        command = self._awaiting[0].command
        if not isinstance(command, BgApi) or command.job != job:
            raise EslProtocolError(f"a reply is missing: {command.name} was given that of another command")

    def _check_echo(self, text: str) -> None:
        """The word that was to be said again stands in its own place. Raises EslProtocolError."""
        if self._echo is None or text.strip() != self._echo:
            return
        command = self._awaiting[0].command if self._awaiting else None
        if not isinstance(command, Echo) or command.word != self._echo:
            name = command.name if command is not None else "nobody"
            raise EslProtocolError(f"a reply is missing: {name} was given that of another command")

    def _settle(self, text: str, ok: bool) -> None:
        if not self._awaiting:
            self.counters.stray_replies += 1
            return
        ticket = self._awaiting.popleft()
        ticket.answered = True
        if ticket.abandoned:
            return
        if not ok and isinstance(ticket.command, BgApi):
            self._jobs.pop(ticket.command.job, None)
        ticket.done(text if ok else CommandFailed(ticket.command.name, text))

    def _end_job(self, event: Event) -> None:
        done = self._jobs.pop(JobUuid(event.job_uuid or ""), None)
        if done is not None:
            done(read_job(event.body))


def read_job(body: str) -> JobResult:
    """A job's inner body: `+OK …`, or `-ERR …`; anything else is text that the command printed."""
    text = body.strip()
    if text.startswith("-ERR"):
        return JobResult(False, text.removeprefix("-ERR").strip())
    return JobResult(True, text.removeprefix("+OK").strip())
