"""A thing that goes on in simulated time and can be interrupted: a generator driven by the scheduler.

The body yields how long it waits in simulated seconds (None: until woken) and is sent why it goes on: "elapsed", or
the reason given to `wake`. While suspended its time stands still, as that of a FreeSWITCH application does when
another is executed inside it (tests/traces/executes_queued.jsonl).
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from fsbridge.simulator.time.scheduler import Scheduler, Timer

Wait = float | None
Body = Generator[Wait, str, None]

App = Generator[Wait, str, str]
"""An application of a channel: like a body, and returns its response ("" stands for FreeSWITCH's _none_)."""

ELAPSED = "elapsed"
HANGUP = "hangup"
BREAK = "break"
DIGIT = "digit"
FETCHED = "fetched"
LEG = "leg"
"""Something has happened to the leg that a bridge waits for."""


class Process:
    """Runs `body` from `start` to its end, then calls `on_end` once."""

    def __init__(self, scheduler: Scheduler, body: Body, on_end: Callable[[], None] | None = None) -> None:
        self._scheduler = scheduler
        self._body = body
        self._on_end = on_end
        self._timer: Timer | None = None
        self._due: float | None = None
        self._remaining: float | None = None
        self._pending: str | None = None
        self._running = False
        self.suspended = False
        self.ended = False

    def start(self) -> None:
        self._advance(None)

    def wake(self, reason: str) -> None:
        """Let the body go on now, with this reason; kept for later while it runs or is suspended."""
        if self.ended:
            return
        if self._running or self.suspended:
            self._pending = reason
            return
        self._stop_timer()
        self._advance(reason)

    def suspend(self) -> None:
        """Stop its time."""
        if self.ended or self.suspended:
            return
        self.suspended = True
        self._remaining = None if self._due is None else max(self._due - self._scheduler.now(), 0.0)
        self._stop_timer()

    def resume(self) -> None:
        """Let its time go on where it stood."""
        if self.ended or not self.suspended:
            return
        self.suspended = False
        if self._pending is not None:
            reason, self._pending = self._pending, None
            self._advance(reason)
        elif not self._running:
            self._wait(self._remaining)

    def stop(self) -> None:
        """End it without another step; `on_end` is not called."""
        if self.ended:
            return
        self.ended = True
        self._stop_timer()
        if not self._running:
            self._body.close()

    def _advance(self, reason: str | None) -> None:
        while True:
            self._running = True
            try:
                wait = next(self._body) if reason is None else self._body.send(reason)
            except StopIteration:
                self._finish()
                return
            finally:
                self._running = False
            if self.ended:
                self._body.close()
                return
            if self.suspended:
                self._remaining = wait
                return
            if self._pending is None:
                self._wait(wait)
                return
            reason, self._pending = self._pending, None

    def _finish(self) -> None:
        if not self.ended:
            self.ended = True
            if self._on_end is not None:
                self._on_end()

    def _wait(self, wait: Wait) -> None:
        if wait is None:
            self._due = None
            return
        self._due = self._scheduler.now() + wait
        self._timer = self._scheduler.call_at(self._due, self._elapsed)

    def _elapsed(self) -> None:
        self._timer = None
        self._advance(ELAPSED)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = None
