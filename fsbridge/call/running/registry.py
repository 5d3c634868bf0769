"""The live calls of this process, and the way of an event to its call.

`on_event` is called by the readers of the event sockets: it looks the channel up and hands the event on, no
more. A call leaves the registry when it is terminal and its record kept.
"""

from __future__ import annotations

from fsbridge.call.running.runner import CallRunner
from fsbridge.esl.events import Event
from fsbridge.model.ids import ChannelUuid, SessionId


class CallRegistry:
    """Runners by session and by channel uuid."""

    def __init__(self) -> None:
        self._by_session: dict[str, CallRunner] = {}
        self._by_channel: dict[str, CallRunner] = {}

    def __len__(self) -> int:
        return len(self._by_session)

    def add(self, runner: CallRunner) -> None:
        """Before the originate is written: its events may come before the command's reply."""
        self._by_session[runner.call.session_id] = runner
        self._by_channel[runner.call.channel] = runner

    def remove(self, runner: CallRunner) -> None:
        """The call has ended and is kept."""
        self._by_session.pop(runner.call.session_id, None)
        self._by_channel.pop(runner.call.channel, None)

    def find(self, session_id: SessionId) -> CallRunner | None:
        """The live call of that session."""
        return self._by_session.get(session_id)

    def of_channel(self, channel: ChannelUuid) -> CallRunner | None:
        """The live call whose channel it is."""
        return self._by_channel.get(channel)

    def on_event(self, event: Event) -> None:
        """Hand a channel's event to its call; events of channels that are not ours go nowhere."""
        runner = self._by_channel.get(event.unique_id or "")
        if runner is not None:
            runner.post(event)

    def on_node(self, node: str) -> list[CallRunner]:
        """The live calls of a node."""
        return [runner for runner in self._by_session.values() if runner.call.node == node]

    def all(self) -> list[CallRunner]:
        """Every live call."""
        return list(self._by_session.values())
