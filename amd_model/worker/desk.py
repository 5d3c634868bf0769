"""The worker's side of the words: looks handed to a process of their own, answers fetched, and what that may cost.

Nothing here waits. Rules:

* At most `MOST_WAITING` looks are under way: a look that would queue longer than anybody waits is skipped and counted.
* A look has `deadline_s`; what comes later is thrown away. The decision goes on without.
* The processor's time of all looks stays under a share of one core (`budget`), over some seconds.
* A process that dies is started again after a pause that grows; without it everything runs on sound alone.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from amd_model.detector.evidence import WordEvidence
from amd_model.words.desk import MAX_SOUND_BYTES, Answers, DeskError, Request
from amd_model.words.process import READY

DEADLINE_S = 0.4
MOST_WAITING = 6
BUDGET_WINDOW_S = 4.0
FIRST_GUESS_S = 0.1
"""What a look is believed to cost before the first one was measured."""
RESTART_S = (1.0, 60.0)
_READ_BYTES = 1 << 16
_PIPE_BYTES = 1 << 20

log = structlog.get_logger(__name__)


class Told(Protocol):
    """Who is told of a look's end."""

    def looked(self, words: WordEvidence | None) -> None: ...


@dataclass(slots=True)
class Budget:
    """A share of one core, saved up for a few seconds at most. Pure; the time comes as an argument."""

    share: float
    now: float
    look_s: float = FIRST_GUESS_S
    """What a look costs, as a running mean."""
    credit_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.credit_s = self.share * BUDGET_WINDOW_S

    def allows(self, now: float) -> bool:
        """Whether one look more fits; it is paid when it is done."""
        self.credit_s = min(self.credit_s + self.share * max(0.0, now - self.now), self.share * BUDGET_WINDOW_S)
        self.now = now
        return self.credit_s >= self.look_s

    def reserve(self) -> None:
        """A look begins: what it is likely to cost is set aside."""
        self.credit_s -= self.look_s

    def pay(self, reserved_s: float, cpu_s: float) -> None:
        """A look is done; 0 seconds where it was not begun."""
        self.credit_s += reserved_s - cpu_s
        if cpu_s > 0:
            self.look_s += 0.1 * (cpu_s - self.look_s)


@dataclass(slots=True)
class _Waiting:
    told: Told
    deadline: float
    reserved_s: float
    overdue: bool = False


class Desk:
    """One worker's reader of words. Not for two threads. `count` is told each look's outcome, from a closed set."""

    def __init__(
        self,
        command: Sequence[str],
        clock: Callable[[], float],
        count: Callable[[str], None],
        spent: Callable[[float], None],
        budget: float = 0.5,
    ) -> None:
        self._command = list(command)
        self._clock = clock
        self._count = count
        self._spent = spent
        self._budget = Budget(budget, clock())
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = Answers()
        self._waiting: dict[int, _Waiting] = {}
        self._outgoing = bytearray()
        self._key = 0
        self._ready = False
        self._greeting = b""
        self._start_at = clock()
        self._pause_s = RESTART_S[0]
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether looks are taken."""
        return self._ready

    def ask(self, pcm: bytes, until_ms: int, told: Told) -> bool:
        """Hand a look over; False when it is skipped. `told` learns of its end within the deadline."""
        now = self._clock()
        if not self._ready:
            self._count("no_reader")
            return False
        if len(self._waiting) >= MOST_WAITING or self._outgoing:
            self._count("busy")
            return False
        if not self._budget.allows(now):
            self._count("budget")
            return False
        self._key += 1
        self._waiting[self._key] = _Waiting(told, now + DEADLINE_S, self._budget.look_s)
        self._budget.reserve()
        self._outgoing += Request(self._key, until_ms, now + DEADLINE_S, pcm[-MAX_SOUND_BYTES:]).encode()
        self._write()
        return True

    def turn(self) -> None:
        """Fetch what has been answered, give up what is overdue, keep the process alive. Called every slot."""
        now = self._clock()
        if self._process is None:
            if not self._closed and now >= self._start_at:
                self._start()
            return
        self._write()
        self._read(now)
        for key in [key for key, one in self._waiting.items() if not one.overdue and now > one.deadline]:
            self._waiting[key].overdue = True
            self._waiting[key].told.looked(None)

    def close(self) -> None:
        """End the process; looks under way come back with nothing."""
        self._closed = True
        self._stop()

    # --- the process -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        try:
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            self._later(f"cannot be started: {error}")
            return
        assert process.stdin is not None
        assert process.stdout is not None
        for pipe in (process.stdin, process.stdout):
            os.set_blocking(pipe.fileno(), False)
        with contextlib.suppress(OSError, AttributeError, ImportError):
            import fcntl

            fcntl.fcntl(process.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._process = process
        self._answers = Answers()
        self._greeting = b""

    def _later(self, why: str) -> None:
        log.warning("amd_words_reader_gone", why=why, again_in_s=self._pause_s)
        self._start_at = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, RESTART_S[1])

    def _stop(self) -> None:
        process, self._process = self._process, None
        self._ready = False
        self._outgoing.clear()
        for one in self._waiting.values():
            self._budget.pay(one.reserved_s, 0.0)
            if not one.overdue:
                self._count("lost")
                one.told.looked(None)
        self._waiting.clear()
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.kill()
            process.wait()

    def _gone(self, why: str) -> None:
        self._stop()
        if not self._closed:
            self._later(why)

    def _write(self) -> None:
        if self._process is None or not self._outgoing:
            return
        assert self._process.stdin is not None
        try:
            sent = os.write(self._process.stdin.fileno(), self._outgoing)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(f"takes nothing more: {error.strerror}")
            return
        del self._outgoing[:sent]

    def _read(self, now: float) -> None:
        if self._process is None:
            return
        assert self._process.stdout is not None
        try:
            data = os.read(self._process.stdout.fileno(), _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(f"cannot be read: {error.strerror}")
            return
        if not data:
            self._gone(f"ended with code {self._process.wait()}")
            return
        if not self._ready:
            self._greeting += data
            if len(self._greeting) < len(READY):
                return
            data, self._greeting = self._greeting[len(READY) :], b""
            self._ready = True
            self._pause_s = RESTART_S[0]
            log.info("amd_words_reader_ready")
        try:
            answers = self._answers.feed(data)
        except DeskError as error:
            self._gone(str(error))
            return
        for answer in answers:
            self._ended(answer.key, answer.words, answer.late, answer.cpu_s)

    def _ended(self, key: int, words: WordEvidence | None, late: bool, cpu_s: float) -> None:
        one = self._waiting.pop(key, None)
        if one is None:
            return
        self._budget.pay(one.reserved_s, cpu_s)
        self._spent(cpu_s)
        if one.overdue or late:
            self._count("late")
        else:
            self._count("nothing" if words is None else "words")
        if not one.overdue:
            one.told.looked(None if late else words)


def command(model: Path, languages: Sequence[str] = (), phrases: Path | None = None) -> list[str]:
    """What starts the process that reads words."""
    line = [sys.executable, "-m", "amd_model.words.process", "--model", str(model)]
    for language in languages:
        line += ["--language", language]
    return line + (["--phrases", str(phrases)] if phrases is not None else [])
