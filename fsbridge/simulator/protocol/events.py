"""Events and who hears them: the event itself, a listener's subscription, and its filters. Pure.

Semantics as measured on FreeSWITCH 1.11.3 (tests/traces/filters.jsonl): filter lines are ORed, a filter on a
header that an event does not carry drops that event, and ``ALL`` includes every CUSTOM subclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from fsbridge.simulator.protocol import wire

# Where in FreeSWITCH's source each event is fired; real events carry it, and people grep for it.
SOURCES: dict[str, tuple[str, str]] = {
    "ADD_SCHEDULE": ("switch_scheduler.c", "switch_scheduler_add_task_ex"),
    "API": ("switch_loadable_module.c", "switch_api_execute"),
    "BACKGROUND_JOB": ("mod_event_socket.c", "api_exec"),
    "CALL_UPDATE": ("switch_channel.c", "switch_channel_flip_cid"),
    "CHANNEL_ANSWER": ("switch_channel.c", "switch_channel_perform_mark_answered"),
    "CHANNEL_CALLSTATE": ("switch_channel.c", "switch_channel_perform_set_callstate"),
    "CHANNEL_CREATE": ("switch_core_state_machine.c", "switch_core_session_run"),
    "CHANNEL_DATA": ("mod_commands.c", "uuid_dump_function"),
    "CHANNEL_DESTROY": ("switch_core_session.c", "switch_core_session_perform_destroy"),
    "CHANNEL_EXECUTE": ("switch_core_session.c", "switch_core_session_exec"),
    "CHANNEL_EXECUTE_COMPLETE": ("switch_core_session.c", "switch_core_session_exec"),
    "CHANNEL_HANGUP": ("switch_channel.c", "switch_channel_perform_hangup"),
    "CHANNEL_HANGUP_COMPLETE": ("switch_core_state_machine.c", "switch_core_session_reporting_state"),
    "CHANNEL_ORIGINATE": ("switch_core_state_machine.c", "switch_core_session_run"),
    "CHANNEL_OUTGOING": ("switch_core_session.c", "switch_core_session_outgoing_channel"),
    "CHANNEL_PARK": ("switch_ivr.c", "switch_ivr_park"),
    "CHANNEL_PROGRESS": ("switch_channel.c", "switch_channel_perform_mark_ring_ready_value"),
    "CHANNEL_PROGRESS_MEDIA": ("switch_channel.c", "switch_channel_perform_mark_pre_answered"),
    "CHANNEL_STATE": ("switch_channel.c", "switch_channel_perform_set_running_state"),
    "CHANNEL_UNPARK": ("switch_ivr.c", "switch_ivr_park"),
    "CUSTOM": ("mod_audio_fork.c", "responseHandler"),
    "DEL_SCHEDULE": ("switch_scheduler.c", "task_thread_loop"),
    "DTMF": ("switch_channel.c", "switch_channel_dequeue_dtmf"),
    "HEARTBEAT": ("switch_core.c", "send_heartbeat"),
    "MEDIA_BUG_START": ("switch_core_media_bug.c", "switch_core_media_bug_add"),
    "MEDIA_BUG_STOP": ("switch_core_media_bug.c", "switch_core_media_bug_destroy"),
    "PLAYBACK_START": ("switch_ivr_play_say.c", "switch_ivr_play_file"),
    "PLAYBACK_STOP": ("switch_ivr_play_say.c", "switch_ivr_play_file"),
    "PRIVATE_COMMAND": ("switch_ivr.c", "switch_ivr_parse_next_event"),
    "RECORD_START": ("switch_ivr_async.c", "record_callback"),
    "RECORD_STOP": ("switch_ivr_async.c", "send_record_stop_event"),
}


class Format(Enum):
    """How a listener asked for its events."""

    PLAIN = "plain"
    JSON = "json"


class Event:
    """One event: its headers in order, and its body if any. Encoded at most once in each format."""

    __slots__ = ("_encoded", "_lower", "body", "headers", "name", "noise", "subclass")

    def __init__(
        self, name: str, subclass: str, headers: Sequence[tuple[str, str]], body: str | None, noise: bytes = b""
    ) -> None:
        """noise: bytes that JSON does not allow, which are in it nevertheless."""
        self.name = name
        self.noise = noise
        self.subclass = subclass
        self.headers = headers
        self.body = body
        self._encoded: dict[Format, bytes] = {}
        self._lower: dict[str, str] | None = None

    def get(self, name: str) -> str | None:
        """A header's value, the name in any case."""
        if self._lower is None:
            self._lower = {key.lower(): value for key, value in self.headers}
        return self._lower.get(name.lower())

    def encode(self, form: Format) -> bytes:
        encoded = self._encoded.get(form)
        if encoded is None:
            if form is Format.PLAIN:
                encoded = wire.plain_event(self.headers, self.body)
            else:
                encoded = wire.json_event(self.headers, self.body, self.noise)
            self._encoded[form] = encoded
        return encoded


@dataclass(slots=True)
class Subscription:
    """What one listener wants to hear. Changed by its `event`, `nixevent`, `noevents` and `filter` commands."""

    format: Format = Format.PLAIN
    everything: bool = False
    names: set[str] = field(default_factory=set)
    subclasses: set[str] = field(default_factory=set)
    filters: list[tuple[str, str]] = field(default_factory=list)

    def subscribe(self, argument: str) -> bool:
        """Apply ``plain|json NAME… [CUSTOM subclass…]``; False when it names no event."""
        words = argument.split()
        if words and words[0].lower() in ("plain", "json", "xml"):
            if words[0].lower() == "xml":
                return False
            self.format = Format(words.pop(0).lower())
        if not words:
            return False
        custom = False
        for word in words:
            if custom:
                self.subclasses.add(word)
            elif word.upper() == "ALL":
                self.everything = True
            elif word.upper() == "CUSTOM":
                custom = True
                self.names.add("CUSTOM")
            else:
                self.names.add(word.upper())
        return True

    def unsubscribe(self, argument: str) -> None:
        """`nixevent`: stop hearing these."""
        for word in argument.split():
            self.names.discard(word.upper())
            self.subclasses.discard(word)

    def clear(self) -> None:
        """`noevents`."""
        self.everything = False
        self.names.clear()
        self.subclasses.clear()

    def remove_filter(self, name: str, value: str) -> None:
        """`filter delete <name> [value]`; the name ``all`` removes every one."""
        if name.lower() == "all":
            self.filters.clear()
            return
        self.filters = [
            (key, wanted) for key, wanted in self.filters if key.lower() != name.lower() or (value and wanted != value)
        ]

    def wants_name(self, name: str) -> bool:
        """Whether an event of this name could be wanted: asked before the event is built."""
        return self.everything or name in self.names

    def wants(self, event: Event) -> bool:
        if not self.everything:
            if event.name not in self.names:
                return False
            if event.name == "CUSTOM" and self.subclasses and event.subclass not in self.subclasses:
                return False
        return not self.filters or self._passes(event)

    def _passes(self, event: Event) -> bool:
        passed = False
        for name, wanted in self.filters:
            value = event.get(name)
            if value is None:
                continue
            exclude = wanted.startswith("-")
            if value.lower() == wanted.lstrip("+- ").lower():
                if exclude:
                    return False
                passed = True
        return passed
