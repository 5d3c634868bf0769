"""Whether something was heard or kept, judged by what a real FreeSWITCH left behind; and the watch that measures it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from fsbridge.call.conversation.executor import Watch, completed
from fsbridge.esl.events import Event, decode
from fsbridge.esl.framing import FrameDecoder
from fsbridge.flow.interpreter import media
from fsbridge.flow.interpreter.actions import Executed
from tests.traces import loader

pytestmark = pytest.mark.unit

_SENT = re.compile(r"execute-app-name: (\S+)\nexecute-app-arg: (.*)\nEvent-UUID: (\S+)")


def applications(trace: str) -> Iterator[tuple[str, Executed]]:
    """Each application of a recording that was completed, with what the flow makes of its completion, in order.

    The recordings send one after the other, so what a completion leads to is what is sent next.
    """
    sent: dict[str, tuple[str, str]] = {}
    decoder, watch = FrameDecoder(), Watch()
    for entry in loader.conversation(trace):
        if entry.dir == "send":
            found = _SENT.search(entry.raw.decode())
            if found is not None:
                sent[found[3]] = found[1], found[2]
                watch.sent()
            continue
        decoder.receive_data(entry.raw)
        for message in map(decode, decoder.frames()):
            if isinstance(message, Event) and message.name == "CHANNEL_EXECUTE_COMPLETE":
                app, asked = sent.get(message.application_uuid or "", ("", ""))
                if app:
                    yield app, completed(message, asked, watch.done(message), cut=False)


SPEECH = "flows/media_steps_missing_files_bad_voice"


def test_an_unknown_voice_is_told_from_the_others_by_how_long_it_takes() -> None:
    judged = [(result.asked, bool(media.unspoken(result))) for app, result in applications(SPEECH) if app == "speak"]
    assert judged == [
        ("flite|slt|Hello, this is flite speaking. One, two: three.", False),
        ("flite|rms|Another voice.", False),
        ("flite|nosuchvoice|No such voice.", True),
    ]


def test_files_by_their_response() -> None:
    judged = [(result.asked, media.unplayed(result)) for app, result in applications(SPEECH) if app == "playback"]
    assert {asked.rpartition("/")[2] for asked, wrong in judged if wrong} == {"nosuch.wav", "nope.wav"}
    assert {wrong for _, wrong in judged} == {"", "FILE NOT FOUND"}


def test_a_speech_that_a_key_ends_was_speech() -> None:
    (spoken,) = (result for app, result in applications("flows/star_ends_speak") if app == "speak")
    assert not media.unspoken(spoken)


def test_a_node_without_sounds_says_nothing() -> None:
    # An earlier playback has left its length: the flow itself takes that away before it has a value said.
    unset = [result for app, result in applications("flows/say_without_sounds") if app == "say"]
    assert len(unset) == 7
    assert {result.variables["playback_ms"] for result in unset} == {"300"}


def test_what_is_said_leaves_its_length_and_what_cannot_be_said_leaves_none() -> None:
    judged: list[tuple[str, bool]] = []
    fresh = False
    for app, result in applications("say_with_sounds"):
        if app == "say" and fresh:
            judged.append((result.asked, not media.unsaid(result)))
        fresh = app == "multiset"
    assert judged == [
        ("en NUMBER pronounced 1234", True),
        ("en NUMBER pronounced -5", False),
        ("en CURRENT_TIME pronounced 946909800", True),
    ]


def test_a_zone_of_one_second_makes_a_time_its_own() -> None:
    """A node in America/New_York says 9:30 a.m. of 14:30; with timezone=1 it says what was written."""
    decoder = FrameDecoder()
    decoder.receive_data(b"".join(loader.received("say_with_sounds")))
    events = [message for message in map(decode, decoder.frames()) if isinstance(message, Event)]
    said = [e.headers["Playback-File-Path"] for e in events if e.name == "PLAYBACK_START"]
    assert said[2:] == [
        "file_string://digits/9.wav!digits/30.wav!time/a-m.wav",
        "file_string://digits/2.wav!digits/30.wav!time/p-m.wav",
        # The noon of 23 November 2026, and then, for a date before 1970, the day of the recording.
        "file_string://time/day-1.wav!time/mon-10.wav!digits/20.wav!digits/h-3.wav!digits/2.wav!digits/thousand.wav"
        "!digits/20.wav!digits/6.wav",
        "file_string://time/day-6.wav!time/mon-10.wav!digits/20.wav!digits/h-8.wav!digits/2.wav!digits/thousand.wav"
        "!digits/20.wav!digits/6.wav",
    ]


def judged(trace: str, app: str, judge: Callable[[Executed], str | None]) -> list[str | None]:
    return [judge(result) for name, result in applications(trace) if name == app]


def test_a_recording_of_the_whole_call_begins_or_does_not() -> None:
    refused, begun = judged("record_session_cannot_write", "record_session", media.not_begun)
    assert "uri-failure" in (refused or "")
    assert begun == ""
    assert judged("record_disk_full_whole_call", "record_session", media.not_begun) == [""]


def test_a_recording_of_the_whole_call_is_whole_or_is_not() -> None:
    assert judged("record_session_cannot_write", "stop_record_session", media.not_whole)[1] == ""
    (cut,) = judged("record_disk_full_whole_call", "stop_record_session", media.not_whole)
    assert "not whole (uri-failure)" in (cut or "")


def test_a_message_that_a_full_disk_has_cut_short_is_seen_by_its_size() -> None:
    cut, _ = judged("record_disk_full", "record", media.cut_short)
    assert "49152 bytes" in (cut or "")
    lengths = [media.recorded_ms(result) for app, result in applications("record_disk_full") if app == "record"]
    assert lengths[0] == 4_100
    assert judged("flow_say_speak_record", "record", media.cut_short) == [""]


def event(stamp: str) -> Event:
    return Event("CHANNEL_EXECUTE_COMPLETE", "", {"Event-Date-Timestamp": stamp}, "")


def test_the_watch_knows_only_what_was_sent_because_of_a_completion() -> None:
    watch = Watch()
    watch.sent()
    assert watch.done(event("1000000")) is None  # nobody knows when it began
    watch.sent()
    assert watch.done(event("1500000")) == 0.5
    watch.idle()
    watch.sent()  # because of something else, later
    assert watch.done(event("9000000")) is None
    for stamp in ("", "x", "9" * 30):
        assert watch.done(event(stamp)) is None
    watch.done(event("2000000"))
    watch.sent()
    assert watch.done(event("1000000")) == 0.0  # the node's clock was set
