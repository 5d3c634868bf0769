"""The API commands that act on one channel (uuid_…, sched_hangup). Replies as in tests/traces."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from fsbridge.simulator.applications.steering import schedule_hangup, send_digits
from fsbridge.simulator.protocol import wire
from fsbridge.simulator.switch import causes
from fsbridge.simulator.switch.bridging import bridge_existing
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.execution import Message
from fsbridge.simulator.switch.node import Node
from fsbridge.simulator.switch.parts import TapRequest
from fsbridge.simulator.switch.recording import Recorder

OK = "+OK\n"
NO_SUCH_CHANNEL = "-ERR No such channel!\n"
OPERATION_FAILED = "-ERR Operation Failed\n"
DEFAULT_BUG = "audio_fork"
FORK_USAGE = (
    "-USAGE: <uuid> [start | stop | send_text | pause | resume | graceful-shutdown ] [wss-url | path] "
    "[mono | mixed | stereo] [8000 | 16000 | 24000 | 32000 | 64000] [bugname] [metadata]\n"
)


def _live(command: Callable[[Node, Channel, str], str], usage: str, *, least: int = 1) -> Callable[[Node, str], str]:
    """A command ``<uuid> [rest]`` on a channel that has not hung up."""

    def checked(node: Node, argument: str) -> str:
        if len(argument.split()) < least:
            return usage
        channel_uuid, _, rest = argument.partition(" ")
        channel = node.live(channel_uuid)
        return NO_SUCH_CHANNEL if channel is None else command(node, channel, rest.strip())

    return checked


def _exists(node: Node, argument: str) -> str:
    return "true" if argument in node.channels else "false"


def _kill(node: Node, channel: Channel, rest: str) -> str:
    channel.hang_up(rest if rest in causes.CODES else "NORMAL_CLEARING")
    return OK


def _dump(node: Node, argument: str) -> str:
    channel_uuid, _, form = argument.partition(" ")
    channel = node.channels.get(channel_uuid)
    if channel is None:
        return NO_SUCH_CHANNEL
    headers = node.preamble("CHANNEL_DATA") + channel.headers()
    if form.strip() == "json":
        return wire.json_bytes(dict(headers)).decode()
    return wire.plain_headers(headers) + "\n"


def _setvar(node: Node, channel: Channel, rest: str) -> str:
    name, _, value = rest.partition(" ")
    channel.set_variable(name, value)
    return OK


def _setvar_multi(node: Node, channel: Channel, rest: str) -> str:
    for assignment in rest.split(";"):
        name, _, value = assignment.partition("=")
        if name.strip():
            channel.set_variable(name.strip(), value)
    return OK


def _getvar(node: Node, channel: Channel, rest: str) -> str:
    return channel.variables.get(rest, "_undef_")


def _break(node: Node, channel: Channel, rest: str) -> str:
    channel.execution.break_off(rest == "all")
    return OK


def _send_dtmf(node: Node, channel: Channel, rest: str) -> str:
    """The digits reach the far end, as those of the application send_dtmf do."""
    send_digits(channel, rest)
    return f"+OK {channel.uuid} sent DTMF {rest}.\n"


def _recv_dtmf(node: Node, channel: Channel, rest: str) -> str:
    """As if the far end had sent them."""
    for digit in rest.partition("@")[0]:
        channel.dtmf(digit)
    return f"+OK {channel.uuid} received DTMF {rest}.\n"


def _record(node: Node, channel: Channel, rest: str) -> str:
    words = rest.split()
    if len(words) < 2 or words[0] not in ("start", "stop", "mask", "unmask"):
        return "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>] [<recording_vars>]\n"
    path = words[1]
    if words[0] == "start":
        if path in channel.recorders:
            return OPERATION_FAILED
        limit = (wire.whole(words[2]) if len(words) > 2 else None) or 0
        started = Recorder(channel, path, session=True).start(limit)
        return "+OK Success\n" if started else "-ERR Cannot record session!\n"
    wanted = list(channel.recorders) if path == "all" else [path]
    for name in wanted:
        recorder = channel.recorders.get(name)
        if recorder is None:
            return OPERATION_FAILED
        if words[0] == "stop":
            recorder.stop()
        else:
            recorder.mask(words[0] == "mask")
    return "+OK Success\n"


def _transfer(node: Node, channel: Channel, rest: str) -> str:
    words = rest.split()
    if words[0] in ("-bleg", "-both"):
        other = channel.other
        if other is None or len(words) < 2:
            return OPERATION_FAILED
        other[0].transfer(*words[1:4])
        if words[0] == "-bleg":
            return OK
        words = words[1:]
    channel.transfer(*words[:3])
    return OK


def _broadcast(node: Node, channel: Channel, rest: str) -> str:
    """``<path> | <app>[![cause]]::<args> [aleg|bleg|both]``; the other leg's half is not played."""
    what, _, legs = rest.partition(" ")
    application, found, argument = what.partition("::")
    if not found:
        application, argument = "playback", what
    if legs.strip() == "bleg" and channel.other is not None:
        channel = channel.other[0]
    channel.execution.send(Message(application.partition("!")[0], argument, str(uuid.uuid4())))
    return "+OK Message sent\n"


