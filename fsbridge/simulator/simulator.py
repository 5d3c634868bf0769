"""Puts a simulated node together: scheduler, node, event socket, taps; starts and stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog
from gevent.event import Event

from fsbridge.clock import Clock, SystemClock
from fsbridge.simulator.applications.conference import Conferences
from fsbridge.simulator.applications.table import Applications
from fsbridge.simulator.audio.fetcher import HttpFetcher
from fsbridge.simulator.farends.book_file import default_book, load_book
from fsbridge.simulator.farends.script import Caller, FarEnd
from fsbridge.simulator.faults import Faults
from fsbridge.simulator.legs.inbound import CallerGone, CallIn
from fsbridge.simulator.settings import SimulatorSettings
from fsbridge.simulator.socket.api import Commands
from fsbridge.simulator.socket.server import EventSocketServer
from fsbridge.simulator.switch.node import Message, Node, Surroundings
from fsbridge.simulator.taps.pacer import TapPacer
from fsbridge.simulator.time.scheduler import Scheduler
from fsbridge.supervise import Supervisor

log = structlog.get_logger(__name__)


class Simulator:
    """One simulated FreeSWITCH node. `start` binds its event socket; `port` is then known."""

    def __init__(self, settings: SimulatorSettings, supervisor: Supervisor, clock: Clock) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._clock = clock
        self._put_together()

    def _put_together(self) -> None:
        settings, supervisor = self._settings, self._supervisor
        self._stopped = False
        self._scheduler = Scheduler(self._clock, settings.speed)
        self.conferences = Conferences()
        surroundings = Surroundings(
            Commands(self.conferences).run,
            Applications(self.conferences).run,
            TapPacer(supervisor, self._scheduler),
            HttpFetcher(supervisor, self._scheduler),
        )
        self.node = Node(settings, self._scheduler, surroundings)
        self.node.on_end = self.stop
        self._server = EventSocketServer(self.node, supervisor)

    def start(self) -> None:
        """Begin to listen and let time run. Raises OSError when the address is taken.

        After `stop` it is the node started anew, at the same address: another core, which knows nothing of before.
        """
        if self._stopped:
            self._settings = replace(self._settings, port=self.port)
            self._put_together()
        self._server.start()
        self._supervisor.spawn_essential("simulator.time", self._scheduler.run)
        self._scheduler.call_later(self.node.settings.heartbeat_seconds, self._beat)
        for caller in self.node.settings.far_ends.callers:
            self._expect(caller, caller.after)

    def stop(self) -> None:
        """Go as a node that is killed goes: connections end, no hang-up event is told."""
        self._stopped = True
        self._scheduler.stop()
        self._server.stop()
        for channel in list(self.node.channels.values()):
            for tap in channel.taps.values():
                tap.stop("")
        self.node.channels.clear()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def faults(self) -> Faults:
        return self.node.faults

    @property
    def messages(self) -> list[Message]:
        """What answering machines have taken down, oldest first."""
        return self.node.messages

    def call_in(self, number: str, far_end: FarEnd, *, caller: str = "+15550199999") -> str:
        """A call comes in to `number` from `caller`, who plays the script; returns the inbound channel's uuid.

        In a caller's script `answer` waits for the answer and ``ring: SECONDS`` at most so long; a script that begins
        with neither, nor with a silence, begins when it is answered. Raises CallerGone when the node takes no call
        or its dialplan does not know the number.
        """
        return self._scheduler.perform(
            lambda: CallIn(self.node, number, far_end, caller, self.node.keep_message).channel.uuid
        )

    def _expect(self, caller: Caller, seconds: float) -> None:
        def call() -> None:
            try:
                self.call_in(caller.to, caller.script, caller=caller.number)
            except CallerGone as error:
                log.warning("simulator_caller_gone", reason=str(error))
            if caller.every:
                self._expect(caller, caller.every)

        self._scheduler.call_later(seconds, call)

    def _beat(self) -> None:
        self.node.heartbeat()
        self._scheduler.call_later(self.node.settings.heartbeat_seconds, self._beat)


def run(
    port: int = 8021,
    *,
    host: str = "127.0.0.1",
    password: str = "ClueCon",
    speed: float = 1.0,
    far_ends: Path | None = None,
    recordings: Path | None = None,
    stop: Event | None = None,
    on_ready: Callable[[Simulator], None] = lambda simulator: None,
) -> None:
    """Run a simulated node until `stop` is set (or for ever): what `fsbridge simulate` does.

    far_ends: a YAML file tried before the built-in book. recordings: the folder that recordings are kept in.
    on_ready is called once it listens. Raises FarEndError for a bad file, OSError when the port is taken,
    ValueError for a speed that is not above 0.
    """
    if speed <= 0:
        raise ValueError("speed must be above 0; 1 is real time")
    book = default_book()
    if far_ends is not None:
        book = book.with_book(load_book(far_ends))
    settings = SimulatorSettings(host=host, port=port, password=password, speed=speed, far_ends=book)
    if recordings is not None:
        settings = replace(settings, recordings=str(recordings))
    supervisor = Supervisor()
    simulator = Simulator(settings, supervisor, SystemClock())
    simulator.start()
    try:
        on_ready(simulator)
        (stop or Event()).wait()
    finally:
        simulator.stop()
        supervisor.stop()
