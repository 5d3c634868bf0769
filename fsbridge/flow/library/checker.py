"""Who checks documents for the library, and the plain way: on a native thread of this process. Shell.

The plain way is for commands and tests. A service has other people's documents: `flow.library.checkers`.
"""

from __future__ import annotations

from typing import Protocol

from gevent.threadpool import ThreadPool

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.model import Defaults, FlowDocument
from fsbridge.flow.document.source import SourceError, read
from fsbridge.model.json import Json
from fsbridge.supervise import run_in_thread


class Checker(Protocol):
    """Checks documents of organizations; blocks the calling greenlet, never the hub. Each may raise FlowBusy."""

    def check(self, who: str, text: str, source: str, defaults: Defaults, *, first: bool = False) -> FlowDocument:
        """The text as a document. Raises FlowInvalid. `first`: a call waits for it."""

    def value(self, who: str, text: str) -> Json:
        """What the text says; None for what is no YAML."""

    def close(self) -> None:
        """Nothing more will be asked."""


class Here:
    """Checks one after the other in this process."""

    def __init__(self) -> None:
        self._pool = ThreadPool(1)

    def check(self, who: str, text: str, source: str, defaults: Defaults, *, first: bool = False) -> FlowDocument:
        """The text as a document. Raises FlowInvalid."""
        found = run_in_thread(self._pool, _caught, text, source, defaults)
        if isinstance(found, FlowInvalid):
            raise found
        return found

    def value(self, who: str, text: str) -> Json:
        """What the text says; None for what is no YAML."""
        return run_in_thread(self._pool, _value, text)

    def close(self) -> None:
        """Nothing to let go."""


def _caught(text: str, source: str, defaults: Defaults) -> FlowDocument | FlowInvalid:
    """For the thread; what is wrong is a value, since gevent's pool prints whatever a job raises."""
    try:
        return parse(text, source, defaults)
    except FlowInvalid as invalid:
        return invalid


def _value(text: str) -> Json:
    try:
        return read(text).value
    except SourceError:
        return None