def _bridge(node: Node, argument: str) -> str:
    words = argument.split()
    if len(words) < 2:
        return "-USAGE: <uuid> <other_uuid>\n"
    first, second = node.live(words[0]), node.live(words[1])
    if first is None or second is None or first is second or not (first.answered and second.answered):
        return "-ERR Invalid uuid\n"
    bridge_existing(first, second)
    return f"+OK {second.uuid}\n"


def _sched_hangup(node: Node, argument: str) -> str:
    words = argument.split()
    if len(words) < 2:
        return "-USAGE: [+]<time> <uuid>[ <cause>]\n"
    channel = node.live(words[1])
    if channel is None:
        return NO_SUCH_CHANNEL
    if not schedule_hangup(channel, words[0], words[2] if len(words) > 2 else ""):
        return "-USAGE: [+]<time> <uuid>[ <cause>]\n"
    return OK


def _audio_fork(node: Node, argument: str) -> str:
    words = argument.split()
    if len(words) < 2:
        return FORK_USAGE
    channel = node.live(words[0])
    if channel is None:
        return OPERATION_FAILED
    verb, rest = words[1], words[2:]
    if verb == "start":
        return _fork_start(node, channel, rest)
    bug = DEFAULT_BUG
    if rest and not rest[0].startswith(("{", "[")):
        bug = rest.pop(0)
    text = rest[0] if rest else ""
    tap = channel.taps.get(bug)
    if verb not in ("stop", "send_text", "pause", "resume", "graceful-shutdown"):
        return FORK_USAGE
    if tap is None:
        return OPERATION_FAILED
    if verb == "send_text":
        return "+OK Success\n" if text and tap.send_text(text) else OPERATION_FAILED
    if verb in ("pause", "resume"):
        tap.pause(verb == "pause")
        return "+OK Success\n"
    del channel.taps[bug]
    tap.stop(text)
    channel.remove_bug(bug)
    return "+OK Success\n"


def _fork_start(node: Node, channel: Channel, words: list[str]) -> str:
    """``<url> <mix> <rate> [bugname] [metadata]``: split on spaces, so metadata ends at its first one."""
    if len(words) < 3 or words[1] not in ("mono", "mixed", "stereo"):
        return FORK_USAGE
    rate = {"8k": 8000, "16k": 16000}.get(words[2], wire.whole(words[2]))
    if rate is None or rate not in (8000, 16000, 24000, 32000, 64000):
        # The real one logs it and goes on with what it got; 8 kHz is what the call has.
        rate = 8000
    more = words[3:]
    bug = more.pop(0) if more and not more[0].startswith(("{", "[")) else DEFAULT_BUG
    if bug in channel.taps or not channel.media:
        return OPERATION_FAILED
    channel.add_bug(bug)
    channel.taps[bug] = node.taps.open(channel, TapRequest(words[0], words[1], rate, bug, more[0] if more else ""))
    return "+OK Success\n"


CHANNEL_COMMANDS: dict[str, Callable[[Node, str], str]] = {
    "sched_hangup": _sched_hangup,
    "uuid_audio_fork": _audio_fork,
    "uuid_bridge": _bridge,
    "uuid_broadcast": _live(_broadcast, "-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n", least=2),
    "uuid_break": _live(_break, "-USAGE: <uuid> [all]\n"),
    "uuid_dump": _dump,
    "uuid_exists": _exists,
    "uuid_getvar": _live(_getvar, "-USAGE: <uuid> <var>\n", least=2),
    "uuid_kill": _live(_kill, "-USAGE: <uuid> [cause]\n"),
    "uuid_record": _live(_record, "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>]\n", least=3),
    "uuid_recv_dtmf": _live(_recv_dtmf, "-USAGE: <uuid> <dtmf_data>\n", least=2),
    "uuid_send_dtmf": _live(_send_dtmf, "-USAGE: <uuid> <dtmf_data>\n", least=2),
    "uuid_transfer": _live(_transfer, "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n", least=2),
    "uuid_setvar": _live(_setvar, "-USAGE: <uuid> <var> [value]\n", least=2),
    "uuid_setvar_multi": _live(_setvar_multi, "-USAGE: <uuid> <var>=<value>;<var>=<value>...\n", least=2),
}
