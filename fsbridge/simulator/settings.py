"""What a simulated node is: its limits, its gateways, how fast its time runs, who answers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsbridge.simulator.farends.book_file import default_book
from fsbridge.simulator.farends.dialplan import STOCK, Dialplan
from fsbridge.simulator.farends.script import FarEndBook


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Settings of one simulated FreeSWITCH node. Times in simulated seconds.

    gateways: names that `sofia/gateway/<name>/…` may use, each up; `dead_gateways` are known, but nothing listens
    there (every call fails with SIP 503). `profiles` are the SIP profiles for `sofia/<profile>/…` dial strings.
    sounds: folder that relative file names of `playback` are looked up in, besides their own path.
    recordings: folder that all recordings are kept within; "" keeps none.
    dialplan: what calls that come in and transfers run; a number called by us that it knows in context `public` comes
    back to the node as an inbound call, before any far end is asked.
    say_sounds: whether the node has the sound files that `say` needs.
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
    modules: tuple[str, ...] = (
        "mod_audio_fork",
        "mod_commands",
        "mod_dptools",
        "mod_event_socket",
        "mod_flite",
        "mod_hash",
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
    listener_queue: int = 100_000
    """Events waiting for one listener; FreeSWITCH's own bound. A listener that lost more than 500 is cut off."""
    max_listeners: int = 64
