"""The only caller of gevent.spawn: every background task has a name, an owner and an end that is seen.

A `Supervisor` owns a group of greenlets. A task that dies of an exception is logged with its name, counted,
and, if it was spawned as `essential`, reported to `on_failure` (the composition root stops the service with a
non-zero exit code). `stop` kills what is left and waits for it, with a deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

import gevent
import structlog
from gevent.pool import Group
from gevent.threadpool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)


class Supervisor:
    """Owner of background greenlets. `on_failure(name, error)` is told of every one that died of an exception."""

    def __init__(self, on_failure: Callable[[str, BaseException], None] | None = None) -> None:
        self._group = Group()
        self._on_failure = on_failure
        self.failures: dict[str, int] = {}

    def spawn(self, name: str, task: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> gevent.Greenlet[..., Any]:
        """Start `task` as a greenlet of this supervisor and return it; its failure is logged and counted."""
        return self._start(name, 0.0, False, lambda: task(*args, **kwargs))

    def spawn_later(
        self, seconds: float, name: str, task: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> gevent.Greenlet[..., Any]:
        """Like `spawn`, after `seconds`; kill the greenlet to cancel."""
        return self._start(name, seconds, False, lambda: task(*args, **kwargs))

    def spawn_essential(
        self, name: str, task: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> gevent.Greenlet[..., Any]:
        """Like `spawn`, for a task without which the service is of no use: its failure reaches `on_failure`."""
        return self._start(name, 0.0, True, lambda: task(*args, **kwargs))

    def __len__(self) -> int:
        return len(self._group)

    def stop(self, timeout: float = 5.0) -> None:
        """Kill every task and wait for their ends, at most `timeout` seconds."""
        self._group.kill(timeout=timeout)

    def _start(self, name: str, seconds: float, essential: bool, body: Callable[[], Any]) -> gevent.Greenlet[..., Any]:
        greenlet: gevent.Greenlet[..., Any] = gevent.Greenlet(self._run, name, essential, body)
        self._group.add(greenlet)
        if seconds > 0:
            # It counts from the loop's idea of now, which is old when the hub was busy: the timer would fire early.
            gevent.get_hub().loop.update_now()
            greenlet.start_later(seconds)
        else:
            greenlet.start()
        return greenlet

    def _run(self, name: str, essential: bool, body: Callable[[], Any]) -> Any:
        try:
            return body()
        except Exception as error:
            self.failures[name] = self.failures.get(name, 0) + 1
            log.exception("task_failed", task=name, essential=essential)
            if essential and self._on_failure is not None:
                self._on_failure(name, error)
            return None


def run_in_thread(pool: ThreadPool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in a native thread and wait for it without blocking the hub.

    The function must be free of gevent objects and of logging: neither is safe off the hub's thread. What it raises
    is raised here.
    """
    outcome = pool.spawn(_caught, function, args, kwargs).get()
    if isinstance(outcome, _Raised):
        raise outcome.error
    return cast(T, outcome)


@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception


def _caught(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result or what was raised. gevent's pool would print a traceback besides handing the exception on."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return _Raised(error)
