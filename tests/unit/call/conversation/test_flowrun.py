"""A flow on a channel that is played by hand: completions, deadlines, what is broken off, bots, ears."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from amd_model.verdict import AmdEvent, EventKind, Heard, Sound, encode_event, encode_heard
from fsbridge.call.conversation.ears import Ears, Tapping
from fsbridge.call.conversation.executor import BREAK_S
from fsbridge.call.conversation.flowrun import AWAY_S, FlowNews, FlowRun, Outside
from fsbridge.call.lifecycle.inputs import FlowResult
from fsbridge.errors import FsbridgeError
from fsbridge.esl.errors import CommandFailed, CommandTimeout, EslConnectionLost, EslNotSent
from fsbridge.esl.events import Event
from fsbridge.flow.document.document import parse
from fsbridge.flow.interpreter.actions import Dial, Fetch, Fetched, OpenStream, Result
from fsbridge.flow.interpreter.actions import Heard as FlowHeard
from fsbridge.flow.interpreter.interpreter import Facts, Left
from fsbridge.model.ids import ActionId, ChannelUuid

pytestmark = pytest.mark.unit

CHANNEL = ChannelUuid("dfdb0b12-17e4-4235-b1a3-28338b89169a")
FACTS = Facts("11111111-1111-4111-8111-111111111111", "+15550100001", "", "", "22222222-2222-4222-8222-222222222222")


@dataclass
class Hand:
    """The node, the house and the clock; `did` is everything in order."""

    did: list[str] = field(default_factory=list)
    last: str = ""
    refuses: Exception | None = None
    has_channel: bool = True
    news: list[FlowNews] = field(default_factory=list)
    began: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    heard: list[FlowHeard] = field(default_factory=list)
    later: list[Callable[[], None]] = field(default_factory=list)
    away: bool = False

    def exists(self, channel: ChannelUuid) -> bool:
        self.did.append("exists?")
        return self.has_channel

    def execute(self, channel: ChannelUuid, action_id: ActionId, app: str, arg: str) -> None:
        self.did.append(f"{app} {arg}")
        self.last = action_id
        if self.refuses is not None:
            raise self.refuses

    def break_off(self, channel: ChannelUuid) -> None:
        self.did.append("break")
        if self.refuses is not None:
            raise self.refuses

    def call_back(self, channel: ChannelUuid) -> None:
        self.did.append("call back")
        if self.refuses is not None:
            raise self.refuses

    def start_bot(self, channel: ChannelUuid, stream: OpenStream) -> None:
        self.did.append(f"bot {stream.url}")
        if self.refuses is not None:
            raise self.refuses

    def tell_bot(self, channel: ChannelUuid, message: object) -> None:
        self.did.append(f"tell {json.dumps(message)}")

    def stop_bot(self, channel: ChannelUuid) -> None:
        self.did.append("stop bot")

    def dial(self, dial: Dial) -> str:
        if not dial.to.startswith("+"):
            raise ValueError("is no number")
        return f"sofia/gateway/carrier/{dial.to}"

    def tell(self, name: str, data: object) -> bool:
        self.did.append(f"event {name} {data}")
        return name == "known"

    def fetch(self, fetch: Fetch) -> Result:
        return Fetched(200, {"url": fetch.url})


class Story:
    """One run; `at` is the clock."""

    def __init__(self, steps: str, head: str = "", ears_fail: bool = False, driven: bool = True) -> None:
        self.hand, self.at = Hand(), 100.0
        hand = self.hand

        def start() -> None:
            hand.did.append("ears on")
            if ears_fail:
                raise FsbridgeError("no AMD worker is up")

        tapping = Tapping(
            start=start,
            stop=lambda: hand.did.append("ears off"),
            beside=lambda what, task: task(),
            reference=lambda file: np.zeros((0, 16), np.uint8),
        )
        outside = Outside(
            fetch=hand.fetch,
            dial=hand.dial,
            bot_refusal=lambda url: "is private" if "private" in url else None,
            tell=hand.tell,
            beside=lambda what, task: hand.later.append(task),
            post=hand.news.append,
            began=lambda step, kind: hand.began.append(step),
            left=hand.left.append,
            heard=hand.heard.append,
            called_back=self.called_back,
        )
        self.run = FlowRun(hand, CHANNEL, outside, Ears(tapping), driven)
        self.run.start(parse(f"{head}\nsteps:\n{steps}"), {}, FACTS, self.at)

    def called_back(self) -> None:
        self.hand.did.append("away")
        self.run.drive(False, self.at)

    def completes(self, response: str = "_none_", action: str | None = None, **variables: str) -> None:
        headers = {f"variable_{name}": value for name, value in variables.items()}
        uuid = action if action is not None else self.hand.last
        self.event(
            "CHANNEL_EXECUTE_COMPLETE", **{"Application-UUID": uuid, "Application-Response": response, **headers}
        )

    def event(self, name: str, subclass: str = "", body: str = "", **headers: str) -> None:
        self.run.on_event(Event(name, subclass, {"Event-Name": name, **headers}, body), self.at)

    def tap(self, word: str, body: str = "") -> None:
        self.event("CUSTOM", f"mod_audio_fork::{word}", body)

    def hears(self, frame: str) -> None:
        self.tap("transcription", json.dumps(json.loads(frame)["data"]))

    def bot(self, **command: Any) -> None:
        self.tap("transcription", json.dumps(command))

    def passes(self, seconds: float) -> None:
        self.at += seconds
        self.run.on_time(self.at)

    @property
    def reason(self) -> str:
        assert self.run.ended is not None
        assert self.run.ended.result is FlowResult.BROKE
        return self.run.ended.detail


PLAY_TWO = "  - {id: a, play: 'a.wav', on: {failed: b}}\n  - {id: b, play: b.wav}"


def test_only_our_own_completion_counts() -> None:
    story = Story(PLAY_TWO)
    story.completes(action="00000000-0000-4000-8000-000000000000")
    assert story.hand.did == ["playback a.wav"]
    story.completes("FILE PLAYED")
    story.completes("FILE PLAYED")
    assert story.hand.did == ["playback a.wav", "playback b.wav"]
    assert story.run.ended is not None
    assert story.run.ended.result is FlowResult.FINISHED


def test_what_outlasts_its_deadline_has_ended_before_the_next_is_sent() -> None:
    story = Story(PLAY_TWO)
    story.passes(3_599)
    story.run._run_until = 10_000  # the run itself may last
    story.passes(1)
    assert story.hand.did == ["playback a.wav", "break"]
    story.completes("PLAYBACK ERROR")
    assert story.hand.did[-1] == "playback b.wav"
    assert story.hand.left[0].detail == "did not end in time"


def test_a_break_that_is_not_confirmed_is_not_waited_for_for_ever() -> None:
    story = Story("  - {id: a, pause: 1, on: {done: b}}\n  - {id: b, play: b.wav}")
    story.passes(16)
    story.passes(BREAK_S)
    assert story.reason == "step a: pause failed: did not end in time"


def test_a_run_that_takes_too_long_is_broken_off() -> None:
    story = Story("  - {id: a, play: a.wav}", head="max_duration: 30")
    assert story.run.deadline == 130
    story.passes(30)
    assert "max_duration of 30 s" in story.reason


def test_nothing_is_sent_after_the_end() -> None:
    story = Story(PLAY_TWO)
    story.run.stop()
    story.completes("FILE PLAYED")
    story.passes(10_000)
    assert story.hand.did == ["playback a.wav"]
    assert story.run.deadline is None


def test_a_bridge_is_left_by_calling_the_channel_back() -> None:
    story = Story("  - {id: a, bridge: {to: '+15550100777', max: 60}, on: {failed: b}}\n  - {id: b, hangup: USER_BUSY}")
    story.completes()
    assert story.hand.did[-1] == "bridge sofia/gateway/carrier/+15550100777"
    assert story.hand.began == ["a"]
    story.passes(20)  # it rings
    story.event("CHANNEL_BRIDGE")
    story.passes(59.9)
    assert story.hand.did[-1].startswith("bridge")
    story.passes(0.1)
    assert story.hand.did[-2:] == ["call back", "away"]
    story.completes(originate_disposition="SUCCESS")
    assert story.hand.left[0].detail == "ended after its max of 60 s"
    assert story.run.ended is not None
    assert story.run.ended.result is FlowResult.FINISHED


def test_a_bridge_whose_answer_nobody_told_of_ends_too() -> None:
    story = Story("  - {id: a, bridge: {to: '+15550100777', timeout: 30, max: 60}}")
    story.completes()
    story.passes(94.9)
    assert story.hand.did[-1].startswith("bridge")
    story.passes(0.1)
    assert story.hand.did[-2:] == ["call back", "away"]
    story.completes(originate_disposition="SUCCESS")
    assert story.run.ended is not None
    assert story.run.ended.result is FlowResult.FINISHED


def test_a_room_is_left_at_its_bound() -> None:
    story = Story("  - {id: a, conference: {room: x, max: 60}}")
    story.passes(60)
    assert story.hand.did[-2:] == ["call back", "away"]
    story.completes()
    assert story.run.ended is not None
    assert story.run.ended.result is FlowResult.FINISHED
    assert story.hand.left[0].detail == "ended after its max of 60 s"


# --- a node that is gone -------------------------------------------------------------------------------


def test_silence_of_a_node_that_is_away_means_nothing() -> None:
    story = Story("  - {id: a, wait_for: {beep: true, timeout: 5}}\n  - {id: b, play: b.wav}")
    story.hand.away = True
    story.passes(60)
    story.passes(AWAY_S)
    assert story.run.ended is None
    assert story.hand.left == []
    story.hand.away = False
    story.passes(AWAY_S)  # it is back; whether the channel is still there, the call asks now
    assert story.hand.left == []
    story.passes(AWAY_S)
    assert story.hand.left[0].outcome == "timeout"
    assert story.hand.did[-1] == "playback b.wav"


def test_an_application_on_a_node_that_is_away_has_not_outlasted_its_time() -> None:
    story = Story("  - {id: a, pause: 1}\n  - {id: b, play: b.wav}")
    story.hand.away = True
    story.passes(60)
    assert story.hand.did == ["playback silence_stream://1000"]
    story.run.stop()  # the call has learnt that the node is gone
    story.hand.away = False
    story.passes(60)
    assert story.hand.did == ["playback silence_stream://1000"]


def test_a_flow_that_waits_for_a_node_ends_with_its_own_time() -> None:
    story = Story("  - {id: a, wait_for: {beep: true, timeout: 5}}", head="max_duration: 30")
    story.hand.away = True
    story.passes(30)
    assert "max_duration of 30 s" in story.reason


def test_nothing_is_sent_before_the_channel_can_be_driven() -> None:
    """`park` takes the channel from what was sent before it (tests/traces race_playback_before_park)."""
    story = Story(PLAY_TWO, driven=False)
    assert (story.hand.did, story.hand.began) == ([], ["a"])
    story.passes(600)
    assert story.hand.did == []
    story.run.drive(True, story.at)
    story.run.drive(True, story.at)
    assert story.hand.did == ["playback a.wav"]
    story.passes(599)  # its own time began with the sending
    story.completes("FILE PLAYED")
    assert story.hand.did == ["playback a.wav", "playback b.wav"]


def test_what_needs_no_channel_does_not_wait_for_it() -> None:
    story = Story("  - {id: a, notify: {name: known, data: 1}}\n  - {id: b, play: b.wav}", driven=False)
    assert story.hand.did == ["event known 1"]
    story.run.drive(True, story.at)
    assert story.hand.did == ["event known 1", "playback b.wav"]


def test_a_bot_is_not_asked_for_before_the_channel_can_be_driven() -> None:
    story = Story("  - {id: a, stream: {url: 'wss://bot.example/x'}}", driven=False)
    assert story.hand.did == []
    story.run.drive(True, story.at)
    assert story.hand.did == ["bot wss://bot.example/x"]


def test_no_time_passes_while_the_channel_cannot_be_driven() -> None:
    """A node that is out of reach tells nothing of what a flow waits for: a timeout then would be an invention."""
    story = Story("  - {id: a, wait_for: {dtmf: true, timeout: 5}, on: {timeout: b}}\n  - {id: b, play: b.wav}")
    story.run.drive(False, story.at)
    assert story.run.deadline is None
    story.passes(600)
    assert story.hand.left == []
    story.run.drive(True, story.at)
    assert story.run.deadline is not None
    assert story.run.deadline < story.at
    story.passes(0)
    assert story.hand.did == ["playback b.wav"]


@pytest.mark.parametrize("step", ["bridge: {to: '+15550100777', max: 60}", "conference: {room: x, max: 60}"])
@pytest.mark.parametrize("parked_first", [False, True])
def test_after_a_call_back_the_next_is_sent_when_the_channel_is_in_park_again(step: str, parked_first: bool) -> None:
    """The old application's completion comes before the new CHANNEL_PARK (tests/traces bridge_max_reached)."""
    story = Story(f"  - {{id: a, {step}}}\n  - {{id: b, play: b.wav}}")
    while story.hand.did[-1].startswith("multiset"):
        story.completes()
    story.passes(95)
    assert story.hand.did[-2:] == ["call back", "away"]
    ended = [lambda: story.completes(), lambda: story.run.drive(True, story.at)]
    first, second = reversed(ended) if parked_first else ended
    first()
    assert "playback b.wav" not in story.hand.did
    second()
    assert story.hand.did[-1] == "playback b.wav"


