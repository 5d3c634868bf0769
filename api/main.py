"""The composition root: settings → parts → servers; signals, drain, exit code. The only place that knows everybody.

Start: the data folder is locked and the address taken before anything is touched; then store, workers, nodes, REST.
REST answers before a node or a worker is up (`/readyz` tells). Stop (SIGTERM, SIGINT): no new calls, live calls end or
are ended within `service.drain_timeout_s`, then webhooks, nodes and workers are let go. A failed essential task stops
the service with exit code 1.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path

import gevent
import structlog
from gevent import monkey
from gevent.event import Event as Flag

from api.http.server import ApiServer, Place
from api.process import with_open_files
from api.rest.app import build_app, build_probes
from fsbridge import logs
from fsbridge.amd import fork, recordings
from fsbridge.amd.workers import COMMAND, WorkerPool
from fsbridge.call.conversation.services import House
from fsbridge.call.lifecycle import arrivals, translate
from fsbridge.call.lifecycle.moves import Limits
from fsbridge.call.running import reconcile
from fsbridge.call.running.inbound import InboundService
from fsbridge.call.running.registry import CallRegistry
from fsbridge.call.running.runner import Parts
from fsbridge.call.running.service import CallService
from fsbridge.call.running.sweep import Sweep
from fsbridge.clock import Clock, SystemClock
from fsbridge.egress.outside import Outside
from fsbridge.errors import FsbridgeError
from fsbridge.esl.events import Event
from fsbridge.flow.library.checkers import Checkers
from fsbridge.flow.library.library import FlowLibrary
from fsbridge.metrics import Metrics
from fsbridge.model.call import Call
from fsbridge.model.ids import new_uuid
from fsbridge.model.notice import Notice
from fsbridge.nodes.node import Node, NodeEvents
from fsbridge.nodes.pool import NodePool
from fsbridge.settings.whole import Settings
from fsbridge.store.base import Store
from fsbridge.store.folder import DataFolder, exposed
from fsbridge.store.secrets import load_box
from fsbridge.store.sqlite import SqliteStore
from fsbridge.supervise import Supervisor, run_in_thread
from fsbridge.webhook.outbox import Outbox, remove_former_queue
from fsbridge.webhook.payload import deliveries

log = structlog.get_logger(__name__)

PURGE_INTERVAL_S = 600.0
DAY_S = 86_400.0
SAMPLE_INTERVAL_S = 0.5
STARTING_INTERVAL_S = 0.05


@dataclass(slots=True)
class Service:
    """Every part of a running fsbridge. `start`, then `run` until a signal, then `stop`."""

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    stopping: Flag = field(default_factory=Flag)
    failed: bool = False

    folder: DataFolder = field(init=False)
    supervisor: Supervisor = field(init=False)
    metrics: Metrics = field(init=False)
    store: Store = field(init=False)
    outbox: Outbox = field(init=False)
    workers: WorkerPool = field(init=False)
    registry: CallRegistry = field(init=False)
    pool: NodePool = field(init=False)
    sweep: Sweep = field(init=False)
    calls: CallService = field(init=False)
    inbound: InboundService = field(init=False)
    server: ApiServer = field(init=False)
    probes: ApiServer | None = field(init=False, default=None)
    _lost_timers: dict[str, gevent.Greenlet[..., object]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = DataFolder(self.settings.service.data_dir)
        self.folder.hold()
        try:
            self._assemble()
        except BaseException:
            self.folder.release()
            raise

    def _assemble(self) -> None:
        settings = self.settings
        data_dir = self.folder.path
        self.supervisor = Supervisor(self._on_failure)
        self.metrics = Metrics()
        secret = settings.service.secret_key
        box = load_box(secret.get_secret_value() if secret is not None else None, data_dir)
        self.store = SqliteStore(data_dir / "calls.db", box)
        self.outbox = Outbox(self.store, settings.webhooks, self.supervisor, self.clock, self.metrics)
        remove_former_queue(data_dir)
        logging = ("--log-level", settings.service.log_level)
        as_json = ("--log-json",) if settings.service.log_format == "json" else ()
        self.workers = WorkerPool(settings.amd, self.supervisor, self.clock, (*COMMAND, *logging, *as_json))
        self.registry = CallRegistry()
        events = NodeEvents(self._on_event, self._on_unreadable, self._on_node_up, self._on_node_down)
        subscription = (translate.SUBSCRIBED, fork.SUBSCRIBED)
        arriving = arrivals.OF_ANY_CHANNEL if settings.inbound else ()
        self.pool = NodePool(
            (
                Node(node, self.supervisor, self.clock, events, subscription, of_any_channel=arriving)
                for node in settings.nodes
            ),
            lambda name: len(self.registry.on_node(name)),
        )
        flows = FlowLibrary(settings.flows, Checkers(), self.clock, settings.orgs)
        limits = Limits(
            ring_s=settings.dialing.ring_timeout_s,
            originate_grace_s=settings.dialing.originate_grace_s,
            tap_connect_s=settings.amd.connect_timeout_s,
            max_call_s=settings.dialing.max_call_s,
        )
        outside = Outside(settings.flows, self.clock)
        house = House(settings, self.clock, self.store, self.workers, outside, self.outbox.kick)
        parts = Parts(
            supervisor=self.supervisor,
            clock=self.clock,
            limits=limits,
            keep=self._keep,
            began=self.metrics.call_began,
            seen=self._seen,
            flow=flows.find,
            other_worker=lambda url: self.workers.choose(avoid=[url]).url,
            services=house.services(),
            keep_timeline=house.keep_timeline,
            strange=self.metrics.amd_strange.inc,
        )
        self.sweep = Sweep(
            list(self.pool),
            self.registry,
            self.store,
            self.supervisor,
            self.clock,
            lambda node: self.metrics.stray_channels.labels(node).inc(),
        )
        self.calls = CallService(
            settings=settings,
            clock=self.clock,
            store=self.store,
            registry=self.registry,
            pool=self.pool,
            workers=self.workers,
            flows=flows,
            parts=parts,
            sweep=self.sweep,
            render_metrics=self.metrics.render,
        )
        self.inbound = InboundService(self.calls)
        self.server = ApiServer(
            build_app(settings, self.calls, self.clock), Place.main(settings.service), self.supervisor
        )
        place = Place.probes(settings.service)
        if place is not None:
            self.probes = ApiServer(build_probes(self.calls, self.clock), place, self.supervisor)

    def start(self) -> None:
        """Bring everything up; nothing is waited for (see `await_detector`). Raises FsbridgeError.

        The address is taken first: a service that cannot be reached must not have touched what it would look after.
        """
        self.server.listen()
        if self.probes is not None:
            self.probes.listen()
        for path in exposed(self.folder.path):
            log.warning("readable_by_others", path=str(path), advice="chmod go-rwx: it holds numbers and secrets")
        self.workers.start()
        self.outbox.start()
        self.calls.settle()
        for node in self.pool:
            node.start()
        self.sweep.start()
        self.supervisor.spawn("flow_checker", self.calls.flows.warm)
        self.supervisor.spawn_essential("housekeeping", self._keep_house)
        self.server.serve()
        if self.probes is not None:
            self.probes.serve()

    def await_detector(self) -> None:
        """Return once an AMD worker is up, when it is no longer waited for, or when the service is to stop."""
        while self.workers.starting:
            if self.stopping.wait(STARTING_INTERVAL_S):
                return
        if not self.workers.ready:
            log.error("no_amd_worker", policy=self.settings.amd.when_unavailable)

    def stop(self) -> None:
        """Drain and let go of everything, in the order in which it is no longer needed."""
        ended = self.calls.drain(self.settings.service.drain_timeout_s)
        if ended:
            log.warning("calls_ended_at_stop", calls=ended)
        self.server.stop(drain_s=2.0)
        self.calls.flows.close()
        self.outbox.stop()
        for node in self.pool:
            node.stop()
        self.workers.stop()
        if self.probes is not None:
            self.probes.stop(drain_s=0.5)
        self.supervisor.stop()
        self.store.close()
        self.folder.release()

    # --- between the parts -------------------------------------------------------------------------------

    def _keep(self, call: Call, notices: tuple[Notice, ...]) -> None:
        owed = deliveries(call, notices, new_uuid, self.clock.wall())
        self.store.save(call, owed)
        if owed:
            self.outbox.kick(owed[0])

    def _seen(self, before: Call, after: Call) -> None:
        self.metrics.call_changed(before, after)
        if after.tap_connected and not before.tap_connected and after.live.answered is not None:
            self.metrics.tap_seconds.observe(self.clock.monotonic() - after.live.answered.monotonic)

    def _on_event(self, node: Node, event: Event) -> None:
        self.metrics.esl_events.labels(node.name).inc()
        self.registry.on_event(event)
        self.inbound.on_event(node, event)

    def _on_unreadable(self, node: Node, channel: str | None) -> None:
        self.metrics.esl_unreadable.labels(node.name).inc()
        log.warning("event_not_readable", node=node.name, channel=channel)
        self.sweep.missed(node.name, channel)

    def _on_node_up(self, node: Node) -> None:
        self.metrics.esl_connected.labels(node.name).set(1)
        timer = self._lost_timers.pop(node.name, None)
        if timer is not None:
            timer.kill(block=False)
        reconcile.after_reconnect(node, self.registry)
        self.sweep.after_reconnect(node.name)
        if self.settings.inbound:
            self.supervisor.spawn("inbound.after_reconnect", self.inbound.after_reconnect, node)

    def _on_node_down(self, node: Node) -> None:
        self.metrics.esl_connected.labels(node.name).set(0)
        reconcile.went_away(node.name, self.registry)
        self._lost_timers[node.name] = self.supervisor.spawn_later(
            node.settings.lost_after_s, f"give up {node.name}", reconcile.give_up, node.name, self.registry
        )

    def _keep_house(self) -> None:
        purged_at, woken_at = self.clock.monotonic(), self.clock.monotonic()
        while not self.stopping.wait(SAMPLE_INTERVAL_S):
            now = self.clock.monotonic()
            self.metrics.hub_lateness.observe(max(0.0, now - woken_at - SAMPLE_INTERVAL_S))
            if now - purged_at >= PURGE_INTERVAL_S:
                purged_at = now
                self._purge()
                self._purge_recordings()
            woken_at = self.clock.monotonic()

    def _purge(self) -> None:
        try:
            purged = self.store.purge(self.clock.wall() - self.settings.service.record_ttl_s)
        except FsbridgeError as error:
            log.error("purge_failed", error=str(error))
        else:
            if purged:
                log.info("records_purged", calls=purged)

    def _purge_recordings(self) -> None:
        """Also when nothing is kept any more: what was kept has to go all the same."""
        amd = self.settings.amd
        if amd.keep_audio_dir is None:
            return
        before = self.clock.wall() - amd.keep_audio_days * DAY_S
        purged = run_in_thread(gevent.get_hub().threadpool, _purge_folder, amd.keep_audio_dir, before)
        if isinstance(purged, OSError):
            log.error("recordings_not_purged", folder=str(amd.keep_audio_dir), error=str(purged))
        elif purged:
            log.info("recordings_purged", recordings=purged)

    def _on_failure(self, name: str, error: BaseException) -> None:
        log.error("essential_task_failed", task=name, error=str(error))
        self.failed = True
        self.stopping.set()


def _purge_folder(folder: Path, before: float) -> int | OSError:
    """For a native thread; the error is a value, since gevent's pool prints whatever a job raises."""
    try:
        return recordings.purge(folder, before)
    except OSError as error:
        return error


def serve(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT; returns the process's exit code."""
    if not monkey.is_module_patched("socket"):
        raise RuntimeError("start with the fsbridge command or python -m api: sockets are not patched")
    logs.configure(settings.service.log_format, settings.service.log_level)
    try:
        service = Service(with_open_files(settings))
    except (FsbridgeError, OSError) as error:
        log.error("cannot_start", error=str(error))
        return 1
    for name in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(name, service.stopping.set)
    try:
        service.start()
        service.await_detector()
        if not service.stopping.is_set():
            host, _ = settings.service.address
            log.info("ready", message=f"fsbridge ready on http://{host}:{service.server.port}")
        service.stopping.wait()
    except FsbridgeError as error:
        log.error("cannot_start", error=str(error))
        service.failed = True
    finally:
        log.info("stopping", live_calls=len(service.registry))
        service.stop()
    return 1 if service.failed else 0
