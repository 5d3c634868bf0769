"""The API commands that tell of a node's configuration and files: `xml_locate`, `file_exists`, `global_getvar`.

Replies have the form of tests/traces doctor_queries. The configuration is that of a node made ready by freeswitch-conf;
what the settings decide (profiles, gateways, contexts, sounds) is as they say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from xml.sax.saxutils import quoteattr

from fsbridge.simulator.switch.node import Node

NOTHING = "can't find anything\n"
SOUNDS = "/usr/share/freeswitch/sounds"
"""Where a node's sounds are; the simulator's own, for `say`, are nowhere but in what it tells."""
SAID = f"{SOUNDS}/en/us/callie"
_SAID_FOLDERS = ("ascii", "currency", "digits", "time")


def xml_locate(node: Node, argument: str) -> str:
    """``xml_locate <section> <tag> <attribute> <value>``"""
    match argument.split():
        case ["configuration", "configuration", "name", name] if name in _FILES:
            return _FILES[name](node)
        case ["dialplan", "context", "name", name] if name in node.dialplan.contexts:
            return f"<context name={quoteattr(name)}>\n</context>\n"
        case ["languages", "language", "name", name] if f"mod_say_{name}" in node.settings.modules:
            return f'<language name="{name}" say-module="{name}" sound-prefix="{SAID}">\n</language>\n'
    return NOTHING


def file_exists(node: Node, argument: str) -> str:
    """Of this machine's files, and of the sounds that the settings say are there. Folders count too."""
    if argument in (SOUNDS, SAID, *(f"{SAID}/{folder}" for folder in _SAID_FOLDERS)):
        return "true" if node.settings.say_sounds else "false"
    return "true" if argument and os.path.exists(argument) else "false"


def global_getvar(node: Node, argument: str) -> str:
    """One variable, or all; an empty output is what the event socket turns into an error."""
    known = {**node.globals, "sounds_dir": node.settings.sounds or SOUNDS}
    if not argument:
        return "".join(f"{name}={value}\n" for name, value in known.items())
    return known.get(argument) or "-ERR no reply\n"


def _params(values: Iterable[tuple[str, str]], indent: str) -> str:
    return "".join(
        f"{indent}<param name={quoteattr(name)} value={quoteattr(value)}></param>\n" for name, value in values
    )


def _sofia(node: Node) -> str:
    settings = node.settings
    profiles = ""
    for number, name in enumerate(settings.profiles):
        gateways = "".join(
            f"          <gateway name={quoteattr(gateway)}>\n"
            f"{_params((('proxy', '127.0.0.1:5080'), ('password', 'x'), ('register', 'false')), ' ' * 14)}"
            "          </gateway>\n"
            for gateway in (settings.gateways if number == 0 else ())
        )
        values = [("sip-ip", "127.0.0.1"), ("disable-transfer", "false" if settings.transferable else "true")]
        values += [("tls", "true")] if settings.tls else []
        profiles += (
            f"    <profile name={quoteattr(name)}>\n        <gateways>\n{gateways}        </gateways>\n"
            f"        <settings>\n{_params(values, ' ' * 12)}        </settings>\n    </profile>\n"
        )
    return (
        '<configuration name="sofia.conf" description="sofia Endpoint">\n'
        f"    <profiles>\n{profiles}    </profiles>\n</configuration>\n"
    )


def _event_socket(node: Node) -> str:
    settings = node.settings
    values = [
        ("nat-map", "false"),
        ("listen-ip", settings.host),
        ("listen-port", str(settings.port)),
        ("password", settings.password),
        # It asks nobody where they come from.
        ("apply-inbound-acl", "any_v4.auto"),
    ]
    return (
        '<configuration name="event_socket.conf" description="Event socket">\n'
        f"    <settings>\n{_params(values, ' ' * 8)}    </settings>\n</configuration>\n"
    )


def _conference(node: Node) -> str:
    return (
        '<configuration name="conference.conf" description="Audio Conference">\n    <profiles>\n'
        '        <profile name="default">\n        </profile>\n    </profiles>\n</configuration>\n'
    )


_FILES: dict[str, Callable[[Node], str]] = {
    "conference.conf": _conference,
    "event_socket.conf": _event_socket,
    "sofia.conf": _sofia,
}