def test_who_cannot_be_dialled_is_not_dialled() -> None:
    story = Story("  - {id: a, bridge: {to: nobody}}")
    story.completes()
    assert story.reason == "step a: bridge failed: is no number"


def test_a_request_is_made_beside() -> None:
    story = Story(
        "  - {id: a, request: {url: 'https://a.example/x'}}\n  - {id: b, end: {result: '{{ response.body.url }}'}}"
    )
    assert story.run.ended is None
    story.hand.later.pop()()
    old = FlowNews(ActionId("another"), Fetched(500, None))
    story.run.on_news(old, story.at)
    assert story.run.ended is None
    story.run.on_news(story.hand.news.pop(), story.at)
    assert story.run.ended is not None
    assert story.run.ended.data == "https://a.example/x"


def test_a_request_without_an_answer_is_given_up() -> None:
    story = Story("  - {id: a, request: {url: 'https://a.example/x', timeout: 4}}")
    story.passes(4)
    assert story.reason == "step a: request failed: did not end in time"


def test_events_for_the_caller() -> None:
    assert Story("  - {id: a, notify: {name: known, data: 1}}").run.ended is not None
    assert "no webhookUrl" in Story("  - {id: a, notify: {name: other}}").reason


# --- ears ----------------------------------------------------------------------------------------------

