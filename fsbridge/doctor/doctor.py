"""Can each configured node do the job, and is the configuration sane? Findings in words, each with what to change.

Rules:
* Nothing is changed anywhere: every command that is sent to a node only reads (`READS` names them all).
* Reading a reply and judging it are functions of text; `examine_node` is given a function that asks, so recorded
  replies (tests/traces/node_queries) serve as well as a live socket. Only `diagnose` opens sockets and reads files.
* Flows are `doctor_flows`' matter, AMD workers `doctor_workers`', replies of a node `doctor_replies`'.
* What a node does not tell is a warning, never an "ok".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from fsbridge.doctor.findings import MODULES, Finding, Notes
from fsbridge.doctor.flows import FlowNeeds, examine_flows, wanted_modules
from fsbridge.doctor.replies import read_gateway, read_profiles, read_status, read_version
from fsbridge.doctor.workers import ask_health, examine_workers
from fsbridge.esl.client import EslClient
from fsbridge.esl.errors import EslAuthRejected, EslError
from fsbridge.settings.amd import AmdSettings
from fsbridge.settings.nodes import NodeSettings
from fsbridge.settings.whole import Settings
from fsbridge.supervise import Supervisor

READS = ("version", "status", "fsctl pause_check outbound", "module_exists", "sofia status", "sofia status gateway")
"""The API commands that are sent, without their arguments."""

KNOWN_PASSWORDS = ("ClueCon", "CHANGE-ME-to-a-long-random-word")
"""FreeSWITCH's default, and the one that stands in our example of event_socket.conf.xml."""
OLDEST = (1, 10)
LOW_SESSIONS = 100
"""FreeSWITCH ships with 1000; a node with fewer than this was set up for something else."""
LOW_RATE = 30
"""`sessions-per-second` as FreeSWITCH ships it. Calls above it fail as DESTINATION_OUT_OF_ORDER."""
NEARLY_FULL = 0.9

EVENT_SOCKET = "autoload_configs/event_socket.conf.xml"
ACL = "autoload_configs/acl.conf.xml"
SWITCH = "autoload_configs/switch.conf.xml"

Ask = Callable[[str], str]
"""Sends one API command and gives what it prints. Raises EslError."""


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


# --- one node ------------------------------------------------------------------------------------------------------


def examine_node(node: NodeSettings, settings: Settings, needs: FlowNeeds, ask: Ask) -> list[Finding]:
    """Everything that can be asked of a node that let us in. Raises EslError when it stops answering."""
    notes = Notes(f"node {node.name}")
    _version(notes, ask("version"))
    _limits(notes, ask("status"), ask("fsctl pause_check outbound"))
    _modules(notes, settings, needs, ask)
    _profile(notes, node, settings, read_profiles(ask("sofia status")))
    for name in dict.fromkeys(gateway for trunk in settings.trunks for gateway in trunk.gateways):
        _gateway(notes, name, ask(f"sofia status gateway {name}"))
    return notes.found


