"""Commands: exact bytes, and no text that could become a second command."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.esl.commands import (
    MAX_LINE,
    Api,
    Auth,
    BgApi,
    Command,
    Echo,
    Execute,
    Exit,
    Filter,
    Line,
    Subscribe,
    kill,
)
from fsbridge.esl.errors import CommandError
from fsbridge.model.ids import ActionId, ChannelUuid, JobUuid
from tests.traces import loader

pytestmark = pytest.mark.unit

CHANNEL = ChannelUuid("d7f3cae4-6f18-4ab2-8619-43da909380f4")
ACTION = ActionId("3607f4a7-e66b-4894-97ac-79602c0f8e7f")
JOB = JobUuid("e0e0807d-c41b-4cca-a454-2561d2f476de")

TEXT: dict[str, Callable[[str], Command]] = {
    "password": Auth,
    "api": Api,
    "line": Line,
    "bgapi": lambda text: BgApi(text, JOB),
    "argument": lambda text: Execute(CHANNEL, ACTION, "speak", text),
}
"""Commands with a part that takes any text of one line."""

WORDS: dict[str, Callable[[str], Command]] = {
    "event name": lambda text: Subscribe((text,)),
    "subclass": lambda text: Subscribe((), (text,)),
    "header": lambda text: Filter(text, "x"),
    "value": lambda text: Filter("x", text),
    "application": lambda text: Execute(CHANNEL, ACTION, text),
    "cause": lambda text: kill(CHANNEL, text),
    "channel": lambda text: Execute(ChannelUuid(text), ACTION, "park"),
    "killed channel": kill,
    "action": lambda text: Execute(CHANNEL, ActionId(text), "park"),
    "job": lambda text: BgApi("status", JobUuid(text)),
}
"""Commands with a part of a strict grammar."""


@pytest.mark.parametrize(
    ("command", "encoded", "name"),
    [
        (Auth("ClueCon"), b"auth ClueCon\n\n", "auth"),
        (Api("status"), b"api status\n\n", "api status"),
        (
            BgApi("originate {a=b}error/x &park()", JOB),
            b"bgapi originate {a=b}error/x &park()\nJob-UUID: e0e0807d-c41b-4cca-a454-2561d2f476de\n\n",
            "bgapi originate",
        ),
        (Subscribe(("HEARTBEAT", "DTMF")), b"event json HEARTBEAT DTMF\n\n", "event"),
        (
            Subscribe(("HEARTBEAT",), ("mod_audio_fork::connect",)),
            b"event json HEARTBEAT CUSTOM mod_audio_fork::connect\n\n",
            "event",
        ),
        (Filter("Event-Name", "HEARTBEAT"), b"filter Event-Name HEARTBEAT\n\n", "filter"),
        (Line("noevents"), b"noevents\n\n", "noevents"),
        (Echo(JOB), f"api echo {JOB}\n\n".encode(), "api echo"),
        (Exit(), b"exit\n\n", "exit"),
        (kill(CHANNEL, "USER_BUSY"), f"api uuid_kill {CHANNEL} USER_BUSY\n\n".encode(), "api uuid_kill"),
        (
            Execute(CHANNEL, ACTION, "park"),
            f"sendmsg {CHANNEL}\ncall-command: execute\nexecute-app-name: park\nEvent-UUID: {ACTION}\n\n".encode(),
            "execute park",
        ),
    ],
)
def test_exact_bytes_and_a_name_that_may_be_logged(command: Command, encoded: bytes, name: str) -> None:
    assert command.encode() == encoded
    assert command.name == name


def test_an_execution_is_what_a_real_freeswitch_took() -> None:
    recorded = [raw for raw in loader.sent("killed_with_cause") if raw.startswith(b"sendmsg")]
    assert recorded == [Execute(CHANNEL, ACTION, "hangup", "USER_BUSY").encode()]


@pytest.mark.parametrize("part", TEXT)
@pytest.mark.parametrize(
    "bad", ["a\nb", "a\r", "\n\napi system", "a\0b", "\ud800", "x" * (MAX_LINE + 1), "\u4f60" * 30_000]
)
def test_text_that_is_no_line_is_refused(part: str, bad: str) -> None:
    with pytest.raises(CommandError, match=r"^\w+: "):
        TEXT[part](bad)


@pytest.mark.parametrize("bad", ["${system(id)}", "a${b}", "$${x}", "say ${"])
def test_an_argument_that_freeswitch_would_expand_is_refused(bad: str) -> None:
    with pytest.raises(CommandError, match="argument: FreeSWITCH would expand"):
        Execute(CHANNEL, ACTION, "speak", bad)
    assert b"5$ {x}" in Execute(CHANNEL, ACTION, "speak", "5$ {x}").encode()


@pytest.mark.parametrize("part", ["password", "api", "line", "bgapi"])
def test_an_empty_command_is_refused(part: str) -> None:
    with pytest.raises(CommandError, match="must not be empty"):
        TEXT[part]("")


@pytest.mark.parametrize("part", WORDS)
@pytest.mark.parametrize("bad", ["", "a b", "a\n", "é", "a,b", "$x", "-" * 200 + "\0", "A" * 129])
def test_a_part_with_a_grammar_is_held_to_it(part: str, bad: str) -> None:
    with pytest.raises(CommandError):
        WORDS[part](bad)


@settings(deadline=None)
@given(
    part=st.sampled_from(sorted(TEXT | WORDS)),
    text=st.text() | st.text(alphabet="\r\n\0 a:/\x0b\x85\u2028", max_size=8),
)
def test_whatever_is_encoded_is_one_command(part: str, text: str) -> None:
    try:
        encoded = (TEXT | WORDS)[part](text).encode()
    except CommandError:
        return
    assert encoded.endswith(b"\n\n")
    assert encoded.count(b"\n\n") == 1
    assert b"\r" not in encoded
    assert b"\0" not in encoded
    lines = 1 + encoded.startswith(b"bgapi") + 3 * encoded.startswith(b"sendmsg")
    assert encoded[:-2].count(b"\n") + 1 in (lines, lines + encoded.startswith(b"sendmsg"))
