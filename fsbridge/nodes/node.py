"""One FreeSWITCH node: a connection kept alive, and what is known of the node's health. Shell.

Life of the connection: connect, subscribe, ask who it is and how it stands, tell `on_up` (so that the calls
resynchronise), watch HEARTBEAT, and, when it is lost or silent, tell `on_down` and try again, after a pause that
doubles to a bound with jitter. How it stands is asked again with each HEARTBEAT, when a call's end casts doubt on it,
and often while it stands badly. Events go to `on_event` as they come; it must not block.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import gevent
import structlog
from gevent.event import Event as Flag

from fsbridge.clock import Clock
from fsbridge.esl.client import EslClient
from fsbridge.esl.commands import Command, Filter, Subscribe
from fsbridge.esl.errors import CommandTimeout, EslError, EslNotSent
from fsbridge.esl.events import Event, Unreadable, read_dump
from fsbridge.esl.session import JobResult
from fsbridge.model.ids import ActionId, ChannelUuid, JobUuid, is_uuid
from fsbridge.nodes.standing import DOUBTFUL, QUESTIONS, Health, Standing, read_health, read_standing, reason
from fsbridge.settings.nodes import NodeSettings
from fsbridge.supervise import Supervisor

log = structlog.get_logger(__name__)

BACKOFF_S = (0.5, 15.0)
WATCH_INTERVAL_S = 1.0

MAX_MODULES = 64
"""Modules whose presence is remembered."""

UNFILTERABLE = frozenset({"DTMF", "DETECTED_TONE"})
"""Channel events that our filter on `fsbridge_node` would drop, so they are let in by name, other people's calls
included: they carry no channel variables (fs-traces/far_end_sends_dtmf, fax_answers)."""


@dataclass(frozen=True, slots=True)
class NodeEvents:
    """Whom a node tells what; none of these may block, except `on_up`, which runs in a greenlet of its own.

    `on_unreadable` is told the channel of an event that could not be read, where that much of it could.
    """

    on_event: Callable[[Node, Event], None]
    on_unreadable: Callable[[Node, str | None], None]
    on_up: Callable[[Node], None]
    on_down: Callable[[Node], None]


class Node:
    """Keeps one node's event socket up from `start` to `stop`.

    `of_any_channel` are events that are wanted of every channel, not only of those that carry our `fsbridge_node`.
    """

    def __init__(
        self,
        settings: NodeSettings,
        supervisor: Supervisor,
        clock: Clock,
        events: NodeEvents,
        subscription: tuple[tuple[str, ...], tuple[str, ...]],
        backoff_s: tuple[float, float] = BACKOFF_S,
        of_any_channel: tuple[str, ...] = (),
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.epoch = 0
        self.born_in_epoch = 0
        """The first connection to the FreeSWITCH process that runs there now; what was before ended with another."""
        self.health: Health | None = None
        self.standing = Standing.OPEN
        self.draining = False
        self.last_error: str | None = None
        self._supervisor = supervisor
        self._clock = clock
        self._events = events
        self._names, self._subclasses = subscription
        self._backoff_s = backoff_s
        self._unfiltered = (*(name for name in self._names if name in UNFILTERABLE), *of_any_channel)
        self._client: EslClient | None = None
        self._modules: dict[tuple[int, str], bool] = {}
        self._core = ""
        self._doubted = Flag()
        self._stopping = Flag()
        self._up = Flag()

    @property
    def connected(self) -> bool:
        """Whether commands can be sent now."""
        return self._client is not None and self._client.connected

    @property
    def ready(self) -> bool:
        """Whether the node takes new calls."""
        return not self.unready_because

    @property
    def unready_because(self) -> str:
        """Why the node takes no new calls, in words; empty where it does."""
        if not self.connected:
            return self.last_error or "not connected yet"
        return reason(self.standing, self.health, self.draining)

    def doubt(self, cause: str) -> None:
        """A call has ended with this cause: where it may be the node's own state, the node is asked."""
        if cause in DOUBTFUL:
            self._doubted.set()

    def start(self) -> None:
        """Begin to keep the connection."""
        self._supervisor.spawn_essential(f"node {self.name}", self._keep)

    def stop(self) -> None:
        """Close the connection for good."""
        self._stopping.set()
        client = self._client
        if client is not None:
            client.stop()

    def wait_connected(self, seconds: float) -> bool:
        """Whether commands can be sent, within some seconds of waiting for it."""
        until = self._clock.monotonic() + seconds
        while not self.connected and (left := until - self._clock.monotonic()) > 0:
            # What is lost may not have been noticed yet, so that nothing would be waited for.
            gevent.sleep(0)
            self._up.wait(left)
        return self.connected

    def api(self, command: str, timeout_s: float | None = None) -> str:
        """See EslClient.api."""
        return self._connection().api(command, timeout_s)

    def has_module(self, module: str) -> bool:
        """Whether the node has a module loaded; asked once a connection. Raises EslError."""
        key = (self.epoch, module)
        if key not in self._modules:
            if len(self._modules) >= MAX_MODULES:
                self._modules.clear()
            # Anything but a plain no counts as yes: an application that is refused says so itself.
            try:
                said = self.api(f"module_exists {module}")
            except CommandTimeout:
                return True
            self._modules[key] = said.strip() != "false"
        return self._modules[key]

    def command(self, command: Command) -> str:
        """See EslClient.command."""
        return self._connection().command(command)

    def bgapi(self, command: str, job: JobUuid, timeout_s: float) -> JobResult:
        """See EslClient.bgapi."""
        return self._connection().bgapi(command, job, timeout_s)

    def execute(self, channel: ChannelUuid, action: ActionId, app: str, arg: str) -> None:
        """See EslClient.execute."""
        self._connection().execute(channel, action, app, arg)

    def channel_dump(self, channel: ChannelUuid) -> dict[str, str] | None:
        """All headers and variables of a channel, or None if it does not exist."""
        text = self.api(f"uuid_dump {channel} json")
        if text.startswith("-"):
            return None
        dump = read_dump(text)
        if dump is None:
            raise EslError(f"uuid_dump of {channel} gave no JSON: {text[:80]!r}")
        return dump

    # --- inside ------------------------------------------------------------------------------------------

    def _connection(self) -> EslClient:
        client = self._client
        if client is None:
            raise EslNotSent(f"node {self.name} is not connected: {self.last_error or 'not yet'}")
        return client

    def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            client = self._connect()
            if client is not None:
                since = self._clock.monotonic()
                self._watch(client)
                self._client = None
                self._up.clear()
                if not self._stopping.is_set():
                    log.warning("node_down", node=self.name, error=str(client.lost_because))
                self.last_error = str(client.lost_because)
                self._events.on_down(self)
                if self._clock.monotonic() - since > self._backoff_s[1]:
                    failures = 0
            # Also after a connection that was up: a node that takes us and drops us at once must not be hammered.
            failures += 1
            self._stopping.wait(self._pause(failures))

    def _connect(self) -> EslClient | None:
        settings = self.settings
        client = EslClient(
            settings.host,
            settings.port,
            settings.password.get_secret_value(),
            self._supervisor,
            self._on_event,
            settings.connect_timeout_s,
            settings.command_timeout_s,
            self._clock,
        )
        try:
            client.connect()
            client.command(Subscribe(("BACKGROUND_JOB", "HEARTBEAT", *self._names), self._subclasses))
            for kept in ("BACKGROUND_JOB", "HEARTBEAT", *self._unfiltered):
                client.command(Filter("Event-Name", kept))
            client.command(Filter("variable_fsbridge_node", self.name))
            core = client.api("global_getvar core_uuid").strip()
            self.standing = self._ask_standing(client)
        except EslError as error:
            client.stop()
            if str(error) != self.last_error:
                log.warning("node_unreachable", node=self.name, error=str(error))
            self.last_error = str(error)
            return None
        # What the node said before may be of another process: it takes calls until its next HEARTBEAT says no.
        self.health = None
        self.last_error = None
        self.epoch += 1
        if not is_uuid(core) or core != self._core:
            # Of a node that does not say who it is nothing is concluded.
            if is_uuid(core) and self._core:
                self.born_in_epoch = self.epoch
                log.warning("node_restarted", node=self.name, core=core)
            self._core = core if is_uuid(core) else ""
        self._client = client
        self._up.set()
        client.lost.rawlink(lambda _: self._up.clear())
        log.info("node_up", node=self.name, connection=self.epoch)
        self._supervisor.spawn(f"node {self.name} up", self._events.on_up, self)
        return client

    def _watch(self, client: EslClient) -> None:
        """Until the connection is lost; a node that we have listened to in vain for too long is given up."""
        silence = self.settings.heartbeat_timeout_s
        heard, since = client.events_seen, client.listened_s
        interval = min(WATCH_INTERVAL_S, silence / 4)
        while not client.lost.is_set():
            gevent.wait((client.lost, self._doubted), timeout=interval, count=1)
            if client.events_seen != heard:
                heard, since = client.events_seen, client.listened_s
            if self._stopping.is_set():
                client.stop()  # `stop` came while the connection was being made
            elif client.listened_s - since > silence:
                log.warning("node_silent", node=self.name, seconds=silence)
                client.stop(f"no event, not even a HEARTBEAT, for {silence:g} s")
            elif self._doubted.is_set() or self.standing is not Standing.OPEN:
                self._doubted.clear()
                self._stand(client)

    def _stand(self, client: EslClient) -> None:
        before = self.standing
        try:
            self.standing = self._ask_standing(client)
        except EslError:
            return  # lost: the next connection asks
        if self.standing is not before:
            log.warning("node_stands", node=self.name, standing=str(self.standing) or "takes calls")

    def _ask_standing(self, client: EslClient) -> Standing:
        """Raises EslError, but not CommandTimeout."""
        try:
            return read_standing(*(client.api(question) for question in QUESTIONS))
        except CommandTimeout:
            return Standing.SILENT

    def _pause(self, failures: int) -> float:
        low, high = self._backoff_s
        return min(high, low * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)

    def _on_event(self, event: Event | Unreadable) -> None:
        if isinstance(event, Unreadable):
            self._events.on_unreadable(self, event.unique_id)
            return
        if event.name == "HEARTBEAT":
            self.health = read_health(event)
            self._doubted.set()
        else:
            self._events.on_event(self, event)
