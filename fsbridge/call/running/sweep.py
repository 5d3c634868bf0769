"""Channels without a call, and calls without a channel: found by asking each node, now and then. Shell.

Events are lost, nodes are overloaded, this process dies: a record may end while its channel stays up, and is paid for,
and a channel may end while its call goes on. So every node is asked for its channels, when it is back and every minute.
One that is of a call that we keep, and of none that is live, is hung up, again and again until the node says that it
is gone; so is one whose hang-up was asked for and never confirmed. A live call whose channel is missing twice has it
looked up, and so has one that an unreadable event may have been of. Other people's channels, another fsbridge's on the
same node, and those that a flow has given away (`lifecycle.belonging`) are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from gevent.event import Event as Flag

from fsbridge.call.lifecycle.belonging import LEFT, SESSION, UNSET, Pursuit, counted, listed, owner
from fsbridge.call.running.registry import CallRegistry
from fsbridge.clock import Clock
from fsbridge.errors import FsbridgeError
from fsbridge.esl.commands import kill
from fsbridge.model.call import Call
from fsbridge.model.ids import ChannelUuid
from fsbridge.model.status import Phase
from fsbridge.nodes.node import Node
from fsbridge.store.base import Store
from fsbridge.supervise import Supervisor

log = structlog.get_logger(__name__)

SWEEP_S = 60.0
LIST_TIMEOUT_S = 15.0
"""How long the list may take: a node with thousands of channels writes megabytes."""
MAX_LISTED = 10_000
"""A node with more channels is not asked for the list: it would be larger than what the event socket takes."""
MAX_LOOKS = 500
"""Channels and calls looked at in one sweep; the next one goes on."""
MAX_PURSUED = 10_000
"""Channels of one node that are being hung up; a sweep finds again what did not fit."""
LATER_S = 2.0
"""After how long the channel of an ended call is looked after: what its runner still sends comes first."""
ASK_S = 1.0
"""After how long calls are asked after that have missed an event, and how often: the next event may tell as well."""
CAUSE = "NORMAL_CLEARING"


@dataclass(slots=True)
class _Watch:
    """What is known of one node: channels to be hung up, channels that are not ours, channels of live calls that it did
    not list the last time, those that are to be asked after, and when what is done next (monotonic seconds)."""

    node: Node
    sweep_at: float
    pursued: dict[ChannelUuid, Pursuit] = field(default_factory=dict)
    foreign: set[ChannelUuid] = field(default_factory=set)
    missing: set[ChannelUuid] = field(default_factory=set)
    doubtful: set[ChannelUuid] = field(default_factory=set)
    ask_at: float = 0.0
    woken: Flag = field(default_factory=Flag)

    def next_at(self) -> float:
        asking = [self.ask_at] if self.doubtful else []
        return min([self.sweep_at, *asking, *(pursuit.next_at for pursuit in self.pursued.values())])


class Sweep:
    """One task for each node. `found(node)` is told of every stray channel (metrics)."""

    def __init__(
        self,
        nodes: list[Node],
        registry: CallRegistry,
        store: Store,
        supervisor: Supervisor,
        clock: Clock,
        found: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._store = store
        self._supervisor = supervisor
        self._clock = clock
        self._found = found
        self._watches = {node.name: _Watch(node, clock.monotonic() + SWEEP_S) for node in nodes}

    def start(self) -> None:
        """Begin to watch."""
        for name, watch in self._watches.items():
            self._supervisor.spawn_essential(f"sweep {name}", self._keep, watch)

    def after_reconnect(self, node: str) -> None:
        """The node is back: sweep now. Never blocks."""
        watch = self._watches[node]
        if watch.node.born_in_epoch == watch.node.epoch:
            # Another process runs there: what the former one had is gone.
            watch.pursued.clear()
            watch.foreign.clear()
        watch.sweep_at = self._clock.monotonic()
        watch.woken.set()

    def let_go(self, call: Call) -> None:
        """A call has ended and is kept: where nobody has confirmed its channel's end, that is seen to. Never blocks."""
        watch = self._watches.get(call.node)
        if watch is not None and call.hangup is None:
            self._pursue(watch, call.channel, LATER_S)
            watch.woken.set()

    def missed(self, node: str, channel: str | None) -> None:
        """An event could not be read: of this channel, or nobody knows of which. Never blocks."""
        watch = self._watches[node]
        known = self._registry.of_channel(ChannelUuid(channel or ""))
        calls = [known] if known is not None else [] if channel else self._registry.on_node(node)
        if not watch.doubtful:
            watch.ask_at = max(watch.ask_at, self._clock.monotonic() + ASK_S)
        watch.doubtful.update(runner.call.channel for runner in calls if runner.call.channel_seen)
        watch.woken.set()

    def pursued(self, node: str) -> int:
        """How many channels of a node are being hung up."""
        return len(self._watches[node].pursued)

    # --- inside ------------------------------------------------------------------------------------------

    def _keep(self, watch: _Watch) -> None:
        while True:
            watch.woken.wait(max(0.0, watch.next_at() - self._clock.monotonic()))
            watch.woken.clear()
            if not watch.node.wait_connected(SWEEP_S):
                continue
            try:
                if watch.sweep_at <= self._clock.monotonic():
                    watch.sweep_at = self._clock.monotonic() + SWEEP_S
                    self._sweep(watch)
                if watch.doubtful and watch.ask_at <= self._clock.monotonic():
                    watch.ask_at = self._clock.monotonic() + ASK_S
                    self._ask_after(watch)
                self._hang_up(watch)
            except FsbridgeError as error:
                # What is due stays due: it is tried again with the next pursuit, sweep or connection.
                log.warning("sweep_interrupted", node=watch.node.name, error=str(error))

    def _sweep(self, watch: _Watch) -> None:
        node = watch.node
        count = counted(node.api("show channels count as json"))
        if count is None or count > MAX_LISTED:
            log.warning("sweep_left_out", node=node.name, channels=count)
            return
        # Before the list: what is placed while it is made is not on it.
        calls = [runner for runner in self._registry.on_node(node.name) if _has_channel(runner.call)]
        rows = listed(node.api("show channels as json", LIST_TIMEOUT_S))
        if rows is None:
            log.warning("sweep_not_understood", node=node.name)
            return
        there = {row.channel for row in rows}
        watch.foreign &= there
        unknown = there - watch.foreign - watch.pursued.keys()
        for channel in [each for each in unknown if self._registry.of_channel(each) is None][:MAX_LOOKS]:
            self._look_at_channel(watch, channel)
        gone = [runner for runner in calls if runner.call.channel not in there]
        for runner in gone[:MAX_LOOKS]:
            # The first time its last events may be on the way.
            if runner.call.channel in watch.missing and _has_channel(runner.call):
                runner.post(runner.switch.look(runner.call.channel))
        watch.missing = {runner.call.channel for runner in gone}

    def _look_at_channel(self, watch: _Watch, channel: ChannelUuid) -> None:
        node = watch.node
        said = node.api(f"uuid_getvar {channel} {SESSION}").strip()
        if said.startswith("-ERR"):
            return
        dump = node.channel_dump(channel) if said not in ("", UNSET) else {}
        if dump is None:
            return
        whose = owner(dump)
        if whose is None or self._store.get(whose.org, whose.session) is None:
            watch.foreign.add(channel)
        elif self._registry.of_channel(channel) is None:
            log.warning("stray_channel", node=node.name, channel=channel, session_id=whose.session)
            self._found(node.name)
            self._pursue(watch, channel)

    def _ask_after(self, watch: _Watch) -> None:
        doubtful, watch.doubtful = watch.doubtful, set()
        for channel in doubtful:
            runner = self._registry.of_channel(channel)
            if runner is not None:
                runner.post(runner.switch.look(channel))

    def _pursue(self, watch: _Watch, channel: ChannelUuid, after_s: float = 0.0) -> None:
        if len(watch.pursued) < MAX_PURSUED:
            watch.pursued.setdefault(channel, Pursuit(self._clock.monotonic() + after_s))

    def _hang_up(self, watch: _Watch) -> None:
        now = self._clock.monotonic()
        for channel in [channel for channel, pursuit in watch.pursued.items() if pursuit.next_at <= now]:
            # Before the command: whatever becomes of it, the next try comes later.
            watch.pursued[channel] = watch.pursued[channel].again(now)
            if self._is_gone(watch.node, channel):
                del watch.pursued[channel]

    def _is_gone(self, node: Node, channel: ChannelUuid) -> bool:
        """Hang a channel up; whether it had gone before, or was given away."""
        left = node.api(f"uuid_getvar {channel} {LEFT}").strip()
        if left not in ("", UNSET):
            return True  # or the node says that there is no such channel
        return node.command(kill(channel, CAUSE)).startswith("-ERR No such channel")


def _has_channel(call: Call) -> bool:
    """Whether a live call's channel must be there: seen, and not known to be on its way out."""
    return call.channel_seen and not call.ended and call.phase not in (Phase.QUEUED, Phase.HANGING_UP)
