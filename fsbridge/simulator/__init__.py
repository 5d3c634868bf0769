"""The embedded FreeSWITCH: an event socket over TCP, an audio fork over WebSocket, far ends played from scripts.

It answers the demo, the tests and the benchmarks, and `fsbridge simulate` runs it alone so that `serve` can be tried
without a switch. Its events and replies are held to recorded conversations with a real FreeSWITCH (tests/traces).
Only outbound legs exist: no SIP, no RTP, no bridge.
"""

from fsbridge.simulator.farend import FarEnd, FarEndBook
from fsbridge.simulator.farend_file import FarEndError, default_book, load_book, parse_script
from fsbridge.simulator.faults import Faults
from fsbridge.simulator.settings import SimulatorSettings
from fsbridge.simulator.simulator import Simulator, run

__all__ = [
    "FarEnd",
    "FarEndBook",
    "FarEndError",
    "Faults",
    "Simulator",
    "SimulatorSettings",
    "default_book",
    "load_book",
    "parse_script",
    "run",
]