EXPECT_BEEP = "  - {id: a, expect: {beep: true, timeout: 5}}"


def beep(at_ms: int = 1_000) -> str:
    return encode_event(AmdEvent(EventKind.BEEP, at_ms, frequency_hz=1_000.0))


def test_a_beep_is_heard() -> None:
    story = Story(EXPECT_BEEP)
    assert story.hand.did == ["ears on"]
    story.tap("connect")
    story.hears(encode_heard(Heard(Sound.SPEECH, 300)))
    assert story.run.ended is None
    story.hears(beep())
    assert story.run.ended is not None
    assert story.run.ended.result is FlowResult.FINISHED
    assert [(heard.what, heard.at_ms) for heard in story.hand.heard] == [("beep", 1_000)]


def test_what_a_newer_worker_says_besides_is_passed_over() -> None:
    story = Story(EXPECT_BEEP)
    story.tap("connect")
    story.tap("transcription", '{"event":"words","atMs":400,"text":"hello"}')
    story.tap("transcription", '{"event":"heard","what":"laughter","atMs":500}')
    story.hears(beep())
    assert story.run.ended is not None
    assert story.run.ended.result is FlowResult.FINISHED


def test_what_was_heard_instead_is_told() -> None:
    story = Story(EXPECT_BEEP)
    story.tap("connect")
    story.passes(5)
    assert "beep" in story.reason


