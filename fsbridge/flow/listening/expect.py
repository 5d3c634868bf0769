"""Is what a flow expects what it has heard? Pure; see `flow.document.expectation` for the words,
`flow.listening.hearing` for the ears.

Rules of each thing:

* beep, greeting_end, voice, tone, any_dtmf, transcript: the first one told after the cursor; a tone must have begun
  after it, and counts as soon as it is long enough, also while it still sounds.
* dtmf: the digits one after another among those after the cursor; others may come before and after them.
* silence: so long without speech or tone, counted from the cursor where it had begun before.
* speech: a stretch that has ended (`hearing.JOIN_MS` of pause) and began after the flow last did something.
* verdict: who answered, as the detector has it now. It is no event but a judgement, so an older one counts, and a
  correction replaces it.
* audio_like: the recording's fingerprint anywhere in what was heard since the flow last did something, ending after
  the cursor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from amd_model.listening import likeness
from fsbridge.flow.document import pattern
from fsbridge.flow.document.expectation import Expectation
from fsbridge.flow.listening.hearing import (
    Fingerprint,
    Hearing,
    Kind,
    Search,
    Sound,
    Steady,
    from_amd,
    from_dtmf,
    from_heard,
    from_transcript,
)

__all__ = [
    "Evidence",
    "Fingerprint",
    "Hearing",
    "Kind",
    "Sound",
    "from_amd",
    "from_dtmf",
    "from_heard",
    "from_transcript",
    "match",
    "nothing",
]

MAX_TOLD: Final = 8
"""Things named in `nothing`; there may be hundreds."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What satisfied an expectation: the thing, when it was heard (the ear's clock), and what shows it (JSON)."""

    what: str
    at_ms: int
    detail: dict[str, Any] = field(default_factory=dict)


def match(expectation: Expectation, hearing: Hearing, reference: Fingerprint | None = None) -> Evidence | None:
    """The first satisfaction, and the cursor moves behind it; None: not yet.

    `reference` is the recording's fingerprint (`amd_model.listening.likeness.fingerprint`), for audio_like only.
    """
    thing = expectation.thing
    if thing == "audio_like":
        return _audio_like(expectation, hearing, reference)
    return _MATCHERS[thing](expectation, hearing)


