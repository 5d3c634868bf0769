"""Applications that play: files, tones, audio fetched over HTTP, stand-in speech.

Events and variables as in tests/traces (flow_playback_and_break, playback_over_http, flow_say_speak_record). While
another application runs inside one that plays, the outer one is silent and goes on with what is left in time, not in
sound: FreeSWITCH would continue in the file.
"""

from __future__ import annotations

from collections.abc import Generator

from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import BREAK, DIGIT, ELAPSED, FETCHED, HANGUP, App, Wait

PLAYED = "FILE PLAYED"
NOT_FOUND = "FILE NOT FOUND"
PLAYBACK_ERROR = "PLAYBACK ERROR"
HTTP_CACHE = "http_cache://"
SAY = "say:"
FETCH_SECONDS = 60.0
"""Simulated seconds until a fetch is given up here; the fetcher's own deadline, in real time, is shorter."""


def pause(channel: Channel, seconds: float, *, wakes: tuple[str, ...]) -> Generator[Wait, str, str]:
    """Wait; ends early for one of `wakes`. Returns why it ended."""
    end = channel.now() + seconds
    while True:
        # A suspension moves the end: ELAPSED alone says that the time has really passed.
        reason = yield max(end - channel.now(), 0.0)
        if reason == ELAPSED or reason in wakes:
            return reason


def open_sound(channel: Channel, path: str) -> bytes:
    """The PCM meant by a playback argument. Raises SoundError."""
    if path.startswith("tone_stream://"):
        return sound.tone_stream(path.removeprefix("tone_stream://"))
    if path.startswith("silence_stream://"):
        return sound.silence_stream(path.removeprefix("silence_stream://"))
    folders = (channel.node.settings.sounds, str(sound.AUDIO_FOLDER))
    return sound.load(sound.resolve(path, folders))


def _fetch(channel: Channel, url: str, cached: bool) -> Generator[Wait, str, bytes | str | None]:
    """The PCM at `url`, None when it cannot be had, or the reason for which the wait was left."""
    fetched: list[bytes | None] = []
    process = channel.execution.current

    def done(data: bytes | None) -> None:
        fetched.append(data)
        process.wake(FETCHED)

    channel.node.fetcher.fetch(url, done, cached=cached)
    end = channel.now() + FETCH_SECONDS
    while not fetched:
        reason = yield max(end - channel.now(), 0.0)
        if reason in (HANGUP, BREAK):
            return reason
        if reason == ELAPSED and channel.now() >= end:
            return None
    if fetched[0] is None:
        return None
    try:
        return sound.decode(fetched[0], url)
    except sound.SoundError:
        return None


def play(channel: Channel, path: str, terminators: str) -> Generator[Wait, str, str]:
    """Play one file with its events; returns the application response.

    A digit among `terminators` ends it ("any": every digit does) and stays in the channel's digits. An http(s) URL,
    also behind ``http_cache://``, is really fetched.
    """
    _pre_answer(channel)
    url = path.removeprefix(HTTP_CACHE)
    if path.startswith(SAY):
        return (yield from _say_text(channel, path.removeprefix(SAY), terminators))
    if url.startswith(("http://", "https://")):
        found = yield from _fetch(channel, url, url != path)
        if isinstance(found, str):
            return PLAYBACK_ERROR if found == HANGUP else PLAYED
        if found is None:
            return NOT_FOUND
        pcm = found
    else:
        try:
            pcm = open_sound(channel, path)
        except sound.SoundError:
            return NOT_FOUND
    return (yield from play_pcm(channel, path, pcm, terminators))


def _pre_answer(channel: Channel) -> None:
    """A call that came in is given early media before something is played to it."""
    if channel.inbound and not channel.answered:
        channel.early_media()


def _has_engine(channel: Channel, engine: str) -> bool:
    """Whether the node has this speech engine: ``unimrcp:server`` is the module unimrcp's."""
    return bool(engine) and f"mod_{engine.partition(':')[0]}" in channel.node.settings.modules


def _say_text(channel: Channel, text: str, terminators: str) -> Generator[Wait, str, str]:
    """``say:[engine:voice:]text``: text to speech where a file is asked for, without playback events."""
    parts = text.split(":", 2)
    spoken = parts[2] if len(parts) == 3 else text
    if not _has_engine(channel, parts[0] if len(parts) == 3 else channel.variables.get("tts_engine", "")):
        return NOT_FOUND
    pcm = sound.stand_in_speech(spoken)
    channel.said.play(channel.sample(), pcm, spoken)
    reason = yield from _sounding(channel, len(pcm) / 2 / RATE, terminators)
    if reason != ELAPSED:
        channel.said.cut(channel.sample())
    return PLAYBACK_ERROR if reason == HANGUP else PLAYED


