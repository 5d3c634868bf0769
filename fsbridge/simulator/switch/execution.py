"""What a channel's thread does: the applications it runs, one inside the other, and how they unwind at its end.

Executes nest, they do not queue: a message that arrives while an application waits is run inside it, and the outer
one's time stands still meanwhile (tests/traces/executes_queued.jsonl). Messages are noticed at the next 20 ms frame.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fsbridge.simulator.audio.lines import FRAME_SECONDS
from fsbridge.simulator.switch.headers import Header
from fsbridge.simulator.time.process import BREAK, DIGIT, HANGUP, App, Body, Process
from fsbridge.simulator.time.scheduler import Scheduler, Timer

MAX_MESSAGES = 1000
MAX_NESTED = 100


@dataclass(frozen=True, slots=True)
class Message:
    """One ``sendmsg … execute``: the application, its argument, the id to report as Application-UUID."""

    application: str
    argument: str
    uuid: str
    headers: tuple[Header, ...] = ()
    """The command's own lines: PRIVATE_COMMAND shows them."""


class Executing(Protocol):
    """A channel, as its thread sees it."""

    variables: dict[str, str]

    @property
    def hung_up(self) -> bool: ...

    @property
    def answered(self) -> bool: ...

    def expand(self, text: str) -> str: ...

    def fire(
        self, name: str, extra: Sequence[Header] = (), *, variables: bool = True, first: Sequence[Header] = ()
    ) -> None: ...

    def application(self, name: str, argument: str) -> App | None: ...

    def hang_up(self, cause: str, *, in_thread: bool = False) -> None: ...

    def finish(self) -> None:
        """The thread has unwound after a hang-up."""
        ...


