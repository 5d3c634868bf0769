"""FreeSWITCH's events and answers in the lifecycle's words. Pure; what means nothing to a call gives no inputs.

An event says more than its name: any event of an answered channel is a witness of the answer, any event of one that is
going down a witness of its end. So each is read for every fact that the lifecycle needs, and a lost event leaves the
next one. Which header says what is held to recorded conversations by `tests/unit/call/lifecycle`.

The node's clock may differ from ours: of its times only the spans between them are taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
    "CHANNEL_BRIDGE",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_DESTROY",
    "CHANNEL_EXECUTE_COMPLETE",
    "DTMF",
)
"""Channel events that a node has to send us; see `fork.SUBSCRIBED` for the tap's."""

KEPT = (
    *("hangup_cause", "answer_uepoch", "end_uepoch", "progress_uepoch"),
    *("sip_hangup_disposition", "sip_term_status", "sip_invite_failure_status", "sip_term_cause"),
    "proto_specific_hangup_cause",
)
"""The channel variables that a node is to keep of an end that we do not hear of, in this order with commas between.
FreeSWITCH has set them when it runs `api_hangup_hook` (switch_core_state_machine.c, switch_core_session_hangup_state).
"""

MAX_SPAN_S = 7 * 86_400.0
"""A longer one is no span of a call, but a clock that was set."""


def to_inputs(event: Event) -> Iterator[i.Input | i.Strange]:
    """One event of a call's own channel as inputs of its lifecycle, in the order in which they have to be taken."""
    headers = event.headers
    if is_hanging_up(event):
        end = read_end(headers)
        if event.name in ("CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"):
            if end is not None:
                yield i.HungUp(end)
        else:
            yield i.HangingUp(end)
        return
    if event.name == "CHANNEL_CREATE":
        yield i.ChannelSeen()
    elif event.name in ("CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA"):
        yield i.Progress(early_media=event.name == "CHANNEL_PROGRESS_MEDIA")
    elif event.name == "CHANNEL_ANSWER":
        yield i.Answered()
    elif event.name == "CHANNEL_PARK":
        yield i.Parked(is_answered(headers))
    elif is_answered(headers):
        yield i.Answered(_ago(headers, "Caller-Channel-Answered-Time"))
    if event.name == "CUSTOM":
        said = _tap(event)
        if said is not None:
            yield said


def alive(dump: Mapping[str, str]) -> i.ChannelAlive:
    """What a channel's `uuid_dump` says of it."""
    parked = dump.get("Channel-State") == "CS_EXECUTE" and dump.get("variable_current_application") == "park"
    return i.ChannelAlive(_ago(dump, "Caller-Channel-Answered-Time") if is_answered(dump) else None, parked)


def read_end(headers: Mapping[str, str]) -> i.End | None:
    """What an event of a channel that is going down says of its end; None if it names no cause."""
    if not (headers.get("Hangup-Cause") or headers.get("variable_hangup_cause")):
        return None
    said, hung_up = _micros(headers.get("Event-Date-Timestamp")), _micros(headers.get("Caller-Channel-Hangup-Time"))
    answered = _micros(headers.get("Caller-Channel-Answered-Time"))
    end = hung_up or said  # CHANNEL_HANGUP is told before the time of the hang-up is written down
    return i.End(
        hangup_info(headers),
        talk_s=_span(answered, end) if answered else None,
        alerted=bool(_micros(headers.get("Caller-Channel-Progress-Time"))),
        ago_s=_span(hung_up, said) if hung_up else 0.0,
    )


def read_kept(text: str) -> i.End | None:
    """What a node kept of an end, as `KEPT` has it; None if it kept nothing."""
    values = dict(zip(KEPT, text.strip().split(","), strict=False))
    cause = values.get("hangup_cause", "")
    if not cause.replace("_", "").isalnum() or not cause.isupper():
        return None
    times = {
        "Caller-Channel-Answered-Time": values.get("answer_uepoch") or "0",
        "Caller-Channel-Hangup-Time": values.get("end_uepoch", ""),
        "Caller-Channel-Progress-Time": values.get("progress_uepoch", ""),
    }
    return read_end({"Hangup-Cause": cause, **times, **{f"variable_{name}": values[name] for name in values}})


def is_answered(headers: Mapping[str, str]) -> bool:
    """Whether the channel stands answered, by an event's headers or a dump's."""
    return headers.get("Answer-State") == "answered"


def is_hanging_up(event: Event) -> bool:
    """Whether the channel was already going down when it sent this: a completion then says nothing of a step."""
    going = ("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY")
    return event.name in going or event.headers.get("Answer-State") == "hangup"


def _tap(event: Event) -> i.Input | i.Strange | None:
    match fork.read(event.subclass, event.body):
        case fork.Connected():
            return i.TapConnected()
        case fork.Failed(detail):
            return i.TapFailed(detail)
        case fork.Said(text):
            try:
                return i.AmdHeard(decode_event(text))
            except UnknownWord as unknown:
                return None if unknown.word == "heard" else i.Strange()  # what is heard is for a flow's ears
            except WireError as error:
                return i.TapFailed(str(error))
        case None:
            return None


def _ago(headers: Mapping[str, str], name: str) -> float:
    return _span(_micros(headers.get(name)), _micros(headers.get("Event-Date-Timestamp")))


def _micros(text: str | None) -> int:
    """FreeSWITCH's microseconds since 1970; 0 for none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 20 else 0


def _span(begin: int, end: int) -> float:
    seconds = (end - begin) / 1e6
    return seconds if begin and 0.0 <= seconds <= MAX_SPAN_S else 0.0
