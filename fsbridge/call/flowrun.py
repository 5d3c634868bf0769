"""One flow on one channel: the interpreter's actions done, its results brought back. Shell, but it only sends.

The runner owns it, calls it from its own greenlet only, and tells it of completions and of time. The rules
are the interpreter's; what is here: an action is in flight at most once, a completion is matched on our own
Application-UUID, and nothing is sent after `stop`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fsbridge.call.inputs import FlowEnded, FlowResult
from fsbridge.esl.errors import CommandFailed, EslError
from fsbridge.esl.events import Event
from fsbridge.flow import interpreter
from fsbridge.flow.actions import (
    Action,
    Execute,
    Executed,
    FlowEnd,
    FlowOutcome,
    Refused,
    Result,
    TimedOut,
    Wait,
    Waited,
)
from fsbridge.flow.interpreter import Facts, FlowState, Turn
from fsbridge.flow.model import FlowDocument
from fsbridge.ids import ActionId, ChannelUuid, new_uuid


class Executor(Protocol):
    """What a node does for a flow: start an application on a channel. Raises EslError."""

    def execute(self, channel: ChannelUuid, action_id: ActionId, app: str, arg: str) -> None: ...


@dataclass(slots=True)
class FlowRun:
    """The state of a running flow; `deadline` is monotonic seconds, `ended` is set once and for all."""

    node: Executor
    channel: ChannelUuid
    state: FlowState | None = None
    action: Action | None = None
    action_id: ActionId | None = None
    deadline: float | None = None
    ended: FlowEnded | None = None
    stopped: bool = False

    def start(self, document: FlowDocument, variables: dict[str, object], facts: Facts, now: float) -> None:
        """Run the flow up to its first wait."""
        self._follow(interpreter.start(document, variables, facts), now)

    def on_event(self, event: Event, now: float) -> None:
        """Take the completion of the action in flight; everything else is left alone."""
        if self.stopped or event.name != "CHANNEL_EXECUTE_COMPLETE" or self.action_id is None:
            return
        if event.application_uuid != self.action_id:
            return
        prefix = "variable_"
        variables = {
            name.removeprefix(prefix): value for name, value in event.headers.items() if name.startswith(prefix)
        }
        self._resume(Executed(event.headers.get("Application-Response", ""), variables), now)

    def on_time(self, now: float) -> None:
        """Let a wait end, or give the action in flight up."""
        if self.stopped or self.deadline is None or now < self.deadline:
            return
        self._resume(Waited() if isinstance(self.action, Wait) else TimedOut(), now)

    def stop(self) -> None:
        """The channel is going: act no more."""
        self.stopped = True
        self.deadline = None

    def _resume(self, result: Result, now: float) -> None:
        state, self.action, self.action_id, self.deadline = self.state, None, None, None
        if state is not None:
            self._follow(interpreter.resume(state, result), now)

    def _follow(self, turn: Turn, now: float) -> None:
        while turn.end is None:
            self.state, self.action = turn.state, turn.action
            match turn.action:
                case Wait(seconds):
                    self.deadline = now + seconds
                    return
                case Execute(app, arg, deadline_s):
                    refusal = self._send(app, arg)
                    if refusal is None:
                        self.deadline = now + deadline_s
                        return
                    turn = interpreter.resume(turn.state, Refused(refusal))
                case None:
                    raise AssertionError("a turn has an action or an end")
        self.state = turn.state
        self.ended = _as_call_input(turn.end)

    def _send(self, app: str, arg: str) -> str | None:
        self.action_id = ActionId(new_uuid())
        try:
            self.node.execute(self.channel, self.action_id, app, arg)
        except CommandFailed as error:
            return str(error)
        except EslError as error:
            # The command may have arrived all the same: its deadline decides, as it does for a lost completion.
            return f"the node could not be told to {app}: {error}"
        return None


def _as_call_input(end: FlowEnd) -> FlowEnded:
    if end.outcome is FlowOutcome.BROKE:
        where = f"step {end.step}: " if end.step else ""
        return FlowEnded(FlowResult.BROKE, f"{where}{end.reason}", end.cause)
    return FlowEnded(FlowResult.FINISHED, end.reason, end.cause)
