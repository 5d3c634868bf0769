"""The called side of one call: plays a far-end script in simulated time. It knows nothing of events or commands."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol, assert_never

from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE, Line
from fsbridge.simulator.farends.script import (
    Answer,
    EarlyMedia,
    Echo,
    FarEnd,
    Fax,
    HangUp,
    Listen,
    Loop,
    Menu,
    NeverAnswer,
    Play,
    Press,
    Record,
    Redirect,
    Refer,
    Reject,
    Ring,
    Silence,
    Speak,
    Step,
    Tone,
    Vanish,
    WaitDtmf,
)
from fsbridge.simulator.time.process import Body, Process
from fsbridge.simulator.time.scheduler import Scheduler

_POLL = 0.1
"""How often a listening far end hears whether the caller still speaks, simulated seconds."""

_PRESS_SECONDS = 0.25
_GONE = "gone"
_DIGIT = "digit"
_ANSWERED = "answered"


class Call(Protocol):
    """What a called side can do to a call, and the two directions of its audio."""

    heard: Line
    said: Line

    def sample(self) -> int: ...

    def ring(self) -> None: ...

    def early_media(self) -> None: ...

    def answer(self) -> None: ...

    def refuse(self, status: int, *, q850: int = 0) -> None:
        """q850: the cause in the Reason header, if there is one."""
        ...

    def refer(self, extension: str) -> None:
        """REFER: whom it is bridged with is to go to this extension."""
        ...

    def redirect(self, number: str) -> None:
        """302: the call is to go to this number."""
        ...

    def vanish(self) -> None:
        """No packet comes any more."""
        ...

    def hang_up_from_far_end(self, cause: str) -> None: ...

    def press(self, digit: str) -> None: ...


class _Gone(Exception):
    """The caller has hung up."""


class _Pressed(Exception):
    """A digit has come while a menu's prompt plays or waits."""


