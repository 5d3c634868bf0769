"""What became of the calls while a node, or we, were away: asked of the node, told to the lifecycle.

A node that came back knows which of its channels still exist, and mod_hash knows the cause of those that do
not. Both become ordinary inputs (`ChannelAlive`, `ChannelGone`). A call whose originate was written on the
present connection is left alone: its channel may not exist *yet*. A FreeSWITCH that was started anew has none of
the former one's channels: their calls have ended with it, and nothing is asked.
"""

from __future__ import annotations

import structlog

from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.running.registry import CallRegistry
from fsbridge.call.running.runner import CallRunner
from fsbridge.errors import FsbridgeError
from fsbridge.esl.errors import CommandTimeout
from fsbridge.model.status import Phase
from fsbridge.nodes.node import Node

log = structlog.get_logger(__name__)


def went_away(node: str, registry: CallRegistry) -> None:
    """The node is out of reach: what its calls wait for will not be heard, so their flows' time stands still."""
    for runner in registry.on_node(node):
        runner.post(i.NodeAway())


def after_reconnect(node: Node, registry: CallRegistry) -> int:
    """Ask the node about each of its calls that was dialled on an earlier connection; returns how many."""
    asked = 0
    for runner in registry.on_node(node.name):
        dialled = runner.originated_in_epoch
        if runner.call.phase is Phase.QUEUED or dialled == node.epoch:
            continue
        if dialled is not None and dialled < node.born_in_epoch:
            runner.post(i.NodeLost(f"node {node.name} was started anew, and its calls ended with the one before"))
            continue
        asked += 1
        try:
            found = runner.switch.look(runner.call.channel)
        except CommandTimeout as error:
            # This one's own deadlines ask after it again; the others may still be asked.
            log.warning("reconcile_without_answer", node=node.name, session_id=runner.call.session_id, error=str(error))
            runner.post(i.NodeBack())
            continue
        except FsbridgeError as error:
            # Lost again: the next connection asks again, and the call's own deadlines stand.
            log.warning("reconcile_interrupted", node=node.name, error=str(error))
            return asked
        if found is not None:
            runner.post(found)
    if asked:
        log.info("reconciled", node=node.name, calls=asked)
    return asked


def give_up(node: str, registry: CallRegistry) -> list[CallRunner]:
    """The node has been away for too long: its calls end as well as they can."""
    lost = registry.on_node(node)
    for runner in lost:
        runner.post(i.NodeLost())
    if lost:
        log.error("node_given_up", node=node, calls=len(lost))
    return lost
