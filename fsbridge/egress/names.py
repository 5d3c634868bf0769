"""Names to addresses, without letting one organization's dead name server hold anybody else up.

The system's resolver keeps its thread for half a minute where no name server answers. So look-ups have threads of
their own (the hub's ten are the event socket's as well), a name that is being looked up is waited for instead of
asked again, and one organization may have only so many names asked at a time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from gevent import monkey
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool

THREADS = 64
NAMES_OF_ONE = 8
"""Names of one organization that are asked at a time."""
LOOKUP_S = 30.0
"""A bound for whoever asks without a deadline of its own."""

Resolve = Callable[[str, int], Sequence[str]]
"""A host and port to its IP addresses; raises socket.gaierror. May wait, must not block the hub."""


_Asked: TypeAlias = "AsyncResult[Sequence[str] | Exception]"


class Names:
    """The system's resolver for many. `lookup` runs in a native thread: it must know nothing of gevent."""

    def __init__(self, lookup: Resolve | None = None) -> None:
        self._lookup = lookup or _system
        self._pool = ThreadPool(THREADS)
        self._asked: dict[tuple[str, int], _Asked] = {}
        self._places: dict[str, BoundedSemaphore] = {}

    def resolver(self, share: str = "") -> Resolve:
        """For one organization, whose look-ups share its places; without one they share nothing."""
        return lambda host, port: self._resolve(share, host, port)

    def _resolve(self, share: str, host: str, port: int) -> Sequence[str]:
        asked = self._asked.get((host, port)) or self._ask(share, host, port)
        if not asked.wait(LOOKUP_S) and not asked.ready():
            raise _too_late()
        found = asked.get(block=False)
        if isinstance(found, Exception):
            raise found
        return cast(Sequence[str], found)

    def _ask(self, share: str, host: str, port: int) -> _Asked:
        key = (host, port)
        places = self._places.setdefault(share, BoundedSemaphore(NAMES_OF_ONE)) if share else None
        if places is not None and not places.acquire(timeout=LOOKUP_S):
            raise _too_late()
        asked = self._asked.get(key)  # somebody may have asked for it while we waited for a place
        if asked is not None:
            if places is not None:
                places.release()
            return asked
        asked = self._asked[key] = AsyncResult()

        def answered(found: Sequence[str] | Exception) -> None:
            # Only now: who asked may have lost patience long ago, the thread has been busy all the same.
            del self._asked[key]
            if places is not None:
                places.release()
            asked.set(found)

        try:
            looking = self._pool.spawn(_answer, self._lookup, host, port)  # waits for a thread
        except BaseException:
            answered(_too_late())
            raise
        looking.rawlink(lambda done: answered(cast(Sequence[str] | Exception, done.get(block=False))))
        return asked


def _answer(lookup: Resolve, host: str, port: int) -> Sequence[str] | Exception:
    """What is found, or what is wrong: gevent's pool prints a traceback of what a thread raises."""
    try:
        return lookup(host, port)
    except Exception as error:
        return error


def _system(host: str, port: int) -> list[str]:
    """The system's resolver, in its order of preference."""
    getaddrinfo: Callable[..., list[Any]] = monkey.get_original("socket", "getaddrinfo")
    found = getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _too_late() -> socket.gaierror:
    return socket.gaierror(socket.EAI_AGAIN, "no name server answered in time")