def test_ears_that_hear_nothing_say_so() -> None:
    story = Story(EXPECT_BEEP, ears_fail=True)
    story.passes(5)
    assert "could not be heard: no AMD worker is up" in story.reason


def test_digits_are_heard_without_a_tap() -> None:
    story = Story("  - {id: a, wait_for: {dtmf: '12'}}")
    story.event("DTMF", **{"DTMF-Digit": "1"})
    assert story.run.ended is None
    story.event("DTMF", **{"DTMF-Digit": "2"})
    assert story.run.ended is not None
    assert "ears on" not in story.hand.did


def test_ears_do_not_follow_a_call_that_is_transferred() -> None:
    story = Story("  - {id: a, wait_for: {silence: 1}}\n  - {id: b, transfer: {extension: '100'}}")
    story.hears(encode_heard(Heard(Sound.SILENCE, 1_500, for_ms=1_000)))
    story.completes()
    assert story.hand.did == ["ears on", "transfer 100 XML default", "ears off"]


def test_ears_and_a_bot_take_turns() -> None:
    story = Story(f"  - {{id: w, wait_for: {{speech: true}}}}\n{BOT.strip(chr(10))}")
    story.hears(encode_heard(Heard(Sound.SPEECH, 300)))
    assert story.hand.did == ["ears on", "ears off", "bot wss://bot.example/a"]
    story.tap("connect")
    story.bot(command="done")
    assert story.hand.did[3:] == ["stop bot", "ears on", "playback bye.wav"]


