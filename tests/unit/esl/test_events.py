"""Frames into meaning: recorded ones, and whatever else a peer may send."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsbridge.call.lifecycle.translate import SUBSCRIBED
from fsbridge.esl.events import (
    ApiResponse,
    AuthRequest,
    CommandReply,
    Disconnect,
    Event,
    Message,
    RudeRejection,
    UnknownFrame,
    Unreadable,
    decode,
    read_dump,
)
from fsbridge.esl.framing import Frame, FrameDecoder
from fsbridge.nodes.node import UNFILTERABLE
from tests.traces import loader

pytestmark = pytest.mark.unit


@cache
def messages(name: str) -> tuple[Message, ...]:
    decoder = FrameDecoder()
    decoder.receive_data(b"".join(loader.received(name)))
    return tuple(decode(frame) for frame in decoder.frames())


def events(name: str) -> list[Event]:
    return [message for message in messages(name) if isinstance(message, Event)]


def plain(block: bytes) -> Event:
    found = decode(Frame({"Content-Type": "text/event-plain"}, block))
    assert isinstance(found, Event)
    return found


def as_json(document: Any) -> Message:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return decode(Frame({"Content-Type": "text/event-json"}, body))


@pytest.mark.parametrize("name", loader.names())
def test_every_recorded_frame_is_understood(name: str) -> None:
    found = messages(name)
    # The product's own recordings begin after the login, with a command of ours.
    assert isinstance(found[0], AuthRequest) or loader.conversation(name)[0].dir == "send"
    assert not [message for message in found if isinstance(message, UnknownFrame)]
    replies = [message for message in found if isinstance(message, (CommandReply, ApiResponse))]
    # A node that was killed or told to shut down may leave its last commands unanswered.
    unanswered = len(loader.sent(name)) - len(replies)
    assert unanswered == 0 or name in {"node_killed", "node_shut_down"}


def test_plain_and_json_form_say_the_same() -> None:
    def story(name: str) -> list[tuple[str, str | None]]:
        ours = [event for event in events(name) if event.headers.get("Call-Direction") == "outbound"]
        return [(event.name, event.headers.get("Answer-State")) for event in ours if event.name.startswith("CHANNEL_")]

    assert story("answered_gateway") == story("answered_gateway_json")
    (job,) = [event for event in events("answered_gateway_json") if event.name == "BACKGROUND_JOB"]
    assert job.job_uuid == "8ff3fa14-8d8b-41d4-9478-8ee626b1da08"
    assert job.body == "+OK 92e537a5-9a52-497d-9b14-0f54e47f8e46\n"


def test_a_jobs_inner_body_is_its_result_in_plain_form() -> None:
    bodies = [event.body for event in events("busy_486") if event.name == "BACKGROUND_JOB"]
    assert bodies == ["-ERR USER_BUSY\n"]


def test_an_executions_own_id_comes_back() -> None:
    completions = [event for event in events("executes_queued") if event.name == "CHANNEL_EXECUTE_COMPLETE"]
    ids = [event.application_uuid for event in completions]
    assert "0b9b7e32-6551-4b85-ba0d-574a02c1d7dd" in ids


def test_the_taps_own_words_are_the_body() -> None:
    (said,) = [e for e in events("fork_server_sends_json") if e.subclass == "mod_audio_fork::transcription"]
    assert said.name == "CUSTOM"
    assert orjson.loads(said.body)
    assert said.unique_id


def test_values_with_line_breaks_and_other_alphabets_survive() -> None:
    greetings = {event.variable("greeting") for event in events("unicode_and_newline_values")}
    assert "Grüße, 你好 — ok" in greetings
    assert not [event for event in events("unicode_and_newline_values") if event.name == "FORGED"]


def test_what_a_filter_on_a_variable_would_drop_is_known() -> None:
    """Events that a node subscribes to either carry channel variables or are let in by name."""
    bare = {
        event.name
        for name in loader.names()
        for event in events(name)
        if event.name in SUBSCRIBED and not any(header.startswith("variable_") for header in event.headers)
    }
    assert bare == {"DTMF"}
    assert bare <= UNFILTERABLE


def test_the_inner_length_counts_bytes() -> None:
    body = "é\u4f60\n"
    event = plain(b"Event-Name: X\nContent-Length: %d\n\n" % len(body.encode()) + body.encode() + b"glued")
    assert event.body == body
    assert plain(b"Event-Name: X\nContent-Length: 2\n\n\xc3\xa9x").body == "é"


@pytest.mark.parametrize(
    ("block", "body"),
    [
        (b"Event-Name: X\nContent-Length: 99\n\nshort", "short"),
        (b"Event-Name: X\nContent-Length: -1\n\nbody", "body"),
        (b"Event-Name: X\n\nnot announced", ""),
        (b"Event-Name: X", ""),
    ],
)
def test_a_wrong_inner_length_harms_nothing(block: bytes, body: str) -> None:
    event = plain(block)
    assert (event.name, event.body) == ("X", body)


def test_json_values_of_every_kind_become_text() -> None:
    event = as_json({"Event-Name": "X", "a": ["1", ["2", "3"]], "b": None, "c": 7, "_body": {"no": "text"}})
    assert isinstance(event, Event)
    assert event.headers["a"] == "ARRAY::1|:['2', '3']"
    assert (event.headers["b"], event.headers["c"], event.body) == ("", "7", "")


def test_invalid_utf8_becomes_the_replacement_character() -> None:
    event = as_json(b'{"Event-Name":"X","name":"a\xffb"}')
    assert isinstance(event, Event)
    assert event.headers["name"] == "a\ufffdb"
    assert plain(b"Event-Name: X\nname: a%ffb\xff").headers["name"] == "a\ufffdb\ufffd"


CHANNEL = "d7f3cae4-6f18-4ab2-8619-43da909380f4"
CONTROL = bytes(range(0x20))
NOISE = st.binary(min_size=1, max_size=12).filter(lambda noise: not {*b'"\\\\'} & {*noise})
"""Any bytes but those that end a JSON string or begin an escape."""


@settings(deadline=None)
@given(noise=NOISE, headers=st.dictionaries(st.text(min_size=1), st.text(), max_size=5), body=st.text())
@example(noise=CONTROL, headers={}, body="")
@example(noise=b"\x00\x1f\x7f\xff\xfe\xed\xa0\x80", headers={"é": "\u2028"}, body="-ERR USER_BUSY\n")
def test_raw_bytes_in_one_value_cost_no_event(noise: bytes, headers: dict[str, str], body: str) -> None:
    """A channel variable may hold anything, and FreeSWITCH writes it as it is. All other values stay what they are."""
    known = {**headers, "Event-Name": "CHANNEL_HANGUP_COMPLETE", "Unique-ID": CHANNEL, "_body": body}
    known.pop("variable_odd", None)
    data = orjson.dumps({**known, "variable_odd": "<>"}).replace(b'"<>"}', b'"<' + noise + b'>"}')
    event = as_json(data)
    assert isinstance(event, Event)
    assert (event.name, event.unique_id, event.body) == ("CHANNEL_HANGUP_COMPLETE", CHANNEL, body)
    assert {name: event.headers[name] for name in headers if name in known and name != "_body"} == {
        name: known[name] for name in headers if name in known and name != "_body"
    }
    odd = event.headers["variable_odd"]
    assert odd == "<" + noise.decode("utf-8", "replace") + ">"
    odd.encode()


def test_half_a_character_becomes_the_replacement_character() -> None:
    event = as_json(b'{"Event-Name":"X","a":"\\ud83d\\ude00","b":"1\\ud83d2","\\udc00":["\\udfff"],"_body":"\\ud800"}')
    assert isinstance(event, Event)
    assert event.headers["a"] == "\U0001f600"
    assert (event.headers["b"], event.headers["\ufffd"], event.body) == ("1\ufffd2", "ARRAY::\ufffd", "\ufffd")


@pytest.mark.parametrize("data", [b"", b"[]", b'"text"', b"{", b'{"a":"\\x"}', b"[" * 200_000, b'{"a":' * 200_000])
def test_json_that_is_no_object_is_an_event_that_cannot_be_read(data: bytes) -> None:
    assert as_json(data) == Unreadable(None)
    assert read_dump(data.decode()) is None


def test_an_event_that_cannot_be_read_may_still_name_its_channel() -> None:
    data = b'{"Event-Name":"CHANNEL_HANGUP","Unique-ID":"%s","variable_a":"x"y"}' % CHANNEL.encode()
    assert as_json(data) == Unreadable(CHANNEL)


def test_notices_and_the_unknown() -> None:
    def of(content_type: str, body: bytes = b"") -> Message:
        return decode(Frame({"Content-Type": content_type}, body))

    assert of("text/disconnect-notice", b"bye") == Disconnect("bye")
    assert of("text/rude-rejection", b"Access Denied") == RudeRejection("Access Denied")
    assert of("log/data") == UnknownFrame("log/data")
    assert decode(Frame({})) == UnknownFrame("")


@pytest.mark.parametrize(
    ("text", "ok"), [("+OK accepted", True), ("-ERR invalid", False), ("-USAGE: x", False), ("", True)]
)
def test_only_a_leading_minus_says_no(text: str, ok: bool) -> None:
    assert CommandReply(text, {}).ok is ok


JSON = st.recursive(st.text() | st.integers(-9, 9), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8)


@settings(deadline=None)
@given(
    kind=st.sampled_from(["text/event-plain", "text/event-json", "command/reply", "api/response", "text/x"]),
    reply=st.text(max_size=20),
    body=st.binary(max_size=200) | JSON.map(orjson.dumps),
)
def test_no_frame_raises(kind: str, reply: str, body: bytes) -> None:
    found = decode(Frame({"Content-Type": kind, "Reply-Text": reply}, body))
    if isinstance(found, Event):
        assert all(isinstance(value, str) for value in found.headers.values())


def test_a_channels_dump_is_read() -> None:
    (dump,) = [m for m in messages("node_queries") if isinstance(m, ApiResponse) and "CHANNEL_DATA" in m.text]
    headers = read_dump(dump.text)
    assert headers is not None
    assert headers["variable_fsb_session"] == "abc"
    assert headers["Answer-State"] == "answered"