class Execution:
    """The stack of running applications of one channel, and the messages that wait for it."""

    def __init__(self, channel: Executing, scheduler: Scheduler) -> None:
        self._channel = channel
        self._scheduler = scheduler
        self._stack: list[Process] = []
        self._inbox: deque[Message] = deque()
        self._plan: deque[tuple[str, str]] = deque()
        self._notice_timer: Timer | None = None
        self._taking_off = False
        self._held: int | None = None
        """How many messages waited when `hold` was called, if it was: these are lost, later ones are not."""
        self._ended = False
        self._away = False
        self._leaving: Callable[[], None] | None = None
        self.digits: deque[str] = deque(maxlen=128)
        """Digits that an application may still take; an application that does not collect them drops them."""

    @property
    def running(self) -> bool:
        return bool(self._stack)

    @property
    def current(self) -> Process:
        """The application that runs now: an application that waits for something from outside has it woken."""
        return self._stack[-1]

    def take_off(self) -> None:
        """End whatever runs, as a change of the channel's state does.

        Messages that wait are run on a channel that is on its way already: they end as they begin
        (tests/traces race_*_before_park).
        """
        if self._notice_timer is not None:
            self._notice_timer.cancel()
            self._notice_timer = None
        self._taking_off = True
        try:
            self._unwind_stack()
            lost = len(self._inbox) if self._held is None else self._held
            while lost and self._inbox and not self._channel.hung_up:
                lost -= 1
                self._push(self._inbox.popleft())
                self._unwind_stack()
        finally:
            self._taking_off = False

    def hold(self) -> None:
        """The channel is on its way to its application: what is sent from now on waits for that, and runs inside it.

        Of 560 applications that were sent at ``+OK`` none was lost, though `park` came up to 130 ms later.
        """
        self._held = len(self._inbox)

    def begin(self, plan: Iterable[tuple[str, str]]) -> None:
        """Run these applications one after the other; when the last one ends, the channel hangs up."""
        self._plan = deque(plan)
        self._away, self._held = False, None
        self._after()

    def attend(self) -> None:
        """Run nothing of its own, but take messages: a leg that a bridge was placed or made for."""
        self._start(self._attending())

    def _attending(self) -> Body:
        while (yield None) != HANGUP:
            self.digits.clear()

    def leave(self, then: Callable[[], None], *, in_thread: bool = False) -> None:
        """Unwind every application without a hang-up, as for a transfer, and do `then`; nothing runs until `begin`.

        in_thread: called by an application of the channel's own, which ends first.
        """
        self._leaving = then
        if not in_thread:
            self._scheduler.call_later(FRAME_SECONDS, self._after)

    def send(self, message: Message) -> bool:
        """Take a message; False when too many wait."""
        if len(self._inbox) >= MAX_MESSAGES:
            return False
        self._inbox.append(message)
        if self._stack and self._held is None:
            self._notice_later()
        return True

    def break_off(self, everything: bool) -> None:
        """`uuid_break`: stop what plays; the rest of the inbox too when `everything`."""
        if everything:
            self._inbox.clear()
        if self._stack:
            top = self._stack[-1]
            self._scheduler.call_later(FRAME_SECONDS, lambda: top.wake(BREAK))

    def digit(self, digit: str) -> None:
        """A digit from the far end: for the application on top."""
        self.digits.append(digit)
        if self._stack:
            self._stack[-1].wake(DIGIT)

    def unwind(self) -> None:
        """The channel has been hung up: end every application from the top, then the channel."""
        if self._ended:
            return
        self._inbox.clear()
        self._unwind_stack()
        if not self._ended:
            self._ended = True
            self._channel.finish()

    def _unwind_stack(self) -> None:
        while self._stack:
            top = self._stack[-1]
            top.resume()
            top.wake(HANGUP)
            if self._stack and self._stack[-1] is top:
                top.stop()
                self._stack.pop()

    def _notice_later(self) -> None:
        if self._notice_timer is None:
            self._notice_timer = self._scheduler.call_later(FRAME_SECONDS, self._notice)

    def _notice(self) -> None:
        self._notice_timer = None
        self._run_inbox()

    def _run_inbox(self) -> None:
        while self._inbox and self._stack and not self._channel.hung_up:
            if len(self._stack) > MAX_NESTED:
                self._inbox.clear()
                self._channel.hang_up("SWITCH_CONGESTION")
                return
            self._push(self._inbox.popleft())
        self._after()

    def run_inside(self, application: str, argument: str) -> None:
        """Run an application now, inside whatever runs."""
        self._push(Message(application, argument, str(uuid.uuid4())))

    def _push(self, message: Message) -> None:
        application = self._channel.application(message.application, message.argument)
        if application is None:
            # Nothing is told of it, but the call is given up (switch_core_session.c).
            self._channel.hang_up("DESTINATION_OUT_OF_ORDER", in_thread=True)
        else:
            self._start(self._body(message, application))

    def _start(self, body: Body) -> None:
        if self._stack:
            self._stack[-1].suspend()
        process = Process(self._scheduler, body, lambda: self._popped(process))
        self._stack.append(process)
        process.start()

    def _popped(self, process: Process) -> None:
        self._stack.remove(process)
        unwinding = self._taking_off or self._channel.hung_up or self._leaving is not None
        if self._stack and not unwinding:
            self._stack[-1].resume()
            if self._inbox and self._held is None:
                self._notice_later()
        else:
            # From within a generator's last step: let it return before the rest unwinds.
            self._scheduler.call_later(0.0, self._after)

    def _after(self) -> None:
        """What comes next, when nothing runs or nothing may run any more."""
        if self._ended or self._notice_timer is not None:
            return
        if self._channel.hung_up:
            self.unwind()
        elif self._leaving is not None:
            then, self._leaving = self._leaving, None
            self._plan.clear()
            self._away = True
            self._unwind_stack()
            if self._channel.hung_up:
                self.unwind()
            else:
                then()
        elif not self._stack and self._plan:
            application, argument = self._plan.popleft()
            self._push(Message(application, self._channel.expand(argument), str(uuid.uuid4())))
            if self._channel.hung_up and not self._stack:
                self.unwind()
            elif self._inbox:
                self._notice_later()
        elif not self._stack and not self._away:
            self._channel.hang_up("NORMAL_CLEARING", in_thread=True)
            self.unwind()

    def _body(self, message: Message, application: App) -> Body:
        channel = self._channel
        variables = channel.variables
        variables["current_application"] = message.application
        if message.argument:
            variables["current_application_data"] = message.argument
        else:
            variables.pop("current_application_data", None)
        # Each application starts without a response, so an outer one shows what ran inside it last.
        variables.pop("current_application_response", None)
        described = [
            ("Application", message.application),
            *([("Application-Data", message.argument)] if message.argument else []),
        ]
        identity = ("Application-UUID", message.uuid)
        channel.fire("CHANNEL_EXECUTE", [*described, identity])
        answered = channel.answered
        response = yield from application
        if response:
            variables["current_application_response"] = response
        shown = variables.get("current_application_response", "_none_")
        channel.fire("CHANNEL_EXECUTE_COMPLETE", [*described, ("Application-Response", shown), identity])
        # A parked call that is not answered yet shows none (tests/traces/inbound_call_parked.jsonl).
        if message.headers and answered:
            channel.fire("PRIVATE_COMMAND", variables=False, first=message.headers)
