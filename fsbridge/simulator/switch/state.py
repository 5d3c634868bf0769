"""What a channel is at this moment, as plain values: what its headers and variables are made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Profile:
    """Where the channel stands in the dialplan: a transfer makes a new one (``Caller-Profile-Index``)."""

    number: str
    """The number called, or the extension transferred to."""
    context: str
    dialplan: str = ""
    index: int = 1
    """0 while the channel has no profile yet: its events name neither caller nor called then."""
    created: int = 0


class ChannelState:
    """One leg as its events show it. Instants in `times` are Unix microseconds, 0 while they have not come."""

    def __init__(
        self, uuid: str, name: str, number: str, caller: tuple[str, str], *, inbound: bool, created: int, session: int
    ) -> None:
        """caller: the caller id, name and number. session: how many channels the node has had, this one included."""
        self.uuid = uuid
        self.name = name
        self.number = number
        self.inbound = inbound
        self.caller_name, self.caller_number = caller
        self.times: dict[str, int] = dict.fromkeys(("created", "answered", "progress", "early", "bridged", "hangup"), 0)
        self.times["created"] = created
        self.profile = Profile(
            number, "public" if inbound else "default", "XML" if inbound else "", created=self.times["created"]
        )
        self.call_uuid = uuid
        self.variables: dict[str, str] = {
            "direction": "inbound" if inbound else "outbound",
            **({} if inbound else {"is_outbound": "true"}),
            "uuid": uuid,
            "call_uuid": uuid,
            "session_id": str(session),
        }
        self.state = "CS_NONE"
        self.callstate = "DOWN"
        self.answer_state = "ringing"
        self.cause = ""
        self.hit_dialplan = False
        self.flipped = False
        """Caller and callee have changed places."""
        self.reached = number
        """Who answers: another than was called, after a redirection."""
        self.displayed = ""
        """The number of the leg that this one has been connected with by command."""
        self.media = False
        self.bugs: list[str] = []

    @property
    def hung_up(self) -> bool:
        return self.cause != ""

    @property
    def answered(self) -> bool:
        return self.times["answered"] > 0

    def belong_to(self, other: ChannelState) -> None:
        """Be part of the same call as `other`."""
        self.call_uuid = self.variables["call_uuid"] = other.uuid

    def shown_caller(self) -> tuple[str, str]:
        """The caller id as events show it now, name and number."""
        if self.displayed:
            return self.displayed, self.displayed
        return (self.reached, self.reached) if self.flipped else (self.caller_name, self.caller_number)

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable; an empty value removes it, as in FreeSWITCH."""
        if value:
            self.variables[name] = value
        else:
            self.variables.pop(name, None)

    def expand(self, text: str) -> str:
        """Replace ``${name}`` by the channel's variables (nothing when unset)."""
        parts = text.split("${")
        out = [parts[0]]
        for part in parts[1:]:
            name, brace, rest = part.partition("}")
            value = self.profile.number if name == "destination_number" else self.variables.get(name, "")
            out.append(value + rest if brace else "${" + part)
        return "".join(out)
