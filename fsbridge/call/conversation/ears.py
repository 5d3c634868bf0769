"""How a running flow hears the far end: a tap to a detector that tells what it hears, and digits from FreeSWITCH.

Shell: it starts and stops the tap, beside the call's greenlet. What has been heard and whether it is what was expected
is `flow.listening.expect`'s. One tap at a time is on while a voice bot has the audio (`pause`, `resume`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent
import numpy as np
from numpy.typing import NDArray

from amd_model.verdict import UnknownWord, WireError, decode_event, decode_heard, is_heard
from fsbridge.amd import fork
from fsbridge.errors import FsbridgeError
from fsbridge.esl.events import Event
from fsbridge.flow.document.expectation import Expectation
from fsbridge.flow.interpreter.actions import Heard, Refused
from fsbridge.flow.listening import expect
from fsbridge.supervise import run_in_thread

Fingerprint = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tapping:
    """What ears need: `start` and `stop` the tap (blocking), do something `beside`, a recording's `reference`.

    `start` raises FsbridgeError, `reference` OSError or ValueError, in words.
    """

    start: Callable[[], None]
    stop: Callable[[], None]
    beside: Callable[[str, Callable[[], None]], None]
    reference: Callable[[str], Fingerprint]


@dataclass(slots=True)
class Ears:
    """One call's ears; of the call's greenlet only."""

    tapping: Tapping
    hearing: expect.Hearing = field(default_factory=expect.Hearing)
    failure: str = ""
    _open: bool = False
    _references: dict[str, Fingerprint] = field(default_factory=dict)

    def open(self) -> None:
        """Begin to listen."""
        self._open = True
        self.tapping.beside("start_ears", self._start)

    def pause(self) -> None:
        """Somebody else has the audio for a while; the tap has ended when this returns."""
        if self._open:
            self._stop()

    def close(self) -> None:
        """Listen no more, though the channel lives on."""
        if self._open:
            self._open = False
            self.tapping.beside("stop_ears", self._stop)

    def resume(self) -> None:
        """Listen again."""
        if self._open:
            self.failure = ""
            self.hearing.restart()  # a new tap's clock begins anew
            self.tapping.beside("start_ears", self._start)

    def mark(self) -> None:
        """The flow acts: what was heard before is no answer to it."""
        self.hearing.mark()

    def on_event(self, event: Event) -> None:
        """Take what the detector or FreeSWITCH tells."""
        if event.name == "DTMF":
            self.hearing.hear(expect.from_dtmf(event.headers.get("DTMF-Digit", "")))
            return
        if event.name != "CUSTOM" or not self._open:
            return
        match fork.read(event.subclass, event.body):
            case fork.Connected():
                self.failure = ""
            case fork.Failed(detail):
                self.failure = detail
            case fork.Said(text):
                self._hear(text)
            case None:
                pass

    def listen(self, expectation: Expectation) -> Heard | Refused | None:
        """Begin to wait for something: it may have been heard already, or be out of hearing for good."""
        if expectation.audio_like is not None:
            file = expectation.audio_like.file
            try:
                self._references[file] = self.tapping.reference(file)
            except (OSError, ValueError) as error:
                return Refused(f"{file}: {error}")
        return self.match(expectation)

    def match(self, expectation: Expectation) -> Heard | None:
        """What was expected, once it has been heard."""
        like = expectation.audio_like
        if like is None:
            evidence = expect.match(expectation, self.hearing)
        else:
            # Tens of milliseconds of arithmetic twice a second: this call may wait for it, the hub may not.
            pool = gevent.get_hub().threadpool
            evidence = run_in_thread(pool, expect.match, expectation, self.hearing, self._references.get(like.file))
        return Heard(evidence.what, evidence.at_ms, evidence.detail) if evidence is not None else None

    def instead(self, expectation: Expectation) -> str:
        """What was heard instead, in words."""
        if self.failure and expectation.listens:
            return f"the far end could not be heard: {self.failure}"
        return expect.nothing(expectation, self.hearing)

    def _hear(self, text: str) -> None:
        try:
            sound = expect.from_heard(decode_heard(text)) if is_heard(text) else expect.from_amd(decode_event(text))
        except UnknownWord:
            return
        except WireError as error:
            self.failure = str(error)
        else:
            self.hearing.hear(sound)

    def _stop(self) -> None:
        with contextlib.suppress(FsbridgeError):
            self.tapping.stop()

    def _start(self) -> None:
        try:
            self.tapping.start()
        except FsbridgeError as error:
            self.failure = str(error)
