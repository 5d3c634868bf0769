"""FreeSWITCH's events in the lifecycle's words. Pure; what means nothing to a call gives None.

Which header says what is held to recorded conversations by `tests/unit/call/test_traces.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from amd_model.verdict import UnknownWord, WireError, decode_event
from fsbridge.amd import fork
from fsbridge.call.lifecycle import inputs as i
from fsbridge.esl.causes import hangup_info
from fsbridge.esl.events import Event

SUBSCRIBED = (
    "CHANNEL_CREATE",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_ANSWER",
    "CHANNEL_PARK",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_EXECUTE_COMPLETE",
    "DTMF",
)
"""Channel events that a node has to send us; see `fork.SUBSCRIBED` for the tap's."""


def to_input(event: Event) -> i.Input | None:
    """One event of a call's own channel as an input of its lifecycle, or None."""
    match event.name:
        case "CHANNEL_CREATE":
            return i.ChannelSeen()
        case "CHANNEL_PROGRESS" | "CHANNEL_PROGRESS_MEDIA":
            return i.Progress()
        case "CHANNEL_ANSWER":
            return i.Answered()
        case "CHANNEL_PARK":
            return i.Parked(answered=is_answered(event.headers))
        case "CHANNEL_HANGUP_COMPLETE":
            return i.HungUp(hangup_info(event.headers))
        case "CUSTOM":
            return _tap(event)
        case _:
            return None


def alive(dump: Mapping[str, str]) -> i.ChannelAlive:
    """What a channel's `uuid_dump` says of it."""
    parked = dump.get("Channel-State") == "CS_EXECUTE" and dump.get("variable_current_application") == "park"
    return i.ChannelAlive(answered=is_answered(dump), parked=parked)


def is_answered(headers: Mapping[str, str]) -> bool:
    """Whether the channel stands answered, by an event's headers or a dump's."""
    return headers.get("Answer-State") == "answered"


def is_hanging_up(event: Event) -> bool:
    """Whether the channel was already going down when it sent this: a completion then says nothing of a step."""
    return event.name == "CHANNEL_HANGUP" or event.headers.get("Answer-State") == "hangup"


def _tap(event: Event) -> i.Input | None:
    match fork.read(event.subclass, event.body):
        case fork.Connected():
            return i.TapConnected()
        case fork.Failed(detail):
            return i.TapFailed(detail)
        case fork.Said(text):
            try:
                return i.AmdHeard(decode_event(text))
            except UnknownWord:
                return None
            except WireError as error:
                return i.TapFailed(str(error))
        case None:
            return None