# --- voice bots ----------------------------------------------------------------------------------------

BOT = """
  - {id: talk, stream: {url: 'wss://bot.example/a', connect_timeout: 3, max: 60}, on: {bot_gone: alone, failed: alone}}
  - {id: then, play: bye.wav}
  - {id: alone, hangup: USER_BUSY}
"""


def test_a_bot_plays_and_leaves() -> None:
    story = Story(BOT)
    assert story.hand.did == ["bot wss://bot.example/a"]
    story.tap("connect")
    story.bot(command="play", file="hello.wav")
    story.event("DTMF", **{"DTMF-Digit": "5"})
    assert story.hand.did[1:] == ["playback hello.wav", 'tell {"event": "dtmf", "digit": "5"}']
    story.bot(command="done")
    assert story.hand.did[-1] == "break"
    story.completes("FILE PLAYED")
    assert story.hand.did[-2:] == ["stop bot", "playback bye.wav"]


def test_a_bot_that_does_not_come() -> None:
    story = Story(BOT)
    story.passes(3)
    assert story.run.ended is not None
    assert story.run.ended.cause == "USER_BUSY"
    assert story.hand.left[0].detail == "the bot did not connect within 3 s"


@pytest.mark.parametrize("word", ["connect_failed", "disconnect"])
def test_a_bot_that_goes(word: str) -> None:
    story = Story(BOT)
    if word == "disconnect":
        story.tap("connect")
    story.tap(word, '{"reason":"Unable to connect"}')
    assert story.run.ended is not None
    assert story.run.ended.cause == "USER_BUSY"


def test_a_bots_time_is_up() -> None:
    story = Story(BOT)
    story.tap("connect")
    story.bot(command="play", file="long.wav")
    story.passes(60)
    assert story.hand.did[-1] == "break"
    story.passes(BREAK_S)
    assert story.hand.did[-2:] == ["stop bot", "playback bye.wav"]


def test_a_bot_transfers_the_call() -> None:
    story = Story(BOT)
    story.tap("connect")
    story.bot(command="transfer", extension="1000")
    assert story.hand.did[1:] == ["transfer 1000 XML default", "stop bot"]
    assert story.run.ended is not None
    assert story.run.ended.result is FlowResult.LEFT


def test_what_a_bot_may_not_play_does_not_stop_what_waits() -> None:
    story = Story(BOT)
    story.tap("connect")
    story.hand.refuses = CommandFailed("execute playback", "-ERR")
    story.bot(command="play", file="a.wav")
    story.hand.refuses = None
    story.bot(command="play", file="b.wav")
    assert story.hand.did[-1] == "playback b.wav"


