"""How a node goes down when it is told to: as measured, with the event socket up for long after the calls are gone.

``fsctl shutdown`` is answered at once and does nothing for up to a second. Then every call is hung up with
SYSTEM_SHUTDOWN; some report late (tests/traces node_shut_down_with_flow: after 10 s), some never. SIP is gone: no
call can be placed, `sofia` is no command. Last the sockets end. ``fsctl shutdown now`` ends them without a word.
"""

from __future__ import annotations

from collections.abc import Callable

from fsbridge.simulator.switch.node import Node
from fsbridge.simulator.time.spread import Spread

CAUSE = "SYSTEM_SHUTDOWN"
_NOTICED = Spread.between(0.0, 1.0)
_REPORTING = Spread(((0.0, 0.0), (0.7, 0.0), (0.8, 0.1), (1.0, 11.0)))
_NEVER_REPORTS = 0.1
_ALONE_SECONDS = 2.0
"""How long the socket stays open when nobody is connected."""


def shut_down(node: Node, end: Callable[[], None]) -> None:
    """Begin; `end` is called when the node is gone. A second call does nothing."""
    if not node.shutting_down:
        node.shutting_down = True
        node.scheduler.call_later(_NOTICED.draw(node.random), lambda: _close(node, end))


def _close(node: Node, end: Callable[[], None]) -> None:
    node.fire("SHUTDOWN", [("Event-Info", "System Shutting Down")])
    node.closed = True
    for channel in list(node.channels.values()):
        channel.reports_after = None if node.random.random() < _NEVER_REPORTS else _REPORTING.draw(node.random)
        channel.hang_up(CAUSE)
    seconds = node.settings.shutdown_seconds.draw(node.random) if node.listeners else _ALONE_SECONDS
    node.scheduler.call_later(seconds, end)
