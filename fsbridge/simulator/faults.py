"""What can be made to go wrong in a simulated node, by name: for tests and for trying how `serve` copes. Pure.

Each fault is armed by a method and lasts until it has struck `times` times or `clear` is called. Events are named by
their name, those of modules (CUSTOM) by their subclass as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

CONTROL = b"\x01"
"""A control character, raw in JSON, where it must be escaped."""
NOT_UTF8 = b"\xff\xfe"
FOR_GOOD = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to one event on its way out."""

    copies: int = 1
    """0: it is lost."""
    delay: float = 0.0
    after: str = ""
    """The event of the same channel that it has to wait for."""
    noise: bytes = b""
    """Raw bytes inside one of its values, in JSON."""
    empty: bool = False
    """Its body is empty."""


UNTOUCHED = Treatment()
LOST = Treatment(copies=0)


class Faults:
    """Armed faults of one node. The node asks at each event, command, originate and tap."""

    def __init__(self, drop_connections: Callable[[], None], cut: Callable[[float], None]) -> None:
        self._drop_connections = drop_connections
        self._cut = cut
        self.clear()

    def clear(self) -> None:
        """Disarm everything."""
        self._armed: dict[tuple[str, str], tuple[int, object]] = {}
        """By kind and what it is armed for: how often it will strike, and how."""
        self.heartbeat_paused = False
        self.disk_full = False
        self.split_bytes = 0
        """When above 0, what is sent goes out in pieces of this many bytes."""

    def _arm(self, kind: str, name: str, times: int, how: object = True) -> None:
        self._armed[kind, name] = (times, how)

    def _strike(self, kind: str, *names: str) -> object:
        """How this kind of fault strikes now what has one of these names; None when it does not."""
        for name in names:
            times, how = self._armed.get((kind, name), (0, None))
            if times > 1:
                self._armed[kind, name] = (times - 1, how)
            elif times == 1:
                del self._armed[kind, name]
            if times > 0:
                return how
        return None

    def _strike_command(self, kind: str, command: str) -> object:
        prefixes = [name for armed, name in self._armed if armed == kind and command.startswith(name)]
        return self._strike(kind, *prefixes)

    # The connection

    def drop_connection(self) -> None:
        """Close every event-socket connection, without a disconnect notice, once what is queued has been sent."""
        self._drop_connections()

    def drop_after(self, event: str, times: int = 1) -> None:
        """Close every connection so that this event is the last thing its listeners hear."""
        self._arm("drop after", event, times)

    def cut(self, seconds: float) -> None:
        """Cut every event-socket connection now and take none for so many simulated seconds; calls go on meanwhile."""
        self._cut(seconds)

    def never_reply(self, command: str, times: int = 1) -> None:
        """Read the next `times` commands that begin with this text and do nothing with them."""
        self._arm("never reply", command, times)

    def late_reply(self, command: str, seconds: float, times: int = 1) -> None:
        """Do the next `times` commands that begin with this text, and say nothing for so many simulated seconds.

        A connection that waits for a command's output says nothing else either: events are held back with it.
        """
        self._arm("late reply", command, times, seconds)

    # Events

    def lose_event(self, event: str, times: int = 1) -> None:
        """Never deliver the next `times` of these events."""
        self._arm("lose", event, times)

    def double_event(self, event: str, times: int = 1) -> None:
        """Deliver the next `times` of these events twice."""
        self._arm("double", event, times)

    def delay_event(self, event: str, seconds: float, times: int = FOR_GOOD) -> None:
        """Deliver these events `seconds` later than the others around them."""
        self._arm("delay", event, times, seconds)

    def put_after(self, event: str, other: str, times: int = 1) -> None:
        """Deliver the next `times` of these events only after the `other` of the same channel.

        ``put_after("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE")`` happens on real nodes
        (tests/traces hangup_after_complete_110), as does the answer after the tap's ``mod_audio_fork::connect``.
        """
        self._arm("put after", event, times, other)

    def spoil_event(self, event: str, noise: bytes = CONTROL, times: int = 1) -> None:
        """Put `noise` raw into the JSON of the next `times` of these events, as part of a variable's value."""
        self._arm("spoil", event, times, noise)

    def empty_body(self, event: str = "BACKGROUND_JOB", times: int = 1) -> None:
        """Deliver the next `times` of these events with nothing in their body."""
        self._arm("empty", event, times)

    def pause_heartbeat(self, paused: bool = True) -> None:
        self.heartbeat_paused = paused

    # Calls and taps

    def duplicate_uuid(self, times: int = 1) -> None:
        """Give the next `times` originates another uuid than asked for, as if theirs were taken."""
        self._arm("duplicate", "uuid", times)

    def fill_disk(self, full: bool = True) -> None:
        """Let recordings find no room: `record` ends early, a session is said to be whole unless it is long."""
        self.disk_full = full

    def silent_taps(self, times: int = 1) -> None:
        """Let the next `times` taps start and never connect, nor say so (tests/traces tap_never_connects)."""
        self._arm("silent", "tap", times)

    # What the node asks

    def treatment(self, name: str, subclass: str) -> Treatment:
        """What is to be done to the next event of this name; counts as struck."""
        if not self._armed:
            return UNTOUCHED
        names = (name, subclass) if subclass else (name,)
        if self._strike("lose", *names):
            return LOST
        delay, after, noise = (self._strike(kind, *names) for kind in ("delay", "put after", "spoil"))
        return Treatment(
            copies=2 if self._strike("double", *names) else 1,
            delay=delay if isinstance(delay, float | int) else 0.0,
            after=after if isinstance(after, str) else "",
            noise=noise if isinstance(noise, bytes) else b"",
            empty=bool(self._strike("empty", *names)),
        )

    def drops_after(self, name: str, subclass: str) -> bool:
        return bool(self._armed) and bool(self._strike("drop after", name, *([subclass] if subclass else [])))

    def swallows(self, command: str) -> bool:
        """Whether this command is to go unanswered."""
        return bool(self._strike_command("never reply", command))

    def lateness(self, command: str) -> float:
        """How much later than it could be this command's reply is."""
        seconds = self._strike_command("late reply", command)
        return seconds if isinstance(seconds, float | int) else 0.0

    def takes_uuid(self) -> bool:
        return bool(self._strike("duplicate", "uuid"))

    def silences_tap(self) -> bool:
        return bool(self._strike("silent", "tap"))
