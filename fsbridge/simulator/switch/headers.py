"""The headers that every event of a channel carries, as FreeSWITCH writes them. Pure.

Names, order and presence are those of tests/traces/answered_gateway.jsonl.
"""

from __future__ import annotations

from fsbridge.simulator.switch.state import ChannelState

Header = tuple[str, str]

Other = tuple[ChannelState, str] | None
"""The leg that a channel was placed for or is bridged with, and what that is: originator or originatee."""

_STATE_NUMBERS = {
    "CS_NEW": 0,
    "CS_INIT": 1,
    "CS_ROUTING": 2,
    "CS_SOFT_EXECUTE": 3,
    "CS_EXECUTE": 4,
    "CS_EXCHANGE_MEDIA": 5,
    "CS_CONSUME_MEDIA": 7,
    "CS_HIBERNATE": 8,
    "CS_RESET": 9,
    "CS_HANGUP": 10,
    "CS_REPORTING": 11,
    "CS_DESTROY": 12,
    "CS_NONE": 13,
}
CALLSTATE_NUMBERS = {"DOWN": 0, "DIALING": 1, "RINGING": 2, "EARLY": 3, "ACTIVE": 4, "RING_WAIT": 6, "HANGUP": 7}

_CODEC = [
    (f"Channel-{way}-Codec-{what}", value)
    for way in ("Read", "Write")
    for what, value in (("Name", "PCMU"), ("Rate", "8000"), ("Bit-Rate", "64000"))
]


def basic_headers(channel: ChannelState, other: Other) -> list[Header]:
    """The headers of every event of this channel, variables aside."""
    direction = "inbound" if channel.inbound else "outbound"
    headers: list[Header] = [
        ("Channel-State", channel.state),
        ("Channel-Call-State", channel.callstate),
        ("Channel-State-Number", str(_STATE_NUMBERS[channel.state])),
        ("Channel-Name", channel.name),
        ("Unique-ID", channel.uuid),
        ("Call-Direction", direction),
        ("Presence-Call-Direction", direction),
        ("Channel-HIT-Dialplan", "true" if channel.hit_dialplan else "false"),
        ("Channel-Call-UUID", channel.call_uuid),
        ("Answer-State", channel.answer_state),
    ]
    if channel.cause:
        headers.append(("Hangup-Cause", channel.cause))
    if channel.media:
        headers += _CODEC
    if not channel.number or not channel.profile.index:
        return headers
    headers += _party("Caller", channel)
    if other is not None:
        leg, role = other
        headers.append(("Other-Type", role))
        headers += _party("Other-Leg", leg)
    return headers


def _party(prefix: str, channel: ChannelState) -> list[Header]:
    """Who calls whom on this leg: of the leg itself (prefix Caller), or of the one it is connected with."""
    own = prefix == "Caller"
    inbound = channel.inbound
    caller = channel.shown_caller()
    callee = ("", channel.caller_number) if channel.flipped else (_callee_name(channel), channel.number)
    times, profile = channel.times, channel.profile
    headers: list[Header] = [
        (f"{prefix}-Direction", "inbound" if inbound else "outbound"),
        (f"{prefix}-Logical-Direction", "inbound" if inbound or not own else "outbound"),
        *([("Caller-Username", channel.caller_number)] if own and inbound else []),
        *([(f"{prefix}-Dialplan", profile.dialplan)] if profile.dialplan else []),
        *([(f"{prefix}-Caller-ID-Name", caller[0])] if caller[0] else []),
        (f"{prefix}-Caller-ID-Number", caller[1]),
        (f"{prefix}-Orig-Caller-ID-Number", channel.caller_number),
        *([(f"{prefix}-Callee-ID-Name", callee[0])] if callee[0] and not inbound else []),
        *([(f"{prefix}-Callee-ID-Number", callee[1])] if not inbound else []),
        *([(f"{prefix}-Network-Addr", "127.0.0.1")] if inbound or times["progress"] or channel.media else []),
        (f"{prefix}-ANI", channel.caller_number),
        (f"{prefix}-Destination-Number", profile.number),
        (f"{prefix}-Unique-ID", channel.uuid),
        (f"{prefix}-Source", "mod_sofia" if inbound else "src/switch_ivr_originate.c"),
        (f"{prefix}-Context", profile.context),
        (f"{prefix}-Channel-Name", channel.name),
        *([(f"{prefix}-Profile-Index", str(profile.index))] if own else []),
        (f"{prefix}-Profile-Created-Time", str(profile.created)),
        (f"{prefix}-Channel-Created-Time", str(times["created"])),
        (f"{prefix}-Channel-Answered-Time", str(times["answered"])),
        (f"{prefix}-Channel-Progress-Time", str(times["progress"])),
        (f"{prefix}-Channel-Progress-Media-Time", str(times["early"])),
        (f"{prefix}-Channel-Hangup-Time", str(times["hangup"])),
        (f"{prefix}-Channel-Bridged-Time", str(times["bridged"])),
    ]
    return headers


def _callee_name(channel: ChannelState) -> str:
    return channel.number if channel.media else "Outbound Call"


def variable_headers(channel: ChannelState) -> list[Header]:
    return [(f"variable_{name}", value) for name, value in channel.variables.items()]