def _sounding(channel: Channel, seconds: float, terminators: str) -> Generator[Wait, str, str]:
    """Let a sound play; returns why it ended. A digit among `terminators` ends it, others are dropped."""
    left = seconds
    reason = ELAPSED
    while left > 0:
        before = channel.now()
        reason = yield left
        if reason in (ELAPSED, HANGUP, BREAK):
            break
        left -= channel.now() - before
        digits = channel.execution.digits
        if reason == DIGIT and digits and (terminators == "any" or digits[-1] in terminators):
            channel.set_variable("playback_terminator_used", digits[-1])
            break
        if terminators != "any":
            digits.clear()
    return reason


def play_pcm(channel: Channel, path: str, pcm: bytes, terminators: str, text: str = "") -> Generator[Wait, str, str]:
    """Play PCM under the name `path`, as `play` does; `text` is what is said in it."""
    seconds = len(pcm) / 2 / RATE
    kind = [("Playback-File-Type", "tone_stream")] if path.startswith("tone_stream://") else []
    described = [*kind, ("Playback-File-Path", path)]
    channel.fire("PLAYBACK_START", described)
    begun = channel.sample()
    channel.said.play(begun, pcm, text)
    reason = yield from _sounding(channel, seconds, terminators)
    if reason != ELAPSED:
        channel.said.cut(channel.sample())
    samples = len(pcm) // 2 if reason == ELAPSED else min(channel.sample() - begun, len(pcm) // 2)
    channel.variables["playback_last_offset_pos"] = str(samples)
    channel.variables["playback_seconds"] = str(samples // RATE)
    channel.variables["playback_ms"] = str(samples * 1000 // RATE)
    channel.variables["playback_samples"] = str(samples)
    channel.fire("PLAYBACK_STOP", [*described, ("Playback-Status", "break" if reason == BREAK else "done")])
    return PLAYBACK_ERROR if reason == HANGUP else PLAYED


def playback(channel: Channel, argument: str) -> App:
    # FreeSWITCH's own default: the star ends a playback unless `playback_terminators` says otherwise.
    terminators = channel.variables.get("playback_terminators", "*")
    response = yield from play(channel, argument, "" if terminators == "none" else terminators)
    return response


def speak(channel: Channel, argument: str) -> App:
    """``<engine>|<voice>|<text>``; with an engine that the node has not it ends at once, in silence."""
    parts = argument.split("|", 2)
    text = parts[-1]
    if not _has_engine(channel, parts[0] if len(parts) == 3 else channel.variables.get("tts_engine", "")):
        return ""
    _pre_answer(channel)
    pcm = sound.stand_in_speech(text)
    channel.said.play(channel.sample(), pcm, text)
    reason = yield from pause(channel, len(pcm) / 2 / RATE, wakes=(HANGUP, BREAK))
    if reason != ELAPSED:
        channel.said.cut(channel.sample())
    return ""


def say(channel: Channel, argument: str) -> App:
    """``<language> <type> <method> [gender] <text>``: as stand-in speech of the text.

    A node without sound files says nothing and tells filestring::fail (tests/traces/flow_say_speak_record.jsonl).
    """
    words = argument.split(" ", 3)
    if len(words) < 4:
        return ""
    if not channel.node.settings.say_sounds:
        channel.node.fire("CUSTOM", subclass="filestring::fail")
        return ""
    text = words[3]
    gender, _, rest = text.partition(" ")
    if gender.lower() in ("masculine", "feminine", "neuter"):
        text = rest
    spoken = " ".join(text) if words[2].lower() == "iterated" or "spelled" in words[1].lower() else text
    yield from play_pcm(channel, f"file_string://{words[1].lower()}/{text}", sound.stand_in_speech(spoken), "*", spoken)
    return ""


def sleep(channel: Channel, argument: str) -> App:
    milliseconds = whole(argument.strip()) or 0
    yield from pause(channel, milliseconds / 1000, wakes=(HANGUP, BREAK))
    channel.execution.digits.clear()
    return ""
