"""The application `conference`: rooms in which everybody hears everybody else.

Events as in tests/traces/conference_and_bridge.jsonl, where one is alone in a room and leaves it; what a second member
changes is in no recording. Rooms have no profiles here: the name is read, and every profile behaves as the default.
"""

from __future__ import annotations

import uuid

from fsbridge.simulator.audio.lines import FRAME_SECONDS
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.headers import Header
from fsbridge.simulator.switch.node import Node
from fsbridge.simulator.time.process import HANGUP, App

MAX_MEMBERS = 100
_MAINTENANCE = "conference::maintenance"


class Room:
    """One conference: its members by channel, with their ids, in the order in which they came."""

    def __init__(self, node: Node, name: str, profile: str) -> None:
        self._node = node
        self.name = name
        self._profile = profile
        self._uuid = str(uuid.uuid4())
        self.members: dict[Channel, int] = {}
        self.floor: Channel | None = None
        self._ids = 0
        self._tell("conference-create")

    def _about(self) -> list[Header]:
        return [
            ("Conference-Name", self.name),
            ("Conference-Domain", "127.0.0.1"),
            ("Conference-Size", str(len(self.members))),
            ("Conference-Ghosts", "0"),
            ("Conference-Profile-Name", self._profile),
            ("Conference-Unique-ID", self._uuid),
        ]

    def _tell(self, action: str, *more: Header) -> None:
        self._node.fire("CUSTOM", [*self._about(), ("Action", action), *more], subclass=_MAINTENANCE)

    def _tell_of(self, channel: Channel, number: int, action: str, *more: Header) -> None:
        """An event of one member."""
        before = [*self._about(), ("Floor", "true" if channel is self.floor else "false")]
        member = [("Member-ID", str(number)), ("Member-Type", "member"), ("Action", action)]
        channel.fire("CUSTOM", [*member, *more], variables=False, before=before, subclass=_MAINTENANCE)

    def _presence(self) -> None:
        count = len(self.members)
        status = f"Active ({count} caller{'' if count == 1 else 's'})"
        headers = [("proto", "conf"), ("login", self.name), ("from", f"{self.name}@127.0.0.1")]
        self._node.fire("PRESENCE_IN", [*headers, ("event_type", "presence"), ("force-status", status)])

    def join(self, channel: Channel) -> None:
        self._ids += 1
        self.members[channel] = self._ids
        channel.fire_codec()
        if len(self.members) == 1:
            # Told alone: the node has no such sound file.
            self._tell("play-file", ("File", "conference/conf-alone.wav"), ("Error", "File could not be played"))
        self._tell_of(channel, self._ids, "add-member")
        self._presence()
        if self.floor is None:
            self._node.scheduler.call_later(FRAME_SECONDS, lambda: self._take_floor(channel))
        self._mix()

    def leave(self, channel: Channel) -> None:
        if channel is self.floor:
            self.floor = next((member for member in self.members if member is not channel), None)
            heir = "none" if self.floor is None else str(self.members[self.floor])
            self._tell("floor-change", ("Old-ID", "none"), ("New-ID", heir))
        self._presence()
        number = self.members.pop(channel)
        self._tell_of(channel, number, "del-member")
        channel.fire_codec()
        channel.said.unfeed(channel.sample())
        self._mix()

    def close(self) -> None:
        """The last one has left."""
        self._node.scheduler.call_later(FRAME_SECONDS, self._destroyed)

    def _destroyed(self) -> None:
        self._presence()
        self._tell("conference-destroy")

    def _take_floor(self, channel: Channel) -> None:
        if self.floor is None and channel in self.members:
            self.floor = channel
            number = self.members[channel]
            self._tell_of(channel, number, "floor-change", ("Old-ID", "none"), ("New-ID", str(number)))

    def _mix(self) -> None:
        for channel in self.members:
            others = [other for other in self.members if other is not channel]
            channel.said.feed(channel.sample(), [(other.heard, channel.offset_of(other)) for other in others])


class Conferences:
    """The rooms of one node."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    def enter(self, node: Node, channel: Channel, argument: str) -> App:
        """``<room>[@profile][+flags…]``: until the call ends or is taken elsewhere; `uuid_break` does not end it."""
        name, _, profile = argument.partition("+")[0].partition("@")
        if not name or any(channel in room.members for room in self.rooms.values()):
            # Nobody is in two rooms at once, or twice in one.
            return ""
        room = self.rooms.get(name)
        if room is None:
            room = self.rooms[name] = Room(node, name, profile or "default")
        if len(room.members) >= MAX_MEMBERS:
            return ""
        room.join(channel)
        while (yield None) != HANGUP:
            channel.execution.digits.clear()
        room.leave(channel)
        if not room.members:
            del self.rooms[name]
            room.close()
        return ""

    def listing(self, name: str) -> str:
        """The output of ``conference <room> list``."""
        room = self.rooms.get(name)
        if room is None:
            return f"-ERR Conference {name} not found\n"
        lines = []
        for channel, number in room.members.items():
            caller = channel.shown_caller()
            flags = "hear|speak|floor" if channel is room.floor else "hear|speak"
            lines.append(f"{number};{channel.name};{channel.uuid};{caller[0]};{caller[1]};{flags};0;0;100\n")
        return "".join(lines)
