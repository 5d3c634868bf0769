"""What real nodes replied to the doctor's questions, and a doctor that asks them with some replies changed."""

from __future__ import annotations

from collections.abc import Mapping

from fsbridge.doctor.findings import Finding
from fsbridge.doctor.needs import FlowNeeds
from fsbridge.doctor.node import READS, examine_node
from fsbridge.settings.reading import parse
from fsbridge.settings.whole import Settings
from tests.traces.loader import conversation


def replies(trace: str) -> dict[str, list[str]]:
    """Command → its replies, in the order in which they came; replies come in the order of the commands."""
    found: dict[str, list[str]] = {}
    asked: list[str] = []
    for entry in conversation(trace):
        text = entry.raw.decode()
        if entry.dir == "send" and text.startswith("api "):
            asked.append(text.removeprefix("api ").strip())
        elif entry.dir == "recv" and text.startswith("Content-Type: api/response"):
            found.setdefault(asked.pop(0), []).append(text.partition("\n\n")[2])
    return found


PLAIN = {command: given[0] for command, given in replies("node_queries").items()}
"""A node with one profile, gateways that are not pinged, and no word of its configuration."""
ALL = replies("doctor_queries")
PREPARED = {command: given[0] for command, given in ALL.items()} | {"fsctl ready_check": "true"}
"""A node made ready by freeswitch-conf, just started: TLS and disable-transfer on `external`, pings not yet sent."""


def settings(**tables: object) -> Settings:
    trunk = {"name": "t", "gateways": ["loop"], "caller_id": "100"}
    least: dict[str, object] = {"nodes": [{"name": "n", "password": "own"}], "trunks": [trunk]}
    return parse(least | tables)


def examine(
    changed: Mapping[str, str] | None = None,
    needs: FlowNeeds | None = None,
    node: Mapping[str, str] = PREPARED,
    **tables: object,
) -> dict[str, Finding]:
    """What is found, by check, on a recorded node with some replies changed; every other module is loaded."""
    given = dict(node) | dict(changed or {})
    configuration = settings(**tables)
    asked: list[str] = []

    def ask(command: str) -> str:
        asked.append(command)
        return given.get(command, "true" if command.startswith("module_exists ") else "-ERR no reply\n")

    found = examine_node(configuration.nodes[0], configuration, needs or FlowNeeds(), ask)
    assert all(command.startswith(READS) for command in asked), asked
    return {finding.check: finding for finding in found}
