"""The event socket's commands, one small type each; `encode` gives the exact bytes. Pure.

A command is made of lines, so no part may hold a line break or NUL: each constructor refuses with CommandError
and names the part. What may stand in an argument beyond that is the matter of who composes it (`esl.dialstring`
for dial strings, `flow.interpreter.actions` for applications), by allow-lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from fsbridge.esl.errors import CommandError
from fsbridge.model.ids import ActionId, ChannelUuid, JobUuid, is_uuid

MAX_LINE = 60_000
"""mod_event_socket reads a command into a buffer of 64 kB."""

_WORD = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")


class Command(Protocol):
    """Anything that can be sent; `name` is safe to log (it holds no password and no number)."""

    @property
    def name(self) -> str: ...

    def encode(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Auth:
    """`auth <password>`."""

    password: str

    def __post_init__(self) -> None:
        _line("password", self.password)

    @property
    def name(self) -> str:
        return "auth"

    def encode(self) -> bytes:
        return f"auth {self.password}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Api:
    """`api <command>`: runs on the connection's own thread, so it holds up the replies behind it."""

    command: str

    def __post_init__(self) -> None:
        _line("command", self.command)

    @property
    def name(self) -> str:
        return f"api {self.command.split(' ', 1)[0]}"

    def encode(self) -> bytes:
        return f"api {self.command}\n\n".encode()


@dataclass(frozen=True, slots=True)
class BgApi:
    """`bgapi <command>` under our own job uuid, so that the job is known before it is sent."""

    command: str
    job: JobUuid

    def __post_init__(self) -> None:
        _line("command", self.command)
        _uuid("job", self.job)

    @property
    def name(self) -> str:
        return f"bgapi {self.command.split(' ', 1)[0]}"

    def encode(self) -> bytes:
        return f"bgapi {self.command}\nJob-UUID: {self.job}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Subscribe:
    """`event json <names> CUSTOM <subclasses>`."""

    names: tuple[str, ...]
    subclasses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for word in (*self.names, *self.subclasses):
            _word("event name", word)

    @property
    def name(self) -> str:
        return "event"

    def encode(self) -> bytes:
        custom = ("CUSTOM", *self.subclasses) if self.subclasses else ()
        return f"event json {' '.join((*self.names, *custom))}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Filter:
    """`filter <header> <value>`; filters are ORed (fs-traces/filters)."""

    header: str
    value: str

    def __post_init__(self) -> None:
        _word("header", self.header)
        _word("value", self.value)

    @property
    def name(self) -> str:
        return "filter"

    def encode(self) -> bytes:
        return f"filter {self.header} {self.value}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Execute:
    """`sendmsg`: run an application on a channel; `action` comes back as Application-UUID.

    FreeSWITCH expands `${name}` and `${command(…)}` in an argument before the application sees it, and the second
    runs any API command, `system` included. Nobody here needs either, so the last door before the wire is shut.
    """

    channel: ChannelUuid
    action: ActionId
    app: str
    arg: str = ""

    def __post_init__(self) -> None:
        _uuid("channel", self.channel)
        _uuid("action", self.action)
        _word("application", self.app)
        _line("argument", self.arg, empty=True)
        if "${" in self.arg:
            raise CommandError("argument: FreeSWITCH would expand ${…}, and run what stands in it")

    @property
    def name(self) -> str:
        return f"execute {self.app}"

    def encode(self) -> bytes:
        arg = f"execute-app-arg: {self.arg}\n" if self.arg else ""
        return (
            f"sendmsg {self.channel}\ncall-command: execute\nexecute-app-name: {self.app}\n{arg}"
            f"Event-UUID: {self.action}\n\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class Line:
    """Any other command of one line: `noevents`, `filter delete all`."""

    text: str

    def __post_init__(self) -> None:
        _line("command", self.text)

    @property
    def name(self) -> str:
        return self.text.split(" ", 1)[0]

    def encode(self) -> bytes:
        return f"{self.text}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Echo:
    """`api echo <word>`: the node says the word again, so its reply can be told from every other."""

    word: str

    def __post_init__(self) -> None:
        _uuid("word", self.word)

    @property
    def name(self) -> str:
        return "api echo"

    def encode(self) -> bytes:
        return f"api echo {self.word}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Exit:
    """`exit`: FreeSWITCH says goodbye and closes."""

    @property
    def name(self) -> str:
        return "exit"

    def encode(self) -> bytes:
        return b"exit\n\n"


def kill(channel: str, cause: str = "NORMAL_CLEARING") -> Api:
    """Hang a channel up with a cause."""
    _uuid("channel", channel)
    if re.fullmatch(r"[A-Z][A-Z0-9_]{1,63}", cause) is None:
        raise CommandError(f"cause: {cause!r} is no hang-up cause")
    return Api(f"uuid_kill {channel} {cause}")


def _line(part: str, value: str, *, empty: bool = False) -> None:
    if not value and not empty:
        raise CommandError(f"{part}: must not be empty")
    if any(character in value for character in "\r\n\0"):
        raise CommandError(f"{part}: a line break or NUL would start another command")
    if len(value.encode("utf-8", "replace")) > MAX_LINE:
        raise CommandError(f"{part}: longer than {MAX_LINE} bytes")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise CommandError(f"{part}: holds half a character (a lone surrogate)") from error


def _word(part: str, value: str) -> None:
    if _WORD.fullmatch(value) is None:
        raise CommandError(f"{part}: {value!r} may hold only letters, digits and _ . : / -")


def _uuid(part: str, value: str) -> None:
    if not is_uuid(value):
        raise CommandError(f"{part}: {value!r} is no UUID")
