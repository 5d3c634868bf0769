"""What a simulated node is: its limits, its gateways, how fast its time runs, who answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from fsbridge.simulator.farends.book_file import default_book
from fsbridge.simulator.farends.dialplan import STOCK, Dialplan
from fsbridge.simulator.farends.script import FarEndBook
from fsbridge.simulator.time.spread import Spread


@dataclass(frozen=True, slots=True)
class AnswerGap:
    """What passes between an outbound call's CHANNEL_ANSWER, its ``+OK`` and its application: drawn for each call.

    What is sent to the channel before the application has begun is lost to it (tests/traces/race_*_before_park).
    """

    result: Spread
    """From the answer to ``+OK``, seconds."""
    application: Spread
    """From the answer to the application or, if `after_result`, from ``+OK``, which may come later: then below 0."""
    after_result: bool = False
    most: float = 60.0
    """The application begins at the latest so long after the answer."""

    @staticmethod
    def between(least: float, most: float) -> AnswerGap:
        """Both at any time from `least` to `most`, in either order."""
        return AnswerGap(Spread.between(least, most), Spread.between(least, most))

    def draw(self, random: Random) -> tuple[float, float]:
        """Seconds from the answer to the result and to the application."""
        result = self.result.draw(random)
        application = self.application.draw(random) + (result if self.after_result else 0.0)
        return result, min(max(application, 0.0), self.most)


NO_GAP = AnswerGap.between(0.0, 0.0)
MEASURED_GAP = AnswerGap(
    Spread(((0.0, 0.0), (0.5, 0.009), (0.9, 0.022), (0.99, 0.055), (1.0, 0.06))),
    Spread(((0.0, -0.02), (0.08, 0.0), (0.5, 0.003), (0.9, 0.02), (0.99, 0.065), (1.0, 0.13))),
    after_result=True,
    most=0.154,
)
"""A real node's on two cores, 560 calls: ``+OK`` after 8–10 ms in the middle, 50–60 ms for 1 of 100; `park` after 9–20
and 60–130 ms, 154 at most; `park` first in 8 of 100, or after ``+OK`` by up to 130 ms."""


SHUTDOWN_SECONDS = Spread.between(15.0, 40.0)


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Settings of one simulated FreeSWITCH node. Times in simulated seconds.

    gateways: names that `sofia/gateway/<name>/…` may use, each up; `dead_gateways` are known, but nothing listens
    there (every call fails with SIP 503). `profiles` are the SIP profiles for `sofia/<profile>/…` dial strings.
    tls: whether these have TLS; transferable: whether they let far ends transfer calls (no `disable-transfer`).
    sounds: folder that relative file names of `playback` are looked up in, besides their own path.
    recordings: folder that all recordings are kept within; "" keeps none.
    dialplan: what calls that come in and transfers run; a number called by us that it knows in context `public` comes
    back to the node as an inbound call, before any far end is asked.
    say_sounds: whether the node has the sound files that `say` needs.
    seed: of everything that is drawn, so that a run can be had again.
    """

    host: str = "127.0.0.1"
    port: int = 0
    password: str = "ClueCon"
    speed: float = 1.0
    node: str = "fs-sim-1"
    max_sessions: int = 1000
    sessions_per_second: int = 200
    heartbeat_seconds: float = 20.0
    gateways: tuple[str, ...] = ("carrier", "carrier2", "loop")
    dead_gateways: tuple[str, ...] = ("dead",)
    profiles: tuple[str, ...] = ("external", "internal")
    tls: bool = False
    transferable: bool = False
    modules: tuple[str, ...] = (
        "mod_audio_fork",
        "mod_commands",
        "mod_conference",
        "mod_dialplan_xml",
        "mod_dptools",
        "mod_event_socket",
        "mod_flite",
        "mod_hash",
        "mod_http_cache",
        "mod_say_en",
        "mod_sndfile",
        "mod_sofia",
        "mod_spandsp",
        "mod_tone_stream",
        "mod_unimrcp",
    )
    far_ends: FarEndBook = field(default_factory=default_book)
    dialplan: Dialplan = STOCK
    sounds: str = ""
    say_sounds: bool = True
    recordings: str = ""
    seed: int = 1
    answer_gap: AnswerGap = MEASURED_GAP
    shutdown_seconds: Spread = SHUTDOWN_SECONDS
    """How long the event socket stays open after ``fsctl shutdown``."""
    listener_queue: int = 100_000
    """Events waiting for one listener; FreeSWITCH's own bound. A listener that lost more than 500 is cut off."""
    max_listeners: int = 64
