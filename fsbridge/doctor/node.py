"""The doctor on one node: version, limits, modules, and who may reach its event socket; SIP and sounds elsewhere. Pure.

`examine_node` is given a function that asks, so recorded replies (tests/traces node_queries, doctor_queries) serve as
well as a live socket. Every command only reads: `READS` names them all. What a node does not tell is a warning, never
an "ok".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from fsbridge.doctor.findings import MODULES, Finding, Notes
from fsbridge.doctor.needs import FlowNeeds, wanted_modules
from fsbridge.doctor.replies import read_socket, read_status, read_truth, read_version
from fsbridge.doctor.sip import examine_sip
from fsbridge.doctor.sounds import examine_sounds
from fsbridge.nodes.standing import QUESTIONS, Standing, read_standing
from fsbridge.settings.nodes import NodeSettings
from fsbridge.settings.whole import Settings

READS = (
    *("version", "status", *QUESTIONS, "fsctl pause_check inbound", "module_exists"),
    *("sofia status", "sofia status gateway", "xml_locate", "global_getvar", "file_exists"),
)
"""The API commands that are sent, without their arguments."""

KNOWN_PASSWORDS = ("ClueCon", "CHANGE-ME-to-a-long-random-word")
"""FreeSWITCH's default, and the one that stands in our example of event_socket.conf.xml."""
OLDEST = (1, 10)
SECURE = (1, 11)
"""Releases before it lack security fixes; of those from it on none is known to."""
LOW_SESSIONS = 100
"""FreeSWITCH ships with 1000; a node with fewer than this was set up for something else."""
LOW_RATE = 30
"""`sessions-per-second` as FreeSWITCH ships it. Calls above it fail as DESTINATION_OUT_OF_ORDER."""
NEARLY_FULL = 0.9

EVENT_SOCKET = "autoload_configs/event_socket.conf.xml"
SWITCH = "autoload_configs/switch.conf.xml"
SOCKET = "xml_locate configuration configuration name event_socket.conf"

Ask = Callable[[str], str]
"""Sends one API command and gives what it prints. Raises EslError."""


def examine_node(node: NodeSettings, settings: Settings, needs: FlowNeeds, ask: Ask) -> list[Finding]:
    """Everything that can be asked of a node that let us in. Raises EslError when it stops answering."""
    notes = Notes(f"node {node.name}")
    _version(notes, ask("version"))
    _takes_calls(notes, settings, needs, ask)
    _modules(notes, settings, needs, ask)
    notes.found += examine_sip(node, settings, ask)
    notes.found += examine_sounds(node.name, settings, needs, ask)
    return notes.found


def examine_password(node: NodeSettings, ask: Ask) -> list[Finding]:
    """Whether everybody knows the way in. It may do where nobody but the node's own machine can use it.

    Raises EslError when it stops answering.
    """
    notes = Notes(f"node {node.name}")
    password = node.password.get_secret_value()
    if password not in KNOWN_PASSWORDS:
        return []
    socket = read_socket(ask(SOCKET)) or {}
    # Without a list of its own mod_event_socket lets in nobody but this machine (`loopback.auto`).
    listed = socket.get("apply-inbound-acl", "loopback.auto") != "loopback.auto"
    listens = socket.get("listen-ip", "127.0.0.1")
    text = f"the event-socket password is {password}, which everybody knows: it opens a shell on the node"
    change = f"another password in {EVENT_SOCKET}, and the same in nodes.password (FSBRIDGE_NODES__…__PASSWORD)"
    if is_here(node.host) and (not listed or is_loopback(listens)):
        notes.warn("password", f"{text}; only its own machine is let in", change)
    else:
        notes.problem("password", text, change)
    return notes.found


