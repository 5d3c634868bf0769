"""The API commands of the node itself: status, limits, gateways, hash, channels at large. `Commands` finds any.

Replies are byte for byte those of FreeSWITCH 1.11.3 where tests/traces (node_queries above all) show one; a command
that is not here is answered as FreeSWITCH answers one that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from fsbridge.simulator.applications.conference import Conferences
from fsbridge.simulator.legs.originate import originate
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.socket import api_config, api_sofia
from fsbridge.simulator.socket.api_channel import CHANNEL_COMMANDS
from fsbridge.simulator.switch import causes
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.ground import Reply
from fsbridge.simulator.switch.limits import BOTH
from fsbridge.simulator.switch.node import FULL_VERSION, VERSION, Node
from fsbridge.simulator.switch.shutdown import shut_down

_BUILD = "git cc93a68 2026-08-21 14:10:14Z 64bit"
FSCTL_SYNTAX = (
    "fsctl [pause [inbound|outbound]|resume [inbound|outbound]|pause_check|ready_check|shutdown_check|"
    "shutdown [now]|max_sessions|sps|last_sps]"
)
NOT_FOUND = "-ERR {} Command not found!\n"


class Commands:
    """Every command of one node."""

    def __init__(self, conferences: Conferences) -> None:
        self._conferences = conferences

    def run(self, node: Node, line: str, reply: Reply) -> None:
        """Run one command line and give its output to `reply`: at once, or for originate when its result is known."""
        name, _, argument = line.strip().partition(" ")
        node.fire("API", [("API-Command", name), *([("API-Command-Argument", argument)] if argument else [])])
        argument = argument.strip()
        if name == "originate":
            originate(node, argument, reply)
        elif name == "conference":
            reply(self._conference(argument))
        elif node.closed and name == "sofia":
            reply(NOT_FOUND.format(name))
        else:
            command = CHANNEL_COMMANDS.get(name) or _COMMANDS.get(name)
            reply(command(node, argument) if command is not None else NOT_FOUND.format(name))

    def _conference(self, argument: str) -> str:
        words = argument.split()
        if len(words) == 2 and words[1] == "list":
            return self._conferences.listing(words[0])
        return "-USAGE: conference <room> list\n"


def _status(node: Node, argument: str) -> str:
    count = len(node.channels)
    return (
        f"UP {node.uptime_text()}\n"
        f"FreeSWITCH (Version {VERSION} {_BUILD}) is {'ready' if node.ready else 'not ready'}\n"
        f"{node.limits.sessions_started} session(s) since startup\n"
        f"{count} session(s) - peak {node.limits.peak_sessions}, last 5min {node.limits.peak_sessions} \n"
        f"{node.last_rate()} session(s) per Sec out of max {node.limits.sessions_per_second}, "
        f"peak {node.limits.peak_rate}, last 5min {node.limits.peak_rate} \n"
        f"{node.limits.max_sessions} session(s) max\n"
        "min idle cpu 0.00/90.00\n"
        "Current Stack Size/Max 240K/8192K\n"
    )


def _version(node: Node, argument: str) -> str:
    return f"FreeSWITCH Version {FULL_VERSION} ({_BUILD})\n"


def _echo(node: Node, argument: str) -> str:
    return argument


def _hostname(node: Node, argument: str) -> str:
    return node.settings.node


def _module_exists(node: Node, argument: str) -> str:
    return "true" if argument in node.settings.modules else "false"


def _fsctl(node: Node, argument: str) -> str:
    word, _, value = argument.partition(" ")
    number = whole(value)
    ways = frozenset({value}) if value in BOTH else BOTH
    match word:
        case "max_sessions":
            node.limits.max_sessions = node.limits.max_sessions if number is None else number
            return f"+OK max sessions: {node.limits.max_sessions}\n"
        case "sps":
            node.limits.sessions_per_second = number or node.limits.sessions_per_second
            return f"+OK sessions per second: {node.limits.sessions_per_second}\n"
        case "last_sps":
            return f"+OK last sessions per second: {node.last_rate()}\n"
        case "pause_check":
            return "true" if ways <= node.limits.paused_ways else "false"
        case "pause":
            node.limits.pause(ways)
            return "+OK\n"
        case "resume":
            node.limits.resume(ways)
            return "+OK\n"
        case "shutdown_check":
            return "false"  # only of one that waits for the calls to end, `asap` or `elegant`
        case "ready_check":
            return "true" if node.ready else "false"
        case "shutdown" if value == "now":
            node.on_end()
            return ""
        case "shutdown" if not value:
            shut_down(node, node.on_end)
            return "+OK\n"
    return f"-ERR Invalid command\nUSAGE: {FSCTL_SYNTAX}\n"


def _hash(node: Node, argument: str) -> str:
    verb, _, rest = argument.partition("/")
    parts = rest.split("/", 2)
    if len(parts) < 2:
        return "-USAGE: [insert|insert_ifempty|delete|delete_ifmatch|select]/realm/key/value\n"
    place = (parts[0], parts[1])
    match verb:
        case "insert" if len(parts) == 3:
            node.hashes[place] = parts[2]
            return "+OK\n"
        case "select":
            # An empty output is what FreeSWITCH's event socket turns into this.
            return node.hashes.get(place) or "-ERR no reply\n"
        case "delete":
            return "+OK\n" if node.hashes.pop(place, None) is not None else "-ERR Not found\n"
    return "-USAGE: [insert|insert_ifempty|delete|delete_ifmatch|select]/realm/key/value\n"


def _sched_del(node: Node, argument: str) -> str:
    return f"+OK Deleted: {node.forget_tasks(argument)}\n" if argument else "-ERR Invalid syntax\n"


def _hupall(node: Node, argument: str) -> str:
    """``hupall [cause [variable value]]``"""
    words = argument.split()
    cause = words[0] if words else "MANAGER_REQUEST"
    for channel in list(node.channels.values()):
        if len(words) < 3 or channel.variables.get(words[1]) == words[2]:
            channel.hang_up(cause if cause in causes.CODES else "MANAGER_REQUEST")
    return f"+OK hangup all channels with cause {cause}\n"


def _show(node: Node, argument: str) -> str:
    words = argument.split()
    if words[:1] not in (["channels"], ["calls"]) or words[-2:] != ["as", "json"]:
        return "-USAGE: show channels|calls [count] as json\n"
    # Calls are bridged pairs; a parked leg is none.
    channels = list(node.channels.values()) if words[0] == "channels" else []
    if "count" in words:
        return orjson.dumps({"row_count": len(channels), "rows": []}).decode()
    if not channels:
        return '{"row_count": 0}\n'
    return orjson.dumps({"row_count": len(channels), "rows": [_row(node, channel) for channel in channels]}).decode()


def _row(node: Node, channel: Channel) -> dict[str, str]:
    created = channel.times["created"] // 1_000_000
    name, number = channel.shown_caller()
    codec = channel.media
    return {
        "uuid": channel.uuid,
        "direction": "inbound" if channel.inbound else "outbound",
        "created": node.stamp(created),
        "created_epoch": str(created),
        "name": channel.name,
        "state": channel.state,
        "cid_name": name,
        "cid_num": number,
        "ip_addr": "127.0.0.1" if channel.inbound else "",
        "dest": channel.profile.number,
        "application": channel.variables.get("current_application", ""),
        "application_data": channel.variables.get("current_application_data", ""),
        "dialplan": channel.profile.dialplan,
        "context": channel.profile.context,
        **{
            f"{way}_{what}": value if codec else ""
            for way in ("read", "write")
            for what, value in (("codec", "PCMU"), ("rate", "8000"), ("bit_rate", "64000"))
        },
        "secure": "",
        "hostname": node.settings.node,
        "presence_id": "",
        "presence_data": "",
        "accountcode": "",
        "callstate": channel.callstate,
        "callee_name": "",
        "callee_num": "" if channel.inbound else channel.caller_number,
        "callee_direction": "RECV" if channel.flipped else "",
        "call_uuid": "" if channel.inbound else channel.call_uuid,
        "sent_callee_name": "",
        "sent_callee_num": "",
        "initial_cid_name": channel.caller_name,
        "initial_cid_num": channel.caller_number,
        "initial_ip_addr": "127.0.0.1" if channel.inbound else "",
        "initial_dest": channel.number,
        "initial_dialplan": "XML" if channel.inbound else "",
        "initial_context": "public" if channel.inbound else "default",
    }


_COMMANDS: dict[str, Callable[[Node, str], str]] = {
    "echo": _echo,
    "fsctl": _fsctl,
    "file_exists": api_config.file_exists,
    "global_getvar": api_config.global_getvar,
    "hash": _hash,
    "hostname": _hostname,
    "hupall": _hupall,
    "module_exists": _module_exists,
    "sched_del": _sched_del,
    "show": _show,
    "sofia": api_sofia.sofia,
    "status": _status,
    "version": _version,
    "xml_locate": api_config.xml_locate,
}
