"""Processes that check documents for a service, shared fairly by the organizations whose documents they are. Shell.

A check in a thread of this process would hold its interpreter: every call's greenlet would wait for it, some
milliseconds at each look at a socket. In a process of its own it takes nothing but time, and that ends: one that
takes longer than CHECK_S is killed. Who has a place, and who waits, is `flow.library.turns`'s.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import IO, Any, cast

import gevent
import orjson
import structlog
from gevent import subprocess
from gevent.event import Event
from gevent.threadpool import ThreadPool

from fsbridge.flow.document.document import trusted, version_of
from fsbridge.flow.document.errors import FlowInvalid, Problem
from fsbridge.flow.document.model import Defaults, FlowDocument
from fsbridge.flow.library.checking import LENGTH, MAX_FRAME, frame
from fsbridge.flow.library.entry import FlowBusy
from fsbridge.flow.library.turns import Ticket, Turns
from fsbridge.model.json import Json
from fsbridge.supervise import run_in_thread

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-m", "fsbridge.flow.library.checking")
PROCESSES = 2
WAITING_OF_ONE = 8
"""Documents of one organization that wait for their turn; those that calls wait for come on top."""
WAIT_S = 10.0
"""How long a turn is waited for; then the caller is told to come again."""
CHECK_S = 20.0
"""How long one check may take, the start of the process included; the largest document takes half a second."""
RETRY_AFTER_S = 2.0
KILL_AFTER_S = 2.0


class Checkers:
    """Started when first needed, kept until `close`."""

    def __init__(
        self,
        processes: int = PROCESSES,
        command: Sequence[str] = COMMAND,
        wait_s: float = WAIT_S,
        check_s: float = CHECK_S,
    ) -> None:
        self._command = tuple(command)
        self._wait_s = wait_s
        self._check_s = check_s
        self._turns = Turns(processes, WAITING_OF_ONE)
        self._told: dict[Ticket, Event] = {}
        self._idle: list[_Process] = []
        self._busy: set[_Process] = set()
        self._pool = ThreadPool(1)
        self._closed = False

    def check(self, who: str, text: str, source: str, defaults: Defaults, *, first: bool = False) -> FlowDocument:
        """The text as a document. Raises FlowInvalid or FlowBusy."""
        asked = {"text": text, "source": source, "defaults": defaults.model_dump(mode="json")}
        answer = self._ask(who, asked, first)
        if "faults" in answer:
            raise FlowInvalid(*(Problem(*fault) for fault in answer["faults"]))
        return run_in_thread(self._pool, trusted, answer["value"], version_of(text), defaults)

    def value(self, who: str, text: str) -> Json:
        """What the text says; None for what is no YAML. Raises FlowBusy."""
        return self._ask(who, {"text": text, "source": "", "defaults": None}, False)["value"]

    def close(self) -> None:
        """Let the processes go; who still waits for one is told to come again."""
        self._closed = True
        for process in (*self._idle, *self._busy):
            process.stop()
        self._idle.clear()

    def _ask(self, who: str, asked: dict[str, Any], first: bool) -> dict[str, Any]:
        asked["text"] = (
            asked["text"].encode("utf-8", "replace").decode()
        )  # half a pair of surrogates goes through no pipe
        ticket = self._turns.ask(who, first=first)
        if ticket is None:
            raise FlowBusy("too many of the organization's documents wait to be checked", RETRY_AFTER_S, own=True)
        told = self._told[ticket] = Event()
        try:
            self._begin_due()
            if not told.wait(self._wait_s):
                raise FlowBusy("other documents are being checked", RETRY_AFTER_S)
            return self._answered(asked)
        finally:
            del self._told[ticket]
            self._turns.leave(ticket)
            self._begin_due()

    def _begin_due(self) -> None:
        for ticket in self._turns.due():
            self._told[ticket].set()

    def _answered(self, asked: dict[str, Any]) -> dict[str, Any]:
        """By a process that is idle, or a new one: an idle one may have been killed while nobody looked."""
        sent = frame(asked)
        for process in (*self._idle[-1:], None):
            if process is not None:
                self._idle.remove(process)
            if self._closed:
                raise FlowBusy("the service is going down", RETRY_AFTER_S)
            process = process or _Process(self._command)
            self._busy.add(process)
            try:
                found = process.ask(sent, self._check_s)
            except _Lost as lost:
                process.stop()
                log.warning("flow_checker_lost", reason=str(lost))
                if lost.late:
                    break
            except BaseException:
                process.stop()  # what it answers would be taken for the next one's answer
                raise
            else:
                self._idle.append(process)
                return found
            finally:
                self._busy.discard(process)
        raise FlowBusy("the document could not be checked", RETRY_AFTER_S)


class _Lost(Exception):
    """The process gave no answer; `late`: not in time."""

    def __init__(self, message: str, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class _Process:
    """One checker; one document at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1)
        self._to, self._from = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)

    def ask(self, sent: bytes, seconds: float) -> dict[str, Any]:
        deadline = gevent.Timeout(seconds)
        try:
            with deadline:
                self._to.write(sent)
                self._to.flush()
                (size,) = LENGTH.unpack(self._read(LENGTH.size))
                if size > MAX_FRAME:
                    raise _Lost(f"it answered {size} bytes")
                return cast(dict[str, Any], orjson.loads(self._read(size)))
        except gevent.Timeout as timeout:
            if timeout is not deadline:
                raise
            raise _Lost(f"no answer within {seconds:g} s", late=True) from timeout
        except (OSError, ValueError) as error:
            raise _Lost(str(error)) from error

    def _read(self, size: int) -> bytes:
        found = self._from.read(size)
        if len(found) < size:
            raise _Lost("it ended")
        return found

    def stop(self) -> None:
        self._process.kill()
        try:
            self._process.wait(KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            log.warning("flow_checker_stays", pid=self._process.pid)
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):  # of what could not be written any more
                pipe.close()