class Callee:
    """Plays `script` against `call`. `on_message(pcm)` gets what a `record` step took down."""

    def __init__(
        self,
        scheduler: Scheduler,
        call: Call,
        script: FarEnd,
        number: str,
        on_message: Callable[[bytes], None],
        *,
        calls: bool = False,
    ) -> None:
        """calls: the script is that of the calling side of an inbound call."""
        self._scheduler = scheduler
        self._call = call
        self._script = script
        self._number = number
        self._on_message = on_message
        self._calls = calls
        self._answered = False
        self._interruptible = False
        self._digits: list[str] = []
        self._process = Process(scheduler, self._body())

    def start(self) -> None:
        self._process.start()

    def caller_gone(self) -> None:
        self._process.wake(_GONE)

    def line_answered(self) -> None:
        """The call of a calling side has been answered."""
        self._answered = True
        self._process.wake(_ANSWERED)

    def hear_digit(self, digit: str) -> None:
        self._digits.append(digit)
        del self._digits[:-128]
        self._process.wake(_DIGIT)

    def _body(self) -> Body:
        try:
            if self._calls and not isinstance(self._script.steps[0], Ring | Answer | Silence):
                yield from self._await_answer(None)
            yield from self._steps(self._script.steps)
        except _Gone:
            return

    def _steps(self, steps: tuple[Step, ...]) -> Generator[float | None, str, None]:
        for step in steps:
            yield from self._step(step)

    def _step(self, step: Step) -> Generator[float | None, str, None]:
        call = self._call
        match step:
            case Ring(seconds) if self._calls:
                yield from self._await_answer(seconds)
            case Answer() if self._calls:
                yield from self._await_answer(None)
            case Ring(seconds):
                call.ring()
                yield from self._pass(seconds)
            case EarlyMedia():
                call.early_media()
            case Answer():
                call.answer()
            case Play(files, text):
                yield from self._play(sound.load(files[sum(map(ord, self._number)) % len(files)]), text)
            case Speak(text):
                yield from self._play(sound.stand_in_speech(text), text)
            case Echo(seconds):
                call.heard.feed(call.sample(), [(call.said, 0)])
                yield from self._pass(seconds)
                call.heard.unfeed(call.sample())
            case Menu():
                yield from self._menu(step)
            case Silence(seconds):
                yield from self._pass(seconds)
            case Tone(hz, seconds, level):
                yield from self._play(sound.tone(hz, seconds, level))
            case Fax(seconds):
                yield from self._play(sound.answer_tone(seconds))
            case Press(digits):
                for digit in digits:
                    yield from self._pass(0.5 if digit in "wW" else _PRESS_SECONDS)
                    if digit not in "wW":
                        call.press(digit.upper())
            case WaitDtmf(count, until, seconds):
                yield from self._wait_dtmf(count, until, seconds)
            case Listen(quiet, seconds):
                yield from self._listen(quiet, seconds, None)
            case Record(seconds, quiet):
                yield from self._record(seconds, quiet)
            case Loop(times, inner):
                turn = 0
                while not times or turn < times:
                    turn += 1
                    yield from self._steps(inner)
            case HangUp(cause):
                call.hang_up_from_far_end(cause)
                raise _Gone
            case Reject(status, q850):
                call.refuse(status, q850=q850)
                raise _Gone
            case Refer(extension):
                call.refer(extension)
            case Redirect(number):
                call.redirect(number)
                raise _Gone
            case Vanish():
                call.vanish()
                raise _Gone
            case NeverAnswer():
                while True:
                    yield from self._pass(3600.0)
            case _:
                assert_never(step)

    def _await_answer(self, seconds: float | None) -> Generator[float | None, str, None]:
        end = None if seconds is None else self._scheduler.now() + seconds
        while not self._answered:
            left = None if end is None else end - self._scheduler.now()
            if left is not None and left <= 0:
                return
            if (yield left) == _GONE:
                raise _Gone

    def _pass(self, seconds: float) -> Generator[float | None, str, None]:
        """Let time pass, whatever digits come unless a menu waits for one; the end of the call ends the script."""
        end = self._scheduler.now() + seconds
        while (left := end - self._scheduler.now()) > 0:
            if (yield left) == _GONE:
                raise _Gone
            if self._interruptible and self._digits:
                raise _Pressed

    def _menu(self, menu: Menu) -> Generator[float | None, str, None]:
        for _ in range(menu.times):
            self._digits.clear()
            self._interruptible = True
            try:
                yield from self._steps(menu.prompt)
                yield from self._pass(menu.seconds)
            except _Pressed:
                self._call.heard.cut(self._call.sample())
            finally:
                self._interruptible = False
            pressed = self._digits.pop(0) if self._digits else ""
            chosen = dict(menu.choices).get(pressed)
            if chosen is not None:
                yield from self._steps(chosen)
                return
            yield from self._steps(menu.otherwise)

    def _play(self, pcm: bytes, text: str = "") -> Generator[float | None, str, None]:
        self._call.heard.play(self._call.sample(), pcm, text)
        yield from self._pass(len(pcm) / 2 / RATE)

    def _wait_dtmf(self, count: int, until: str, seconds: float) -> Generator[float | None, str, None]:
        end = self._scheduler.now() + seconds
        while True:
            if (until and until in self._digits) or (count and len(self._digits) >= count):
                self._digits.clear()
                return
            left = end - self._scheduler.now()
            if left <= 0:
                return
            if (yield left) == _GONE:
                raise _Gone

    def _listen(self, quiet: float, seconds: float, start: int | None) -> Generator[float | None, str, None]:
        """Wait until the caller has been heard and then quiet for `quiet` seconds, at most `seconds`."""
        call = self._call
        at = call.sample() if start is None else start
        end = at + int(seconds * RATE)
        last_heard: int | None = None
        while at < end:
            yield from self._pass(_POLL)
            now = call.sample()
            if sound.heard(call.said.read(at, now - at)):
                last_heard = now
            at = now
            if last_heard is not None and now - last_heard >= quiet * RATE:
                return

    def _record(self, seconds: float, quiet: float) -> Generator[float | None, str, None]:
        call = self._call
        start = call.sample()
        try:
            yield from self._listen(quiet, seconds, start)
        finally:
            self._on_message(call.said.read(start, min(call.sample() - start, call.said.keep_samples)))