def _version(notes: Notes, reply: str) -> None:
    version = read_version(reply)
    if version is None:
        notes.warn("version", f"tells no version: {reply.strip()[:60]!r}", "is it FreeSWITCH, with mod_commands?")
        return
    told = "FreeSWITCH " + ".".join(map(str, version))
    if version[:2] < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        notes.warn("version", f"{told} is older than {oldest}, the oldest known to do", "upgrade the node")
    elif version[:2] < SECURE:
        secure = ".".join(map(str, SECURE))
        notes.warn(
            "version", f"{told} lacks security fixes that {secure} has", f"upgrade the node to {secure} or later"
        )
    else:
        notes.ok("version", told)


def _takes_calls(notes: Notes, settings: Settings, needs: FlowNeeds, ask: Ask) -> None:
    reply = ask("status")
    status = read_status(reply)
    if status is None:
        notes.warn("limits", f"`status` cannot be read: {reply.strip()[:60]!r}", "is mod_commands loaded?")
        return
    answers = [ask(question) for question in QUESTIONS]
    standing = read_standing(*answers)
    into = read_truth(ask("fsctl pause_check inbound")) if settings.inbound else False
    if standing is Standing.PAUSED:
        notes.problem("takes calls", "the node is paused: every call would fail", "fs_cli -x 'fsctl resume'")
    elif standing is not Standing.OPEN:
        notes.problem("takes calls", f"the node takes none: {standing}", "start it again, or take it out of [[nodes]]")
    elif into:
        text = "paused for calls that come in: they are refused"
        notes.problem("takes calls", text, "fs_cli -x 'fsctl resume inbound'")
    elif into is None or any(read_truth(answer) is None for answer in answers):
        notes.warn("takes calls", "does not tell whether it is paused", f"fs_cli -x '{QUESTIONS[0]}'")
    else:
        notes.ok("takes calls", "neither paused nor shutting down")
    _limits(notes, status.sessions, status.max_sessions, status.max_rate, settings, needs)


def _limits(notes: Notes, taken: int, most: int, rate: int, settings: Settings, needs: FlowNeeds) -> None:
    figures = f"{most} sessions, {rate - 1} new ones a second"
    arriving = settings.dialing.max_inbound_calls if settings.inbound else 0
    if taken >= most * NEARLY_FULL:
        notes.warn("limits", f"{taken} of {most} sessions are taken", f"max-sessions, {SWITCH}")
    elif most < LOW_SESSIONS or rate < LOW_RATE:
        notes.warn(
            "limits",
            f"low: {figures}; calls above that fail",
            f"max-sessions and sessions-per-second in {SWITCH}, up to what the node was measured to carry; restart it, "
            "or `fsctl max_sessions N` and `fsctl sps N`",
        )
    elif arriving >= most:
        notes.warn(
            "limits",
            f"{figures}; calls that come in may take all of them ({arriving} are let in), and none can be placed then",
            f"dialing.max_inbound_calls below max-sessions ({SWITCH})",
        )
    else:
        twice = "; a bridged call takes two sessions" if "bridge" in needs.kinds else ""
        notes.ok("limits", figures + twice)


def _modules(notes: Notes, settings: Settings, needs: FlowNeeds, ask: Ask) -> None:
    loaded = []
    for modules, (purpose, level) in wanted_modules(settings, needs).items():
        present = next((name for name in modules if read_truth(ask(f"module_exists {name}"))), None)
        if present is not None:
            loaded.append(present)
            continue
        first = modules[0]
        change = f'<load module="{first}"/> in {MODULES}, then `load {first}`; the build may have to include it'
        others = f" (nor {', '.join(modules[1:])})" if len(modules) > 1 else ""
        notes.found.append(Finding(level, notes.subject, first, f"not loaded{others}: {purpose}", change))
    if loaded:
        notes.ok("modules", " ".join(name.removeprefix("mod_") for name in dict.fromkeys(loaded)))


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_here(host: str) -> bool:
    """Whether an address means the very host that uses it."""
    return is_loopback(host) or host in ("0.0.0.0", "::")
