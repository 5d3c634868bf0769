"""Can each configured node do the job, and is the configuration sane? Findings in words, each with what to change.

Rules:
* Nothing is changed anywhere: every command that is sent to a node only reads (`node.READS` names them all).
* Reading a reply and judging it are functions of text: `replies`, `node`, `sounds`, `configuration`. Only `diagnose`
  here, `flows` and `workers` open sockets and read files.
"""

from __future__ import annotations

from collections.abc import Collection

from fsbridge.doctor.configuration import examine_settings, examine_taps
from fsbridge.doctor.findings import Finding, Notes
from fsbridge.doctor.flows import examine_flows
from fsbridge.doctor.needs import FlowNeeds
from fsbridge.doctor.node import EVENT_SOCKET, examine_node, examine_password
from fsbridge.doctor.workers import ask_health, examine_workers
from fsbridge.esl.client import EslClient
from fsbridge.esl.errors import EslAuthRejected, EslError
from fsbridge.settings.nodes import NodeSettings
from fsbridge.settings.whole import Settings
from fsbridge.supervise import Supervisor

ACL = "autoload_configs/acl.conf.xml"


def diagnose(settings: Settings, supervisor: Supervisor, example_keys: Collection[str] = ()) -> tuple[Finding, ...]:
    """Look at everything: the configuration, the flows, the AMD workers, then each node in turn.

    example_keys: hashes of API keys that everybody knows. One node takes at most its connect timeout and a command
    timeout a question; one that stops answering is given up at the first.
    """
    flows, needs = examine_flows(settings)
    found = [*examine_settings(settings, example_keys), *flows.found, *examine_workers(settings.amd, ask_health).found]
    for number, node in enumerate(settings.nodes):
        found += _visit(node, number, settings, needs, supervisor)
    return tuple(found)


def _visit(
    node: NodeSettings, number: int, settings: Settings, needs: FlowNeeds, supervisor: Supervisor
) -> list[Finding]:
    notes = Notes(f"node {node.name}")
    notes.found += examine_taps(node, settings.amd)
    where = f"{node.host}:{node.port}"
    client = EslClient(
        node.host,
        node.port,
        node.password.get_secret_value(),
        supervisor,
        connect_timeout_s=node.connect_timeout_s,
        command_timeout_s=node.command_timeout_s,
    )
    try:
        client.connect()
    except EslAuthRejected as error:
        acl = "ACL" in str(error)
        change = (
            f"allow this host's address in the list that apply-inbound-acl names ({ACL}), then `reloadacl`"
            if acl
            else f"FSBRIDGE_NODES__{number}__PASSWORD (or nodes.{number}.password) as in {EVENT_SOCKET}"
        )
        notes.problem("access list" if acl else "login", str(error), change)
        return notes.found
    except EslError as error:
        notes.problem(
            "reachable",
            str(error),
            f"is FreeSWITCH running, is nodes.{number}.host/port right, is listen-ip in {EVENT_SOCKET} an address "
            "that this host reaches, does a firewall let it through?",
        )
        return notes.found
    try:
        notes.ok("reachable", f"{where} lets us in")
        notes.found += examine_password(node, client.api)
        notes.found += examine_node(node, settings, needs, client.api)
    except EslError as error:
        notes.problem("answers", f"stopped answering: {error}", "look at the node's load and log, then ask again")
    finally:
        client.stop()
    return notes.found