def nothing(expectation: Expectation, hearing: Hearing) -> str:
    """In words, what was heard instead, e.g. ``no beep within 5 s; heard speech 0.2-4.1 s, silence for 1.5 s``."""
    heard = list(_told(hearing))
    if len(heard) > MAX_TOLD:
        heard = [*heard[: MAX_TOLD // 2], f"{len(heard) - MAX_TOLD} more", *heard[-MAX_TOLD // 2 :]]
    if heard:
        instead = "heard " + ", ".join(heard)
    elif hearing.clock_ms:
        instead = "heard nothing of note"
    else:
        instead = "heard nothing at all" if expectation.listens else "no digit came"
    note = _nearest(expectation, hearing)
    return f"no {_wanted(expectation)} within {expectation.timeout:g} s; {instead}{note}"


# --- one thing each ------------------------------------------------------------------------------------


def _after(hearing: Hearing, kind: Kind) -> Iterator[tuple[int, Sound]]:
    return ((number, sound) for number, sound in hearing.sounds if number >= hearing.cursor and sound.kind is kind)


def _found(hearing: Hearing, number: int, at_ms: int, what: str, **detail: Any) -> Evidence:
    hearing.passed(number, at_ms)
    return Evidence(what, at_ms, {name: value for name, value in detail.items() if value is not None})


def _beep(_: Expectation, hearing: Hearing) -> Evidence | None:
    for number, sound in _after(hearing, Kind.BEEP):
        return _found(
            hearing, number, sound.at_ms, "beep", startMs=sound.start_ms, frequencyHz=sound.frequency_hz or None
        )
    return None


def _greeting_end(_: Expectation, hearing: Hearing) -> Evidence | None:
    for number, sound in _after(hearing, Kind.GREETING_END):
        return _found(hearing, number, sound.at_ms, "greeting_end")
    return None


def _voice(_: Expectation, hearing: Hearing) -> Evidence | None:
    for number, sound in _after(hearing, Kind.SPEECH):
        return _found(hearing, number, sound.at_ms, "voice")
    return None


def _tone(expectation: Expectation, hearing: Hearing) -> Evidence | None:
    wanted = expectation.tone
    assert wanted is not None
    for steady in hearing.tones:
        lasted = steady.lasted_ms(hearing.clock_ms)
        if (
            steady.number >= hearing.cursor
            and lasted >= wanted.min_ms
            and _near(steady, wanted.frequency) <= (wanted.tolerance)
        ):
            sound = steady.sound
            return _found(
                hearing,
                steady.number,
                sound.start_ms,
                "tone",
                frequencyHz=sound.frequency_hz,
                secondHz=sound.second_hz or None,
                durationMs=lasted,
            )
    return None


def _near(steady: Steady, frequency: float) -> float:
    """How far off the nearer of a tone's frequencies is."""
    tones = (steady.sound.frequency_hz, steady.sound.second_hz)
    return min((abs(hz - frequency) for hz in tones if hz), default=math.inf)


def _digits(hearing: Hearing) -> list[tuple[int, Sound]]:
    return list(_after(hearing, Kind.DTMF))


def _dtmf(expectation: Expectation, hearing: Hearing) -> Evidence | None:
    wanted = expectation.dtmf or ""
    digits = _digits(hearing)
    place = "".join(sound.value for _, sound in digits).find(wanted)
    if place < 0:
        return None
    number, sound = digits[place + len(wanted) - 1]
    return _found(hearing, number, sound.at_ms, "dtmf", digits=wanted)


def _any_dtmf(_: Expectation, hearing: Hearing) -> Evidence | None:
    for number, sound in _digits(hearing):
        return _found(hearing, number, sound.at_ms, "dtmf", digits=sound.value)
    return None


def _silence(expectation: Expectation, hearing: Hearing) -> Evidence | None:
    for number, sound in _after(hearing, Kind.SILENCE):
        lasted = min(sound.for_ms, sound.at_ms - hearing.cursor_ms)
        if lasted >= (expectation.silence or 0):
            return _found(hearing, number, sound.at_ms, "silence", durationMs=lasted)
    return None


def _speech(expectation: Expectation, hearing: Hearing) -> Evidence | None:
    wanted = expectation.speech
    assert wanted is not None
    for stretch in hearing.stretches:
        counts = stretch.last >= hearing.cursor and stretch.first >= hearing.floor and hearing.is_over(stretch)
        if counts and wanted.min <= stretch.length_ms <= (wanted.max or stretch.length_ms):
            return _found(
                hearing,
                stretch.last,
                stretch.end_ms,
                "speech",
                startMs=stretch.start_ms,
                durationMs=stretch.length_ms,
            )
    return None


def _verdict(expectation: Expectation, hearing: Hearing) -> Evidence | None:
    if hearing.verdict is None or hearing.verdict[1].value != expectation.verdict:
        return None
    number, sound = hearing.verdict
    return _found(hearing, number, sound.at_ms, "verdict", result=sound.value, confidence=round(sound.confidence, 3))


def _transcript(expectation: Expectation, hearing: Hearing) -> Evidence | None:
    for number, sound in _after(hearing, Kind.TRANSCRIPT):
        if pattern.in_words(expectation.transcript or "", sound.value):
            return _found(hearing, number, sound.at_ms, "transcript", text=sound.value)
    return None


_MATCHERS: Final[dict[str, Callable[[Expectation, Hearing], Evidence | None]]] = {
    "beep": _beep,
    "greeting_end": _greeting_end,
    "voice": _voice,
    "tone": _tone,
    "dtmf": _dtmf,
    "any_dtmf": _any_dtmf,
    "silence": _silence,
    "speech": _speech,
    "verdict": _verdict,
    "transcript": _transcript,
}


# --- a recording ---------------------------------------------------------------------------------------


def _audio_like(expectation: Expectation, hearing: Hearing, reference: Fingerprint | None) -> Evidence | None:
    """Looks through what came since the last look, with as much before it as the recording is long."""
    like = expectation.audio_like
    if like is None or reference is None:
        return None
    count, floor = hearing.frame_count, max(hearing.floor_frame, hearing.first_frame)
    search = hearing.search
    if search is None or (search.file, search.floor) != (like.file, hearing.floor_frame):
        too_short = len(reference) < likeness.MIN_FRAMES
        search = hearing.search = Search(like.file, hearing.floor_frame, seen=floor, best=0.0, too_short=too_short)
    if search.too_short or count == search.seen or count - floor < len(reference):
        return None
    longest = round(len(reference) * max(likeness.STRETCHES)) + 1
    begin = max(floor, search.seen - longest, hearing.ms_frame(hearing.cursor_ms) - longest)
    found = likeness.find(reference, hearing.frames(begin))
    search.seen, search.best = count, max(search.best, found.score)
    if found.score < (like.score or likeness.THRESHOLD):
        return None
    start = hearing.frame_ms(begin) + found.at_ms
    end = start + len(reference) * likeness.HOP_MS
    if end <= hearing.cursor_ms:
        return None
    hearing.floor_frame = hearing.ms_frame(end)
    hearing.cursor_ms = end
    for number, sound in hearing.sounds:
        if sound.at_ms <= end:
            hearing.passed(number, end)
    return Evidence("audio_like", start, {"file": like.file, "score": round(found.score, 3), "endMs": end})


# --- in words ------------------------------------------------------------------------------------------


def _wanted(expectation: Expectation) -> str:
    match expectation.thing:
        case "tone":
            assert expectation.tone is not None
            return f"tone of {expectation.tone.frequency:g} Hz"
        case "dtmf":
            return f"digits {expectation.dtmf}"
        case "any_dtmf":
            return "digit"
        case "greeting_end":
            return "end of a greeting"
        case "silence":
            return f"silence of {_s(expectation.silence or 0)} s"
        case "speech":
            wanted = expectation.speech
            assert wanted is not None
            longest = f" to {_s(wanted.max)}" if wanted.max is not None else ""
            return f"speech of {_s(wanted.min)}{longest or ' and more'} s"
        case "verdict":
            return f"verdict {expectation.verdict}"
        case "audio_like":
            assert expectation.audio_like is not None
            return f"audio like {expectation.audio_like.file}"
        case "transcript":
            return f"words like {expectation.transcript!r}"
        case thing:
            return thing


def _nearest(expectation: Expectation, hearing: Hearing) -> str:
    search, like = hearing.search, expectation.audio_like
    if like is None:
        return ""
    if search is not None and search.too_short:
        return f"; the recording is shorter than {likeness.MIN_FRAMES * likeness.HOP_MS} ms, nobody could tell it"
    if hearing.frame_count == hearing.first_frame:
        return "; the detector sent no bands to compare"
    score = search.best if search is not None and search.file == like.file else 0.0
    return f"; the likest place scored {score:.2f} of {like.score or likeness.THRESHOLD:g}"


def _told(hearing: Hearing) -> Iterator[str]:
    """What counted, each thing once, in order."""
    items: list[tuple[int, str]] = []
    for stretch in hearing.stretches:
        if stretch.last >= hearing.cursor:
            until = "…" if stretch.talking else f"{_s(stretch.end_ms)} s"
            items.append((stretch.first, f"speech {_s(stretch.start_ms)}-{until}"))
    for steady in hearing.tones:
        if steady.number >= hearing.cursor:
            lasted = _s(steady.lasted_ms(hearing.clock_ms))
            items.append((steady.number, f"a tone of {steady.sound.frequency_hz:.0f} Hz for {lasted} s"))
    digits = _digits(hearing)
    if digits:
        items.append((digits[0][0], "digits " + "".join(sound.value for _, sound in digits)[:64]))
    items += list(_others(hearing))
    return (text for _, text in sorted(items))


def _others(hearing: Hearing) -> Iterator[tuple[int, str]]:
    silence: tuple[int, Sound] | None = None
    for number, sound in hearing.sounds:
        if number < hearing.cursor:
            continue
        match sound.kind:
            case Kind.BEEP:
                yield number, f"a beep at {_s(sound.start_ms)} s"
            case Kind.GREETING_END:
                yield number, f"a greeting end at {_s(sound.at_ms)} s"
            case Kind.VERDICT:
                yield number, f"the verdict {sound.value}"
            case Kind.TRANSCRIPT:
                yield number, f"the words {sound.value[:80]!r}"
            case Kind.SILENCE:
                # The same silence grows; only its last length is worth telling.
                if silence is not None and sound.at_ms - sound.for_ms != silence[1].at_ms - silence[1].for_ms:
                    yield silence[0], f"silence for {_s(silence[1].for_ms)} s"
                silence = number, sound
    if silence is not None:
        yield silence[0], f"silence for {_s(silence[1].for_ms)} s"


def _s(ms: int) -> str:
    return f"{ms / 1000:.1f}"
