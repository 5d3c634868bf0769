"""What a flow expects against what it has heard: each thing by example, order and bounds by property."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.listening import likeness
from amd_model.verdict import AmdEvent, EventKind, Heard, Verdict, decode_heard
from amd_model.verdict import Sound as Word
from fsbridge.flow.document.expectation import Expectation
from fsbridge.flow.listening import expect
from fsbridge.flow.listening.expect import Evidence, Hearing, Kind, Sound
from fsbridge.flow.listening.hearing import JOIN_MS, MAX_BANDS, MAX_SOUNDS
from fsbridge.simulator.audio.sound import AUDIO_FOLDER, load

pytestmark = pytest.mark.unit


def wanted(**fields: Any) -> Expectation:
    return Expectation.model_validate(fields)


def speech(start: int, end: int) -> list[Sound]:
    return [
        expect.from_heard(Heard(Word.SPEECH, start)),
        expect.from_heard(Heard(Word.SPEECH_END, end, start_ms=start)),
    ]


def silence(until: int, length: int) -> Sound:
    return expect.from_heard(Heard(Word.SILENCE, until, for_ms=length))


def tone(start: int, hz: float, length: int, ended: bool = True, second: float | None = None) -> Sound:
    return expect.from_heard(
        Heard(Word.TONE, start, frequency_hz=hz, second_hz=second, duration_ms=length, ended=ended)
    )


def beep(at: int) -> Sound:
    return expect.from_amd(AmdEvent(EventKind.BEEP, at + 400, beep_ms=at, frequency_hz=1000.0))


def verdict(at: int, result: Verdict, kind: EventKind = EventKind.VERDICT) -> Sound:
    return expect.from_amd(AmdEvent(kind, at, result=result, confidence=0.9))


def hearing(*sounds: Sound | list[Sound]) -> Hearing:
    found = Hearing()
    for each in sounds:
        for sound in each if isinstance(each, list) else [each]:
            found.hear(sound)
    return found


# --- one thing each ------------------------------------------------------------------------------------


def test_a_beep() -> None:
    heard = hearing(speech(200, 3_000), beep(4_000))
    assert expect.match(wanted(beep=True), heard) == Evidence("beep", 4_400, {"startMs": 4_000, "frequencyHz": 1000.0})
    assert expect.match(wanted(beep=True), heard) is None


def test_a_beep_whose_beginning_is_not_known() -> None:
    heard = hearing(expect.from_amd(AmdEvent(EventKind.BEEP, 900)))
    assert expect.match(wanted(beep=True), heard) == Evidence("beep", 900, {"startMs": 900})


def test_a_greeting_end() -> None:
    heard = hearing(expect.from_amd(AmdEvent(EventKind.GREETING_END, 2_000)))
    assert expect.match(wanted(greeting_end=True), heard) == Evidence("greeting_end", 2_000)


def test_a_voice_is_told_when_it_begins() -> None:
    heard = hearing(speech(700, 900)[0])
    assert expect.match(wanted(voice=True), heard) == Evidence("voice", 700)
    assert expect.match(wanted(voice=True), heard) is None


@pytest.mark.parametrize(
    ("frequency", "tolerance", "min_ms", "matches"),
    [(440, 30, 100, True), (465, 30, 100, True), (515, 30, 100, False), (480, 1, 100, True), (440, 30, 500, False)],
)
def test_a_tone_by_either_frequency_and_length(frequency: float, tolerance: float, min_ms: int, matches: bool) -> None:
    heard = hearing(tone(1_000, 440.0, 400, second=480.0))
    expectation = wanted(tone={"frequency": frequency, "tolerance": tolerance, "min_ms": min_ms})
    found = expect.match(expectation, heard)
    assert (found is not None) == matches
    if found is not None:
        assert found.detail == {"frequencyHz": 440.0, "secondHz": 480.0, "durationMs": 400}


def test_a_tone_that_still_sounds_grows_with_the_clock() -> None:
    heard = hearing(tone(1_000, 425.0, 120, ended=False))
    long = wanted(tone={"frequency": 425, "min_ms": 900})
    assert expect.match(long, heard) is None
    heard.hear(Sound(Kind.BANDS, 1_500, frames=bytes(likeness.BANDS * 25)))
    found = expect.match(long, heard)
    assert found is not None
    assert found.detail["durationMs"] == 1_000


def test_the_end_of_a_tone_is_not_a_second_tone() -> None:
    heard = hearing(tone(1_000, 425.0, 120, ended=False))
    expectation = wanted(tone={"frequency": 425})
    assert expect.match(expectation, heard) is not None
    heard.hear(tone(1_000, 425.0, 800))
    assert expect.match(expectation, heard) is None
    heard.hear(tone(3_000, 425.0, 200))
    assert expect.match(expectation, heard) is not None


def test_a_tone_without_a_frequency_is_no_tone_that_is_looked_for() -> None:
    assert expect.match(wanted(tone={"frequency": 425}), hearing(tone(0, 0.0, 900))) is None


def test_digits_in_order_among_others() -> None:
    heard = hearing(*map(expect.from_dtmf, "9123"))
    assert expect.match(wanted(dtmf="1234"), heard) is None
    heard.hear(expect.from_dtmf("4"))
    heard.hear(expect.from_dtmf("5"))
    assert expect.match(wanted(dtmf="1234"), heard) == Evidence("dtmf", 0, {"digits": "1234"})
    assert expect.match(wanted(any_dtmf=True), heard) == Evidence("dtmf", 0, {"digits": "5"})
    assert expect.match(wanted(any_dtmf=True), heard) is None


def test_a_digit_gets_the_last_time_that_is_known() -> None:
    heard = hearing(silence(1_400, 400), expect.from_dtmf("7"))
    found = expect.match(wanted(dtmf="7"), heard)
    assert found is not None
    assert found.at_ms == 1_400


def test_silence_of_the_wanted_length() -> None:
    heard = hearing(speech(0, 1_000), silence(1_400, 400))
    assert expect.match(wanted(silence=600), heard) is None
    heard.hear(silence(1_600, 600))
    assert expect.match(wanted(silence=600), heard) == Evidence("silence", 1_600, {"durationMs": 600})


def test_silence_from_before_the_flow_acted_does_not_count() -> None:
    heard = hearing(silence(2_000, 2_000))
    heard.mark()
    heard.hear(silence(2_500, 2_500))
    assert expect.match(wanted(silence=1_000), heard) is None
    heard.hear(silence(3_000, 3_000))
    assert expect.match(wanted(silence=1_000), heard) == Evidence("silence", 3_000, {"durationMs": 1_000})


def test_speech_counts_when_it_has_ended_for_good() -> None:
    expectation = wanted(speech={"min": 1_000, "max": 3_000})
    heard = hearing(speech(200, 800), speech(1_200, 2_200))
    assert expect.match(expectation, heard) is None
    heard.hear(silence(2_800, 600))
    assert expect.match(expectation, heard) is None
    heard.hear(silence(3_000, 800))
    found = expect.match(expectation, heard)
    assert found == Evidence("speech", 2_200, {"startMs": 200, "durationMs": 2_000})
    assert expect.match(expectation, heard) is None


def test_speech_outside_of_the_range_is_passed_over() -> None:
    heard = hearing(speech(0, 400), silence(1_200, 800), speech(1_500, 9_000), silence(10_000, 1_000))
    assert expect.match(wanted(speech={"min": 500, "max": 5_000}), heard) is None
    found = expect.match(wanted(speech={"max": 5_000}), heard)
    assert found is not None
    assert found.detail["durationMs"] == 400
    assert expect.match(wanted(speech={"min": 500}), heard) is not None


def test_speech_that_had_begun_before_the_flow_acted_is_no_answer() -> None:
    first, last = speech(0, 2_000)
    heard = hearing(first)
    heard.mark()
    heard.hear(last)
    heard.hear(silence(3_000, 1_000))
    assert expect.match(wanted(speech={"min": 1_000}), heard) is None


def test_the_speech_of_a_voice_that_was_waited_for_counts() -> None:
    first, last = speech(500, 2_000)
    heard = hearing(first)
    assert expect.match(wanted(voice=True), heard) is not None
    heard.hear(last)
    heard.hear(silence(3_000, 1_000))
    assert expect.match(wanted(speech={"min": 1_500}), heard) is not None


def test_silence_comes_after_the_speech_that_was_expected() -> None:
    heard = hearing(speech(0, 1_000), silence(1_800, 800))
    assert expect.match(wanted(speech={"min": 500}), heard) is not None
    assert expect.match(wanted(silence=800), heard) is not None


def test_an_end_of_speech_without_its_beginning() -> None:
    heard = hearing(speech(300, 1_300)[1], silence(2_100, 800))
    found = expect.match(wanted(speech={"min": 900}), heard)
    assert found == Evidence("speech", 1_300, {"startMs": 300, "durationMs": 1_000})


def test_a_verdict_counts_whenever_it_was_given() -> None:
    heard = hearing(verdict(1_300, Verdict.LIVE_PERSON))
    heard.mark()
    found = expect.match(wanted(verdict="live_person"), heard)
    assert found == Evidence("verdict", 1_300, {"result": "live_person", "confidence": 0.9})
    assert expect.match(wanted(verdict="answering_machine"), heard) is None


def test_a_correction_replaces_the_verdict() -> None:
    heard = hearing(
        verdict(1_300, Verdict.LIVE_PERSON), verdict(4_000, Verdict.ANSWERING_MACHINE, EventKind.CORRECTION)
    )
    assert expect.match(wanted(verdict="live_person"), heard) is None
    assert expect.match(wanted(verdict="answering_machine"), heard) is not None


def test_words_by_a_regular_expression() -> None:
    heard = hearing(expect.from_transcript("thank you for calling"), expect.from_transcript("press one for sales"))
    found = expect.match(wanted(transcript="press (one|two)"), heard)
    assert found == Evidence("transcript", 0, {"text": "press one for sales"})
    assert expect.match(wanted(transcript="thank"), heard) is None


def test_things_are_matched_in_their_order() -> None:
    heard = hearing(beep(1_000), expect.from_dtmf("1"), beep(3_000))
    assert expect.match(wanted(dtmf="1"), heard) is not None
    found = expect.match(wanted(beep=True), heard)
    assert found is not None
    assert found.detail["startMs"] == 3_000


def test_what_was_heard_before_the_mark_is_no_answer() -> None:
    heard = hearing(beep(1_000), expect.from_dtmf("1"), speech(2_000, 3_000), silence(4_000, 1_000))
    heard.mark()
    for expectation in (
        wanted(beep=True),
        wanted(any_dtmf=True),
        wanted(voice=True),
        wanted(speech={}),
        wanted(silence=1),
    ):
        assert expect.match(expectation, heard) is None


def test_a_new_ear_begins_at_nought_and_is_put_behind_the_old_one() -> None:
    heard = hearing(speech(0, 8_000), silence(10_000, 2_000))
    heard.hear(silence(200, 200))
    assert heard.clock_ms == 10_200
    for sound in speech(300, 1_300):
        heard.hear(sound)
    heard.hear(silence(2_300, 1_000))
    assert expect.match(wanted(speech={"max": 2_000}), heard) == Evidence(
        "speech", 11_300, {"startMs": 10_300, "durationMs": 1_000}
    )


# --- recordings ----------------------------------------------------------------------------------------


def prompt(name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    pcm = np.frombuffer(load(str(AUDIO_FOLDER / name)), "<i2").astype(np.float32) / 32_768
    return pcm


def fingerprinted(pcm: np.ndarray[Any, np.dtype[np.float32]]) -> expect.Fingerprint:
    return likeness.fingerprint(pcm)


def tell_bands(heard: Hearing, bands: expect.Fingerprint, start_ms: int = 0) -> None:
    """Half a second at a time, as the worker sends them."""
    for frame in range(0, len(bands), 25):
        frames = bands[frame : frame + 25].tobytes()
        heard.hear(Sound(Kind.BANDS, start_ms + frame * likeness.HOP_MS, frames=frames))


@pytest.fixture(scope="module")
def line() -> np.ndarray[Any, np.dtype[np.float32]]:
    """A line on which two prompts are played, the first at 1.3 s."""
    quiet = np.zeros(10_400, np.float32)
    return np.concatenate((quiet, prompt("prompt-thanks.flac") * 0.2, quiet, prompt("prompt-goodbye.flac"), quiet))


def test_a_recording_is_found_where_it_was_played(line: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    reference = fingerprinted(prompt("prompt-thanks.flac"))
    expectation = wanted(audio_like="prompt-thanks.wav")
    heard, bands = Hearing(), fingerprinted(line)
    found = None
    for frame in range(0, len(bands), 25):
        heard.hear(Sound(Kind.BANDS, frame * likeness.HOP_MS, frames=bands[frame : frame + 25].tobytes()))
        found = expect.match(expectation, heard, reference)
        if found is not None:
            break
    assert found is not None
    assert abs(found.at_ms - 1_300) <= 60
    assert found.detail["score"] > 0.9
    assert expect.match(expectation, heard, reference) is None


def test_another_recording_is_not_found_and_the_likest_place_is_told(
    line: np.ndarray[Any, np.dtype[np.float32]],
) -> None:
    heard = Hearing()
    tell_bands(heard, fingerprinted(line))
    expectation = wanted(audio_like={"file": "amelia.wav"}, timeout=3)
    assert expect.match(expectation, heard, fingerprinted(prompt("person-amelia.flac"))) is None
    text = expect.nothing(expectation, heard)
    assert text.startswith("no audio like amelia.wav within 3 s; heard nothing of note; the likest place scored 0.")


def test_a_recording_from_before_the_mark_is_no_answer(line: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    heard = Hearing()
    tell_bands(heard, fingerprinted(line))
    heard.mark()
    tell_bands(heard, fingerprinted(prompt("person-amelia.flac")), heard.clock_ms)
    assert expect.match(wanted(audio_like="a.wav"), heard, fingerprinted(prompt("prompt-thanks.flac"))) is None
    assert expect.match(wanted(audio_like="b.wav"), heard, fingerprinted(prompt("person-amelia.flac"))) is not None


def test_two_recordings_one_after_the_other(line: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    heard = Hearing()
    tell_bands(heard, fingerprinted(line))
    first = expect.match(wanted(audio_like="a.wav"), heard, fingerprinted(prompt("prompt-thanks.flac")))
    second = expect.match(wanted(audio_like="b.wav"), heard, fingerprinted(prompt("prompt-goodbye.flac")))
    assert first is not None
    assert second is not None
    assert second.at_ms >= first.detail["endMs"]
    assert expect.match(wanted(audio_like="a.wav"), heard, fingerprinted(prompt("prompt-thanks.flac"))) is None


def test_a_recording_that_ended_before_what_was_expected_last_does_not_count(
    line: np.ndarray[Any, np.dtype[np.float32]],
) -> None:
    heard = Hearing()
    tell_bands(heard, fingerprinted(line))
    end = heard.clock_ms
    heard.hear(silence(end, 500))
    assert expect.match(wanted(silence=400), heard) is not None
    assert expect.match(wanted(audio_like="a.wav"), heard, fingerprinted(prompt("prompt-thanks.flac"))) is None


def test_a_recording_that_is_too_short_is_said_to_be(line: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    heard = Hearing()
    tell_bands(heard, fingerprinted(line))
    expectation = wanted(audio_like="short.wav")
    assert expect.match(expectation, heard, fingerprinted(line[:2_000])) is None
    assert "shorter than 500 ms" in expect.nothing(expectation, heard)


def test_without_a_reference_or_bands_nothing_is_found() -> None:
    expectation = wanted(audio_like="a.wav")
    assert expect.match(expectation, Hearing()) is None
    assert "no bands" in expect.nothing(expectation, Hearing())


def test_bands_come_as_the_worker_tells_them() -> None:
    body = '{"event":"heard","what":"bands","atMs":500,"hopMs":20,"data":"AAECAwQFBgcICQoLDA0ODw"}'
    heard = hearing(expect.from_heard(decode_heard(body)))
    assert heard.frames(0).tolist() == [list(range(16))]
    assert heard.clock_ms == 520


def test_ten_minutes_of_bands_are_kept() -> None:
    heard = Hearing()
    minute = bytes(likeness.BANDS * 3_000)
    for number in range(12):
        heard.hear(Sound(Kind.BANDS, number * 60_000, frames=minute))
    assert len(heard.frames(0)) == MAX_BANDS
    assert heard.frame_count == 36_000
    assert heard.frame_ms(heard.first_frame) == 120_000


# --- in words ------------------------------------------------------------------------------------------


def test_what_was_heard_instead() -> None:
    heard = hearing(
        speech(200, 4_100),
        silence(4_500, 400),
        silence(5_100, 1_000),
        tone(6_000, 425.0, 250),
        expect.from_dtmf("1"),
        expect.from_dtmf("2"),
    )
    assert expect.nothing(wanted(beep=True, timeout=5), heard) == (
        "no beep within 5 s; heard speech 0.2-4.1 s, silence for 1.0 s, a tone of 425 Hz for 0.2 s, digits 12"
    )


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"tone": {"frequency": 425}}, "no tone of 425 Hz within"),
        ({"dtmf": "12"}, "no digits 12 within 10 s; no digit came"),
        ({"any_dtmf": True}, "no digit within"),
        ({"greeting_end": True}, "no end of a greeting within 10 s; heard nothing at all"),
        ({"silence": 1_500}, "no silence of 1.5 s within"),
        ({"speech": {"min": 500}}, "no speech of 0.5 and more s within"),
        ({"speech": {"max": 1_500}}, "no speech of 0.0 to 1.5 s within"),
        ({"verdict": "fax"}, "no verdict fax within"),
        ({"transcript": "a+"}, "no words like 'a+' within"),
        ({"voice": True}, "no voice within"),
    ],
)
def test_what_was_wanted(fields: dict[str, Any], text: str) -> None:
    assert expect.nothing(wanted(**fields), Hearing()).startswith(text)


def test_everything_that_can_be_heard_has_words() -> None:
    heard = hearing(
        speech(0, 500)[0],
        beep(600),
        expect.from_amd(AmdEvent(EventKind.GREETING_END, 700)),
        verdict(800, Verdict.FAX),
        expect.from_transcript("hello"),
        silence(1_500, 300),
        silence(3_000, 400),
    )
    text = expect.nothing(wanted(dtmf="1"), heard)
    assert text.endswith(
        "heard speech 0.0-…, a beep at 0.6 s, a greeting end at 0.7 s, the verdict fax, the words 'hello', "
        "silence for 0.3 s, silence for 0.4 s"
    )


def test_only_some_of_many_things_are_told() -> None:
    heard = hearing(*(beep(each * 1_000) for each in range(100)))
    text = expect.nothing(wanted(dtmf="1"), heard)
    assert "92 more" in text
    assert len(text) < 400


# --- properties ----------------------------------------------------------------------------------------

sounds = st.one_of(
    st.builds(lambda at, length: silence(at, min(at, length)), st.integers(0, 60_000), st.integers(200, 9_000)),
    st.builds(
        lambda at, hz, ended: tone(at, hz, 150, ended), st.integers(0, 60_000), st.floats(0, 3_000), st.booleans()
    ),
    st.builds(beep, st.integers(0, 60_000)),
    st.builds(lambda at, index: speech(at, at + 900)[index], st.integers(0, 60_000), st.integers(0, 1)),
    st.builds(expect.from_dtmf, st.sampled_from("0123456789*#")),
    st.builds(expect.from_transcript, st.text(max_size=40)),
    st.builds(verdict, st.integers(0, 60_000), st.sampled_from(Verdict)),
    st.builds(lambda at, frames: Sound(Kind.BANDS, at, frames=frames), st.integers(0, 60_000), st.binary(max_size=900)),
)
expectations = st.sampled_from(
    [
        wanted(beep=True),
        wanted(voice=True),
        wanted(greeting_end=True),
        wanted(any_dtmf=True),
        wanted(dtmf="12"),
        wanted(silence=400),
        wanted(speech={"min": 300}),
        wanted(tone={"frequency": 1_000, "tolerance": 500}),
        wanted(verdict="fax"),
        wanted(transcript="a"),
        wanted(audio_like="a.wav"),
    ]
)


@given(st.lists(st.one_of(sounds, expectations, st.just("mark")), max_size=60))
def test_nothing_that_is_heard_breaks_it_and_the_cursor_only_goes_on(steps: list[Any]) -> None:
    heard, reference = Hearing(), np.zeros((30, likeness.BANDS), np.uint8)
    for step in steps:
        cursor, clock = heard.cursor, heard.clock_ms
        if isinstance(step, Sound):
            heard.hear(step)
        elif isinstance(step, Expectation):
            found = expect.match(step, heard, reference)
            assert found is None or found.at_ms <= heard.clock_ms
            assert expect.nothing(step, heard).startswith("no ")
        else:
            heard.mark()
        assert heard.cursor >= cursor
        assert heard.clock_ms >= clock


@given(st.text("0123456789*#", max_size=60), st.text("0123456789*#", min_size=1, max_size=4))
def test_digits_are_found_where_they_stand_in_a_row_and_nowhere_else(pressed: str, sought: str) -> None:
    heard = hearing(*map(expect.from_dtmf, pressed))
    found = 0
    while expect.match(wanted(dtmf=sought), heard) is not None:
        found += 1
    assert found == pressed.count(sought)


@given(st.lists(st.tuples(st.integers(1, 2_000), st.integers(1, 3_000)), min_size=1, max_size=12))
def test_stretches_are_joined_over_short_pauses(turns: list[tuple[int, int]]) -> None:
    heard, at, lengths, start, end = Hearing(), 0, list[int](), 0, 0
    for pause, talk in turns:
        at += pause
        if end and at - end < JOIN_MS:
            end = at + talk
        else:
            if end:
                lengths.append(end - start)
            start, end = at, at + talk
        for sound in speech(at, at + talk):
            heard.hear(sound)
        at += talk
    heard.hear(silence(at + JOIN_MS, JOIN_MS))
    found = []
    while (evidence := expect.match(wanted(speech={}), heard)) is not None:
        found.append(evidence.detail["durationMs"])
    assert found == [*lengths, end - start]


def test_an_hour_of_sounds_stays_within_its_bound() -> None:
    heard = Hearing()
    for number in range(MAX_SOUNDS * 3):
        heard.hear(silence(number * 200, 200))
    assert len(heard.sounds) == MAX_SOUNDS
    assert expect.match(wanted(silence=200), heard) is not None
