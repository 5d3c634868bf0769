"""Applications that speak: text to speech, and `say`, which puts recordings of words together.

A node that has no such engine, voice, language or sounds says nothing and shows nothing wrong: the execution is over at
once (tests/traces/flows media_steps_missing_files_bad_voice, say_without_sounds).
"""

from __future__ import annotations

from collections.abc import Generator

from fsbridge.simulator.applications.sounding import (
    NOT_FOUND,
    PLAYBACK_ERROR,
    PLAYED,
    play_pcm,
    pre_answer,
    sounding,
    terminators,
)
from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import ELAPSED, HANGUP, App, Wait

_VOICES = {"flite": frozenset({"awb", "kal", "rms", "slt"})}
"""Of those engines whose voices are fixed; another engine's server may know any."""
_TYPES = frozenset(
    {
        *("number", "items", "persons", "messages", "currency", "time_measurement", "current_date", "current_time"),
        *("current_date_time", "telephone_number", "telephone_extension", "url", "ip_address", "email_address"),
        *("postal_address", "account_number", "name_spelled", "name_phonetic", "short_date_time"),
    }
)


def _speaks(channel: Channel, engine: str, voice: str) -> bool:
    """Whether the node has this speech engine (``unimrcp:server`` is the module unimrcp's) with this voice."""
    name = engine.partition(":")[0]
    known = _VOICES.get(name)
    return bool(engine) and f"mod_{name}" in channel.node.settings.modules and (known is None or voice in known)


def say_text(channel: Channel, text: str, ending: str) -> Generator[Wait, str, str]:
    """``say:[engine:voice:]text``: text to speech where a file is asked for, without playback events."""
    parts = text.split(":", 2)
    variables = channel.variables
    engine, voice = parts[:2] if len(parts) == 3 else (variables.get("tts_engine", ""), variables.get("tts_voice", ""))
    if not _speaks(channel, engine, voice):
        return NOT_FOUND
    reason = yield from _spoken(channel, parts[2] if len(parts) == 3 else text, ending)
    return PLAYBACK_ERROR if reason == HANGUP else PLAYED


def _spoken(channel: Channel, text: str, ending: str) -> Generator[Wait, str, str]:
    pcm = sound.stand_in_speech(text)
    channel.said.play(channel.sample(), pcm, text)
    reason = yield from sounding(channel, len(pcm) / 2 / RATE, ending)
    if reason != ELAPSED:
        channel.said.cut(channel.sample())
    return reason


def speak(channel: Channel, argument: str) -> App:
    """``<engine>|<voice>|<text>``, or the text alone with `tts_engine` and `tts_voice` set. Without one of them, as
    without words, the call is given up; with nothing at all nothing happens.

    A terminator ends it, other digits are lost.
    """
    if not argument:
        return ""
    parts = argument.split("|", 2)
    engine, voice = channel.variables.get("tts_engine", ""), channel.variables.get("tts_voice", "")
    if len(parts) == 3:
        engine, voice = parts[:2]
    text = parts[-1]
    if not (engine and voice and text):
        channel.hang_up("DESTINATION_OUT_OF_ORDER", in_thread=True)
        return ""
    if _speaks(channel, engine, voice):
        pre_answer(channel)
        yield from _spoken(channel, text, terminators(channel))
    return ""


def say(channel: Channel, argument: str) -> App:
    """``<language> <type> <method> [gender] <text>``: as stand-in speech of the text.

    A node without sound files tells filestring::fail (tests/traces/flow_say_speak_record.jsonl).
    """
    words = argument.split(" ", 3)
    if len(words) < 4:
        return ""
    language, kind, method, text = words
    if f"mod_say_{language.lower()}" not in channel.node.settings.modules or kind.lower() not in _TYPES:
        return ""
    if not channel.node.settings.say_sounds:
        channel.node.fire("CUSTOM", subclass="filestring::fail")
        return ""
    gender, _, rest = text.partition(" ")
    if gender.lower() in ("masculine", "feminine", "neuter"):
        text = rest
    spoken = " ".join(text) if method.lower() == "iterated" or "spelled" in kind.lower() else text
    yield from play_pcm(channel, f"file_string://{kind.lower()}/{text}", sound.stand_in_speech(spoken), "*", spoken)
    return ""
