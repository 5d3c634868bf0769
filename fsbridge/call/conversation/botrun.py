"""A voice bot on one channel: the fork to it, its commands done, until its part is over. Shell, but it only sends.

Owned by the flow's run, in the call's greenlet. The rules are `flow.interpreter.bot`'s. What is in flight is at most
one execution; the bot is stopped when its part is over, however it ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fsbridge.amd import fork
from fsbridge.call.conversation.executor import BREAK_S, Executor, Watch, completed
from fsbridge.esl.errors import CommandTimeout, EslError
from fsbridge.esl.events import Event
from fsbridge.flow.document import parts
from fsbridge.flow.document.model import FlowDocument
from fsbridge.flow.interpreter import bot
from fsbridge.flow.interpreter.actions import Execute, OpenStream, Refused, Result, Streamed, StreamEnd
from fsbridge.model.ids import ActionId, ChannelUuid, new_uuid


@dataclass(slots=True)
class BotRun:
    """`ended` is set once the bot's part is over; `deadline` is when `on_time` has to be called."""

    node: Executor
    channel: ChannelUuid
    action: OpenStream
    document: FlowDocument
    step: parts.Stream
    known: Mapping[str, Any]
    part: bot.Part | None = None
    ended: Result | None = None
    deadline: float | None = None
    _executing: ActionId | None = None
    _asked: str = ""
    _watch: Watch = field(default_factory=Watch)
    _cut: bool = False
    _last: bot.Depart | bot.Finish | None = None

    def start(self, now: float) -> Refused | None:
        """Fork the audio; why not, if that is known at once."""
        try:
            self.node.start_bot(self.channel, self.action)
        except CommandTimeout:
            pass  # it may have been done: the bot comes in time, or does not
        except (EslError, ValueError) as error:
            return Refused(f"the audio could not be streamed: {error}")
        self.deadline = now + self.action.connect_s
        return None

    def on_event(self, event: Event, now: float) -> None:
        """The fork's own events, the bot's words and the far end's digits."""
        if self.ended is not None:
            return
        if event.name == "DTMF" and self.part is not None:
            self._cut = True
            self._do(bot.digit(self.part, event.headers.get("DTMF-Digit", "")), now)
            return
        if event.name != "CUSTOM":
            return
        match fork.read(event.subclass, event.body):
            case fork.Connected():
                self.part = bot.begin(self.document, self.step, self.known)
                self.deadline = now + self.action.deadline_s
            case fork.Failed(detail):
                if self.part is None:
                    self._end(Refused(detail))
                else:
                    self._finish(bot.gone(self.part), now)
            case fork.Said(text) if self.part is not None:
                self._do(bot.hear(self.part, text), now)
            case _:
                pass

    def on_completion(self, event: Event, now: float) -> None:
        """What the bot had played has ended."""
        if self.ended is not None or self.part is None or event.application_uuid != self._executing:
            return
        self._executing = None
        took_s = self._watch.done(event)
        if self._last is not None:
            self._leave(self._last)
        else:
            self._do(bot.executed(self.part, completed(event, self._asked, took_s, cut=self._cut)), now)
        self._watch.idle()

    def on_time(self, now: float) -> None:
        """The bot did not come, or its time is up."""
        if self.ended is not None or self.deadline is None or now < self.deadline:
            return
        if self._last is not None:
            self._leave(self._last)
        elif self.part is None:
            self._end(Refused(f"the bot did not connect within {self.action.connect_s:g} s"))
        else:
            self._finish(bot.Finish(Streamed(StreamEnd.BOUND, self.part.variables)), now)

    def stop(self) -> None:
        """End the fork; a channel that is gone took it along."""
        with contextlib.suppress(EslError):
            self.node.stop_bot(self.channel)

    def _do(self, step: tuple[bot.Part, tuple[bot.Effect, ...]], now: float) -> None:
        self.part, effects = step
        for effect in effects:
            match effect:
                case Execute():
                    self._execute(effect, now)
                case bot.Break():
                    self._break()
                case bot.Say(message):
                    with contextlib.suppress(EslError):
                        self.node.tell_bot(self.channel, message)
                case bot.Depart() | bot.Finish():
                    self._finish(effect, now)

    def _execute(self, execute: Execute, now: float) -> None:
        self._executing = ActionId(new_uuid())
        self._asked, self._cut = execute.arg, False
        self._watch.sent()
        try:
            self.node.execute(self.channel, self._executing, execute.app, execute.arg)
        except CommandTimeout:
            pass  # it may play all the same: its completion is waited for
        except EslError as error:
            self._executing = None  # nothing plays, so the next may
            if self.part is not None and self._last is None:
                self._do(bot.executed(self.part, Refused(str(error))), now)

    def _finish(self, last: bot.Depart | bot.Finish, now: float) -> None:
        """The end, once what plays has stopped: the flow's next application would run inside it."""
        if self._executing is None:
            self._leave(last)
            return
        self._last, self.deadline = last, now + BREAK_S
        self._break()

    def _leave(self, last: bot.Depart | bot.Finish) -> None:
        result: Result = last.result
        if isinstance(last, bot.Depart):
            try:
                self.node.execute(self.channel, ActionId(new_uuid()), last.execute.app, last.execute.arg)
            except CommandTimeout:
                pass  # it may have been done: where the channel has gone to, its events tell
            except EslError as error:
                result = Refused(f"the transfer that the bot asked for was refused: {error}")
        self._end(result)

    def _break(self) -> None:
        self._cut = True
        if self._executing is not None:
            with contextlib.suppress(EslError):
                self.node.break_off(self.channel)

    def _end(self, result: Result) -> None:
        if self.ended is None:
            self.ended = result
            self.stop()
