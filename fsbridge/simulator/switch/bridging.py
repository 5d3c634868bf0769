"""Two legs connected: who hears whom, what their events say of it, and `uuid_bridge`, which connects existing ones.

Order of events and variables as in tests/traces: flow_bridge_and_transfer, and conference_and_bridge for `uuid_bridge`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fsbridge.simulator.audio.lines import FRAME_SECONDS
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.headers import Header


def connect(first: Channel, second: Channel) -> list[Header]:
    """Let each hear the other, in sound and in digits; returns the headers that name the pair."""
    first.said.feed(first.sample(), [(second.heard, first.offset_of(second))])
    second.said.feed(second.sample(), [(first.heard, second.offset_of(first))])
    first.on_digit, second.on_digit = second.on_digit_sent, first.on_digit_sent
    for one, other in ((first, second), (second, first)):
        one.times["bridged"] = int(one.node.scheduler.wall() * 1e6)
        one.variables["signal_bond"] = other.uuid
    return [("Bridge-A-Unique-ID", first.uuid), ("Bridge-B-Unique-ID", second.uuid)]


def tell_partner(channel: Channel, other: Channel) -> None:
    """The variables of a channel that is bridged, and CALL_UPDATE."""
    channel.variables.update(
        {
            "bridge_to": other.uuid,
            "last_bridge_to": other.uuid,
            "bridge_channel": other.name,
            "bridge_uuid": other.uuid,
            "last_sent_callee_id_name": other.number,
            "last_sent_callee_id_number": other.number,
        }
    )
    channel.fire("CALL_UPDATE")


def disconnect(first: Channel, second: Channel) -> None:
    """Undo `connect`."""
    for one in (first, second):
        one.said.unfeed(one.sample())
        one.on_digit = lambda digit: None
        one.variables.pop("bridge_to", None)


def bridge_existing(first: Channel, second: Channel) -> None:
    """`uuid_bridge`: take two answered legs from whatever they run and connect them; each ends with the other."""
    for one in (first, second):
        one.on_transfer()
    pair = _Pair(first, second)
    first.other, second.other = (second, "originatee"), (first, "originator")
    for one, other in ((first, second), (second, first)):
        one.variables["signal_bond"] = other.uuid
        one.variables["bridge_channel"] = other.name
        one.profile = replace(one.profile, index=one.profile.index + 1)
    second.displayed = first.number
    for one in (first, second):
        one.execution.leave(lambda one=one: pair.ready(one))  # type: ignore[misc]


class _Pair:
    """Two legs on their way to each other: the bridge begins when both have left what they ran."""

    def __init__(self, first: Channel, second: Channel) -> None:
        self._legs = (first, second)
        self._waiting = [first, second]
        self._told: list[Header] = []
        """The headers that name the pair, while it is connected."""
        self._over = False
        self._taken: set[Channel] = set()
        """Those that were transferred away."""
        for one in self._legs:
            one.on_hangup = self._ended_by(one)
            one.on_transfer = self._taken_from(one)

    def ready(self, channel: Channel) -> None:
        for state in ("CS_HIBERNATE", "CS_RESET", "CS_SOFT_EXECUTE"):
            channel.set_state(state)
        self._waiting.remove(channel)
        if not self._waiting:
            channel.node.scheduler.call_later(FRAME_SECONDS, self._begin)

    def _begin(self) -> None:
        first, second = self._legs
        if self._over or first.hung_up or second.hung_up:
            return
        for one, other in ((first, second), (second, first)):
            one.fire("CHANNEL_EXECUTE", [("Application", "uuid_bridge"), ("Application-Data", other.uuid)])
        self._told = connect(first, second)
        first.fire("CHANNEL_BRIDGE", before=self._told)
        second.belong_to(first)
        second.set_state("CS_EXCHANGE_MEDIA")
        for one in self._legs:
            one.execution.attend()
        tell_partner(first, second)
        tell_partner(second, first)

    def _ended_by(self, channel: Channel) -> Callable[[], None]:
        """What else the leg's own far side does at its end, and then the other leg's end."""
        before = channel.on_hangup

        def ended() -> None:
            before()
            self._left(channel)

        return ended

    def _taken_from(self, channel: Channel) -> Callable[[], None]:
        def taken() -> None:
            self._taken.add(channel)
            self._left(channel)

        return taken

    def _left(self, channel: Channel) -> None:
        """This leg is in the bridge no more."""
        first, second = self._legs
        channel.on_transfer = lambda: None
        if channel is first:
            self._unbridged()
        channel.node.scheduler.call_later(FRAME_SECONDS, lambda: self._follow(second if channel is first else first))

    def _unbridged(self) -> None:
        """Undo the bridge and tell it, once: by the first leg."""
        first, second = self._legs
        pair, self._told = self._told, []
        self._over = True
        if pair:
            disconnect(first, second)
            for name in ("bridge_hangup_cause", "last_bridge_hangup_cause"):
                first.variables[name] = second.cause or first.cause or "NORMAL_CLEARING"
            first.fire("CHANNEL_UNBRIDGE", before=pair)

    def _follow(self, other: Channel) -> None:
        """The other leg goes too, unless it was taken elsewhere as well."""
        was_connected = bool(self._told)
        self._unbridged()
        if other in self._taken:
            other.other = None
        elif not other.hung_up:
            if was_connected:
                other.set_state("CS_EXECUTE")
            other.hang_up("NORMAL_CLEARING", at_once=True)
