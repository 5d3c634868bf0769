"""The embedded FreeSWITCH: an event socket over TCP, an audio fork over WebSocket, far ends played from scripts.

It answers the demo, the tests and the benchmarks, and `fsbridge simulate` runs it alone so that `serve` can be tried
without a switch. Its events and replies are held to recorded conversations with a real FreeSWITCH (tests/traces).
Calls go out, come in, are bridged, conferenced and transferred, and one leg hears what the other plays; there is no
SIP and no RTP.
"""

from fsbridge.simulator.farends.book_file import FarEndError, default_book, load_book, parse_script
from fsbridge.simulator.farends.dialplan import Dialplan, Extension, parked
from fsbridge.simulator.farends.script import FarEnd, FarEndBook
from fsbridge.simulator.faults import Faults
from fsbridge.simulator.legs.inbound import CallerGone
from fsbridge.simulator.settings import SimulatorSettings
from fsbridge.simulator.simulator import Simulator, run
from fsbridge.simulator.time.fasttime import FastTime

__all__ = [
    "CallerGone",
    "Dialplan",
    "Extension",
    "FarEnd",
    "FarEndBook",
    "FarEndError",
    "FastTime",
    "Faults",
    "Simulator",
    "SimulatorSettings",
    "default_book",
    "load_book",
    "parked",
    "parse_script",
    "run",
]
