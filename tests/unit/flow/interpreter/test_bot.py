"""A voice bot's commands: what they do to the channel, in order, and what is told to the bot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.model import Defaults
from fsbridge.flow.interpreter import bot
from fsbridge.flow.interpreter.actions import Execute, Executed, Refused, StreamEnd

pytestmark = pytest.mark.unit

DOCUMENT = parse(
    "voice: kal\nsteps: [{id: b, stream: {url: 'wss://bot.example/', context: agents}}]",
    defaults=Defaults(prompts_dir="/p"),
)


PLAYED, SPOKEN = Executed("FILE PLAYED", {}, "/p/a.wav", 1.5), Executed("_none_", {}, "flite|kal|How are you?", 1.1)


def part() -> bot.Part:
    stream = DOCUMENT.body.steps[0].stream
    assert stream is not None
    return bot.begin(DOCUMENT, stream, {"name": "Alex"})


def says(standing: bot.Part, **command: Any) -> tuple[bot.Part, tuple[bot.Effect, ...]]:
    return bot.hear(standing, json.dumps(command))


def complaint(effects: tuple[bot.Effect, ...]) -> str:
    (effect,) = effects
    assert isinstance(effect, bot.Say)
    assert effect.message["event"] == "error"
    return str(effect.message["message"])


def app(effect: bot.Effect) -> tuple[str, str]:
    assert isinstance(effect, Execute)
    return effect.app, effect.arg


def test_what_plays_is_played_in_order() -> None:
    first, effects = says(part(), command="play", file="hello.wav")
    assert [app(effect) for effect in effects] == [("playback", "/p/hello.wav")]
    second, effects = says(first, command="speak", text="How are you?")
    assert effects == ()
    third, effects = bot.executed(second, PLAYED)
    assert effects[0] == bot.Say({"event": "played"})
    assert app(effects[1]) == ("multiset", "tts_engine=flite tts_voice=kal")
    fourth, effects = bot.executed(third, Executed("_none_"))
    assert [app(effect) for effect in effects] == [("speak", "flite|kal|How are you?")]
    done, effects = bot.executed(fourth, SPOKEN)
    assert effects == (bot.Say({"event": "played"}),)
    assert done.playing is None


@pytest.mark.parametrize(
    ("command", "result", "why"),
    [
        ({"command": "play", "file": "gone.wav"}, Executed("FILE NOT FOUND"), "playback /p/gone.wav: FILE NOT FOUND"),
        ({"command": "play", "file": "a.wav"}, Refused("-ERR no"), "playback /p/a.wav: -ERR no"),
        ({"command": "speak", "text": "Hello"}, Executed("_none_", {}, "x|y|Hello", 0.022), "nothing was spoken"),
    ],
)
def test_a_bot_is_told_what_was_not_played(command: dict[str, Any], result: Executed | Refused, why: str) -> None:
    playing, (first,) = says(part(), **command)
    if app(first)[0] == "multiset":
        playing, _ = bot.executed(playing, Executed("_none_"))
    playing, _ = says(playing, command="play", file="next.wav")
    standing, effects = bot.executed(playing, result)
    assert why in complaint(effects[:1])
    assert app(effects[1]) == ("playback", "/p/next.wav")
    assert standing.playing == effects[1]


def test_a_voice_that_cannot_be_had_is_told_once_and_the_next_begins() -> None:
    playing, _ = says(part(), command="speak", text="Hello")
    playing, _ = says(playing, command="play", file="next.wav")
    standing, effects = bot.executed(playing, Refused("mod_flite is not loaded"))
    assert "mod_flite" in complaint(effects[:1])
    assert app(effects[1]) == ("playback", "/p/next.wav")
    assert standing.then == ()


def test_what_a_bot_calls_off_was_no_failure() -> None:
    playing, _ = bot.executed(says(part(), command="speak", text="Hello, a long text")[0], Executed("_none_"))
    assert bot.executed(playing, Executed("_none_", {}, "x|y|Hello, a long text", 0.03, cut=True))[1] == (
        bot.Say({"event": "played"}),
    )


def test_clear_breaks_what_plays_and_forgets_what_waits() -> None:
    playing, _ = says(part(), command="play", file="a.wav")
    playing, _ = says(playing, command="play", file="b.wav")
    cleared, effects = says(playing, command="clear")
    assert effects == (bot.Break(),)
    assert bot.executed(cleared, PLAYED)[1] == (bot.Say({"event": "played"}),)
    assert says(part(), command="clear")[1] == ()


def test_variables_go_to_the_flow() -> None:
    standing, _ = says(part(), command="set", variables={"mood": "good", "score": 3})
    _, effects = says(standing, command="done")
    (finish,) = effects
    assert isinstance(finish, bot.Finish)
    assert finish.result.variables == {"mood": "good", "score": 3}
    assert finish.result.end is StreamEnd.DONE


def test_a_frame_of_newer_builds_comes_whole() -> None:
    assert bot.hear(part(), '{"type": "json", "data": {"command": "done"}}') == says(part(), command="done")


def test_transfer_and_hangup() -> None:
    (effect,) = says(part(), command="transfer", extension="1000")[1]
    assert isinstance(effect, bot.Depart)
    assert (effect.execute.app, effect.execute.arg) == ("transfer", "1000 XML agents")
    assert effect.result.transfer == "1000"
    (effect,) = says(part(), command="hangup", cause="USER_BUSY")[1]
    assert isinstance(effect, bot.Finish)
    assert effect.result.hangup == "USER_BUSY"


def test_a_digit_of_the_far_end_is_told_and_a_bot_that_is_gone_has_ended() -> None:
    assert bot.digit(part(), "5")[1] == (bot.Say({"event": "dtmf", "digit": "5"}),)
    assert bot.gone(part()).result.end is StreamEnd.GONE


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ({"command": "play", "file": "../etc/passwd"}, "cannot be played"),
        ({"command": "play", "file": "/etc/passwd"}, "leaves the prompts folder"),
        ({"command": "play", "file": "{{ secret }}.wav"}, "no template"),
        ({"command": "play"}, "file must be text"),
        ({"command": "speak", "text": ""}, "text must be text"),
        ({"command": "dtmf", "digits": "1;2"}, "not allowed as digits"),
        ({"command": "transfer", "extension": "1 XML x"}, "not allowed as extension"),
        ({"command": "hangup", "cause": "BECAUSE"}, "no hang-up cause"),
        ({"command": "set", "variables": [1]}, "an object"),
        ({"command": "set", "variables": {f"v{n}": n for n in range(101)}}, "at most 100"),
        ({"command": "sing"}, "no command; commands are play"),
        ({"command": 5}, 'key "command"'),
        ([1], 'key "command"'),
    ],
)
def test_what_is_not_allowed_is_told_to_the_bot_and_left(command: Any, said: str) -> None:
    standing, effects = bot.hear(part(), json.dumps(command))
    assert said in complaint(effects)
    assert standing == part()


def test_a_bot_that_floods_loses_its_newest() -> None:
    standing = part()
    for _ in range(bot.MAX_WAITING + 1):
        standing, _ = says(standing, command="play", file="a.wav")
    _, effects = says(standing, command="play", file="a.wav")
    assert "wait already" in complaint(effects)


@given(
    st.text(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(json.dumps)
)
def test_no_words_of_a_bot_make_it_raise(body: str) -> None:
    bot.hear(part(), body)


def test_a_frame_that_is_too_long_or_nested_too_deep_is_told() -> None:
    assert "at most" in complaint(bot.hear(part(), "x" * 20_001)[1])
    assert "JSON object" in complaint(bot.hear(part(), "[" * 15_000)[1])