def test_a_node_that_refuses_the_bots_tap() -> None:
    story = Story("  - {id: w, pause: 1}\n" + BOT.strip("\n"))
    story.hand.refuses = CommandFailed("uuid_audio_fork start", "-ERR Operation Failed")
    story.completes("FILE PLAYED")
    assert story.hand.left[1].outcome == "failed"


def test_a_bot_at_a_place_that_is_not_allowed() -> None:
    story = Story("  - {id: w, pause: 1}\n  - {id: b, stream: {url: 'wss://private.example/'}}")
    story.completes("FILE PLAYED")
    assert story.reason == "step b: stream failed: the bot's url is private"


# --- a node that does not say whether it did what it was told ------------------------------------------------------

UNSURE = [CommandTimeout("no reply"), EslConnectionLost("gone behind the command")]
TWO = "  - {id: one, play: a.wav}\n  - {id: two, play: b.wav}"


@pytest.mark.parametrize("error", UNSURE)
def test_a_command_without_a_reply_is_no_refusal_and_not_sent_again(error: Exception) -> None:
    story = Story("  - {id: w, pause: 1}\n" + TWO)
    story.hand.refuses = error
    story.completes("FILE PLAYED")
    story.hand.refuses = None
    assert story.run.ended is None
    (ask,) = story.hand.later
    ask()
    assert story.hand.did[-2:] == ["playback a.wav", "exists?"]
    assert story.hand.news == []
    story.completes("FILE PLAYED")
    assert story.hand.did[-1] == "playback b.wav"


@pytest.mark.parametrize("error", UNSURE)
def test_a_command_without_a_reply_on_a_channel_that_is_gone(error: Exception) -> None:
    story = Story("  - {id: w, pause: 1}\n" + TWO)
    story.hand.refuses, story.hand.has_channel = error, False
    story.completes("FILE PLAYED")
    story.hand.later[0]()
    (news,) = story.hand.news
    story.run.on_news(news, story.at)
    assert story.reason == "step one: play failed: the node has no such channel any more"


@pytest.mark.parametrize("error", [CommandFailed("execute playback", "-ERR no"), EslNotSent("node a is not connected")])
def test_a_command_that_had_no_effect_is_a_refusal(error: Exception) -> None:
    story = Story("  - {id: w, pause: 1}\n" + TWO)
    story.hand.refuses = error
    story.completes("FILE PLAYED")
    assert story.run.ended is not None
    assert str(error) in story.reason


@pytest.mark.parametrize("error", UNSURE)
def test_what_may_have_been_broken_off_is_waited_for(error: Exception) -> None:
    """What is sent before its end would run inside it."""
    story = Story("  - {id: one, bridge: {to: '+15550100001', max: 60}}\n  - {id: two, play: b.wav}")
    story.completes()
    story.hand.refuses = error
    story.passes(95)
    story.hand.refuses = None
    assert story.hand.did[-2:] == ["call back", "away"]


@pytest.mark.parametrize("error", UNSURE[:1])
def test_a_bot_whose_fork_nobody_confirmed_may_come_all_the_same(error: Exception) -> None:
    story = Story("  - {id: w, pause: 1}\n" + BOT.strip("\n"))
    story.hand.refuses = error
    story.completes("FILE PLAYED")
    story.hand.refuses = None
    story.tap("connect")
    story.hand.refuses = error
    story.bot(command="play", file="a.wav")
    story.hand.refuses = None
    story.bot(command="play", file="b.wav")
    assert story.hand.did[-1] == "playback a.wav", "b would run inside a, which may play"
    story.completes("FILE PLAYED")
    assert story.hand.did[-1] == "playback b.wav"


def test_a_flow_that_works_long_lets_the_others_have_their_turn() -> None:
    steps = "\n".join(f"  - {{id: s{number}, set: {{v: '{'x' * 3_000}'}}}}" for number in range(20))
    story = Story(f"{steps}\n  - {{id: a, play: a.wav}}")
    assert story.hand.did == []
    (task,) = story.hand.later
    task()
    story.run.on_news(story.hand.news[0], story.at)
    assert story.hand.did == ["playback a.wav"]
    assert [left.step.id for left in story.hand.left] == [f"s{number}" for number in range(20)]
    assert story.hand.began[-1] == "a"