def _visit(
    node: NodeSettings, number: int, settings: Settings, needs: FlowNeeds, supervisor: Supervisor
) -> list[Finding]:
    notes = Notes(f"node {node.name}")
    password = node.password.get_secret_value()
    if password in KNOWN_PASSWORDS:
        notes.problem(
            "password",
            f"the event-socket password is {password}, which everybody knows: it opens a shell on the node",
            f"another password in {EVENT_SOCKET}, and the same in FSBRIDGE_NODES__{number}__PASSWORD",
        )
    notes.found += examine_taps(node, settings.amd)
    where = f"{node.host}:{node.port}"
    client = EslClient(
        node.host,
        node.port,
        password,
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
        notes.found += examine_node(node, settings, needs, client.api)
    except EslError as error:
        notes.problem("answers", f"stopped answering: {error}", "look at the node's load and log, then ask again")
    finally:
        client.stop()
    return notes.found


def _version(notes: Notes, reply: str) -> None:
    version = read_version(reply)
    if version is None:
        notes.warn("version", f"tells no version: {reply.strip()[:60]!r}", "is it FreeSWITCH, with mod_commands?")
    elif version < OLDEST:
        notes.warn(
            "version",
            f"FreeSWITCH {version[0]}.{version[1]} is older than {OLDEST[0]}.{OLDEST[1]}, the oldest known to do",
            "upgrade the node",
        )
    else:
        notes.ok("version", f"FreeSWITCH {version[0]}.{version[1]}")


def _limits(notes: Notes, reply: str, paused: str) -> None:
    status = read_status(reply)
    if status is None:
        notes.warn("limits", f"`status` cannot be read: {reply.strip()[:60]!r}", "is mod_commands loaded?")
        return
    # `status` says "not ready" for a node paused one way as well; the check of our way is the surer one.
    if paused.strip() == "true" or (paused.strip() != "false" and not status.ready):
        notes.problem("takes calls", "the node is paused: every call would fail", "fs_cli -x 'fsctl resume'")
    else:
        notes.ok("takes calls", "not paused")
    figures = f"{status.max_sessions} sessions, {status.max_rate} new ones a second"
    if status.sessions >= status.max_sessions * NEARLY_FULL:
        notes.warn(
            "limits", f"{status.sessions} of {status.max_sessions} sessions are taken", f"max-sessions, {SWITCH}"
        )
    elif status.max_sessions < LOW_SESSIONS or status.max_rate < LOW_RATE:
        notes.warn(
            "limits",
            f"low: {figures}; calls above that fail",
            f"max-sessions and sessions-per-second in {SWITCH}, up to what the node was measured to carry",
        )
    else:
        notes.ok("limits", figures)


def _modules(notes: Notes, settings: Settings, needs: FlowNeeds, ask: Ask) -> None:
    loaded = []
    for modules, (purpose, level) in wanted_modules(settings, needs).items():
        present = next((name for name in modules if ask(f"module_exists {name}").strip() == "true"), None)
        if present is not None:
            loaded.append(present)
            continue
        first = modules[0]
        change = f'<load module="{first}"/> in {MODULES}, then `load {first}`; the build may have to include it'
        others = f" (nor {', '.join(modules[1:])})" if len(modules) > 1 else ""
        notes.found.append(Finding(level, notes.subject, first, f"not loaded{others}: {purpose}", change))
    if loaded:
        notes.ok("modules", " ".join(name.removeprefix("mod_") for name in dict.fromkeys(loaded)))


def _profile(notes: Notes, node: NodeSettings, settings: Settings, profiles: dict[str, str]) -> None:
    name, state = node.sip_profile, profiles.get(node.sip_profile, "")
    if state.startswith("RUNNING"):
        notes.ok("SIP profile", f"{name} is running")
        return
    known = ", ".join(sorted(profiles)) or "none"
    text = f"{name} is {state or 'unknown'}; the node's profiles: {known}"
    change = f"`sofia profile {name} start`, or sip_profile of this node in fsbridge.toml"
    if any(trunk.sip_uris for trunk in settings.trunks):
        notes.problem("SIP profile", text, f"{change} (it dials SIP URIs; sip_uris = false in [[trunks]] needs none)")
    else:
        notes.warn("SIP profile", text, change)


def _gateway(notes: Notes, name: str, reply: str) -> None:
    check = f"gateway {name}"
    gateway = read_gateway(reply)
    if gateway is None:
        notes.problem(
            check,
            f"the node does not know it: {reply.strip()[:60]}",
            f"sip_profiles/external/{name}.xml, then `sofia profile external rescan`; or gateways in [[trunks]]",
        )
    elif gateway.status != "UP" or gateway.state not in ("NOREG", "REGED"):
        notes.problem(
            check,
            f"down: status {gateway.status}, state {gateway.state}",
            f"proxy, username and password in sip_profiles/external/{name}.xml; does the carrier know this address?",
        )
    elif gateway.calls and gateway.failed >= gateway.calls:
        notes.warn(check, f"up, but none of its {gateway.calls} calls got through", "ask the carrier; read the SIP log")
    elif gateway.state == "NOREG" and not gateway.pinged:
        notes.warn(
            check,
            "known, but nobody checks that the carrier answers there",
            f'<param name="ping" value="25"/> in sip_profiles/external/{name}.xml',
        )
    else:
        notes.ok(check, f"up ({gateway.state})")


def examine_taps(node: NodeSettings, amd: AmdSettings) -> list[Finding]:
    """Whether FreeSWITCH can reach the AMD workers under the address that it is given; by the configuration alone."""
    notes = Notes(f"node {node.name}")
    check = "way to the AMD workers"
    own = amd.advertise_host or amd.host
    hosts = sorted({urlsplit(url).hostname or "" for url in amd.urls}) if amd.urls else [own]
    astray = [host for host in hosts if _is_here(host)]
    if _is_here(node.host):
        notes.ok(check, f"{', '.join(hosts)} (same host)")
    elif astray:
        key = "amd.urls" if amd.urls else "amd.advertise_host"
        notes.problem(
            check,
            f"the node is on {node.host}, but is told to send audio to {', '.join(astray)}: that is itself",
            f"{key}: an address of the workers that the node reaches" + ("" if amd.urls else '; amd.host = "0.0.0.0"'),
        )
    elif not amd.urls and _is_loopback(amd.host):
        notes.problem(
            check,
            f"workers listen on {amd.host} only, where {node.host} cannot reach them",
            'amd.host = "0.0.0.0" (and a firewall: a worker has no password), or the private address',
        )
    elif not amd.urls and amd.base_port == 0:
        notes.warn(
            check,
            f"workers on {hosts[0]} listen on ports chosen at each start: no firewall can let them through",
            "amd.base_port, for example 9200",
        )
    else:
        notes.ok(check, ", ".join(hosts))
    return notes.found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_here(host: str) -> bool:
    """Whether an address means the very host that uses it."""
    return _is_loopback(host) or host in ("0.0.0.0", "::")


# --- the configuration ---------------------------------------------------------------------------------------------


def examine_settings(settings: Settings, example_keys: Collection[str] = ()) -> list[Finding]:
    """What can be said of the configuration without asking anybody."""
    notes = Notes("configuration")
    if not settings.orgs:
        notes.warn("organizations", "none: nobody can place a call", "an [[orgs]] table; `fsbridge keys new`")
    for org in settings.orgs:
        check = f"keys of {org.name or org.id}"
        if set(org.api_keys) & set(example_keys):
            notes.problem(check, "the key of the example is in use: everybody knows it", "`fsbridge keys new`")
        elif not org.api_keys:
            notes.warn(check, "none: it cannot place calls", "orgs.api_keys; `fsbridge keys new` makes one")
        else:
            notes.ok(check, f"{len(org.api_keys)} in use")
    hooks = settings.webhooks
    if hooks.allow_private:
        notes.warn("webhooks", "callbacks may go to private addresses", "webhooks.allow_private = false")
    if hooks.allow_http:
        notes.warn("webhooks", "callbacks may go unencrypted", "webhooks.allow_http = false")
    if not (hooks.allow_private or hooks.allow_http):
        notes.ok("webhooks", "https to public addresses only")
    flows = settings.flows
    opened = {
        "requests_allow_private": "requests of flows may go to private addresses",
        "requests_allow_http": "requests of flows may go unencrypted, with their secrets",
        "bots_allow_private": "voice bots may be at private addresses",
        "bots_allow_ws": "calls' audio may go to voice bots unencrypted",
    }
    for key, text in opened.items():
        if getattr(flows, key):
            notes.warn("flows reach", text, f"flows.{key} = false")
    return notes.found
