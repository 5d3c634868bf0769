"""The headers that every event of a channel carries, as FreeSWITCH writes them. Pure.

Names, order and presence are those of tests/traces/answered_gateway.jsonl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsbridge.simulator.channel import Channel

Header = tuple[str, str]

_STATE_NUMBERS = {
    "CS_NEW": 0,
    "CS_INIT": 1,
    "CS_ROUTING": 2,
    "CS_EXECUTE": 4,
    "CS_CONSUME_MEDIA": 7,
    "CS_HANGUP": 10,
    "CS_REPORTING": 11,
    "CS_DESTROY": 12,
    "CS_NONE": 13,
}
CALLSTATE_NUMBERS = {"DOWN": 0, "DIALING": 1, "RINGING": 2, "EARLY": 3, "ACTIVE": 4, "HANGUP": 7}

_CODEC = [
    (f"Channel-{way}-Codec-{what}", value)
    for way in ("Read", "Write")
    for what, value in (("Name", "PCMU"), ("Rate", "8000"), ("Bit-Rate", "64000"))
]


def basic_headers(channel: Channel) -> list[Header]:
    """The headers of every event of this channel, variables aside."""
    caller = (channel.number, channel.number) if channel.flipped else (channel.caller_name, channel.caller_number)
    callee = ("", channel.caller_number) if channel.flipped else (_callee_name(channel), channel.number)
    times = channel.times
    headers: list[Header] = [
        ("Channel-State", channel.state),
        ("Channel-Call-State", channel.callstate),
        ("Channel-State-Number", str(_STATE_NUMBERS[channel.state])),
        ("Channel-Name", channel.name),
        ("Unique-ID", channel.uuid),
        ("Call-Direction", "outbound"),
        ("Presence-Call-Direction", "outbound"),
        ("Channel-HIT-Dialplan", "true" if channel.hit_dialplan else "false"),
        ("Channel-Call-UUID", channel.uuid),
        ("Answer-State", channel.answer_state),
    ]
    if channel.cause:
        headers.append(("Hangup-Cause", channel.cause))
    if channel.media:
        headers += _CODEC
    if not channel.number:
        return headers
    headers += [
        ("Caller-Direction", "outbound"),
        ("Caller-Logical-Direction", "outbound"),
        *([("Caller-Caller-ID-Name", caller[0])] if caller[0] else []),
        ("Caller-Caller-ID-Number", caller[1]),
        ("Caller-Orig-Caller-ID-Number", channel.caller_number),
        *([("Caller-Callee-ID-Name", callee[0])] if callee[0] else []),
        ("Caller-Callee-ID-Number", callee[1]),
        *([("Caller-Network-Addr", "127.0.0.1")] if times["progress"] or channel.media else []),
        ("Caller-ANI", channel.caller_number),
        ("Caller-Destination-Number", channel.number),
        ("Caller-Unique-ID", channel.uuid),
        ("Caller-Source", "src/switch_ivr_originate.c"),
        ("Caller-Context", "default"),
        ("Caller-Channel-Name", channel.name),
        ("Caller-Profile-Index", "1"),
        ("Caller-Profile-Created-Time", str(times["created"])),
        ("Caller-Channel-Created-Time", str(times["created"])),
        ("Caller-Channel-Answered-Time", str(times["answered"])),
        ("Caller-Channel-Progress-Time", str(times["progress"])),
        ("Caller-Channel-Progress-Media-Time", str(times["early"])),
        ("Caller-Channel-Hangup-Time", str(times["hangup"])),
    ]
    return headers


def _callee_name(channel: Channel) -> str:
    return channel.number if channel.media else "Outbound Call"


def all_headers(channel: Channel) -> list[Header]:
    """Basic headers and every variable."""
    return basic_headers(channel) + [(f"variable_{name}", value) for name, value in channel.variables.items()]
