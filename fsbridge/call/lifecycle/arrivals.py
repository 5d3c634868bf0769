"""Calls that come in: which events announce one, and which flow takes it. Pure.

The node's dialplan sets `fsbridge_inbound` to a word of its own and parks the channel, unanswered; CHANNEL_PARK is then
the news (tests/traces inbound_call_parked; freeswitch-conf/dialplan/fsbridge_inbound.xml). Whatever a caller can put
into a SIP message is data here: a number that is no number counts as none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fsbridge.esl.events import Event
from fsbridge.model.ids import ChannelUuid, is_uuid
from fsbridge.settings.inbound import InboundSettings

OF_ANY_CHANNEL = ("CHANNEL_PARK",)
"""What a node has to send us of every channel where calls may come in: one has our variables only once it was taken."""

MARK = "fsbridge_inbound"
"""The channel variable by which the dialplan hands a call to us."""

_KEY = re.compile(r"[A-Za-z0-9+][A-Za-z0-9_.+-]{0,63}")
_NUMBER = re.compile(r"\+?[A-Za-z0-9_.#*-]{1,64}")
_CALLER = re.compile(r"\+?[0-9]{1,32}")


@dataclass(frozen=True, slots=True)
class InboundCall:
    """A call that waits, parked. `number` and `key` may be empty, `caller` None: withheld, or nothing we can use."""

    channel: ChannelUuid
    number: str
    caller: str | None
    key: str


def recognise(event: Event) -> InboundCall | None:
    """The inbound call that an event announces, or None for every other event."""
    return read(event.headers) if event.name in OF_ANY_CHANNEL else None


def read(headers: Mapping[str, str]) -> InboundCall | None:
    """The inbound call that waits for us, by its channel's headers (an event's, or a `uuid_dump`'s), or None.

    None also for a channel that is ours already: one that we dialled, or a call that was taken before.
    """
    channel = headers.get("Unique-ID", "")
    if headers.get("Call-Direction") != "inbound" or not headers.get(f"variable_{MARK}") or not is_uuid(channel):
        return None
    if "variable_fsbridge_session" in headers or headers.get("Answer-State") == "hangup":
        return None
    caller = headers.get("Caller-Caller-ID-Number", "")
    return InboundCall(
        channel=ChannelUuid(channel),
        number=_matching(_NUMBER, headers.get("Caller-Destination-Number", "")),
        caller=_matching(_CALLER, caller) or None,
        key=_matching(_KEY, headers[f"variable_{MARK}"]),
    )


def find_entry(entries: Iterable[InboundSettings], call: InboundCall, node: str) -> InboundSettings | None:
    """The entry that takes the call, or None.

    Of several the one that says most: a whole number before a beginning, a longer beginning before a shorter one, then
    one with a key, then one for this node only. A plus sign makes no difference: carriers send it or leave it.
    """
    fitting = ((weight, entry) for entry in entries if (weight := _fits(entry, call, node)) is not None)
    return max(fitting, key=lambda found: found[0], default=(None, None))[1]


def _fits(entry: InboundSettings, call: InboundCall, node: str) -> tuple[int, int, bool, bool] | None:
    if entry.node not in (None, node) or entry.key not in (None, call.key):
        return None
    number = call.number.removeprefix("+")
    whole, length = 0, 0
    if entry.number not in (None, "*"):
        pattern = entry.number.removeprefix("+")
        beginning = pattern.removesuffix("*")
        if not number or not (number.startswith(beginning) if pattern.endswith("*") else number == pattern):
            return None
        whole, length = (1 if pattern.endswith("*") else 2), len(beginning)
    return whole, length, entry.key is not None, entry.node is not None


def _matching(grammar: re.Pattern[str], text: str) -> str:
    return text if grammar.fullmatch(text) is not None else ""
