"""Applications that play: files, tones, audio fetched over HTTP; and `sleep`, which plays nothing."""

from __future__ import annotations

from collections.abc import Generator

from fsbridge.simulator.applications.sounding import (
    NOT_FOUND,
    PLAYBACK_ERROR,
    PLAYED,
    pause,
    play_pcm,
    pre_answer,
    terminators,
)
from fsbridge.simulator.applications.speak import say_text
from fsbridge.simulator.audio import sound
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import BREAK, ELAPSED, FETCHED, HANGUP, App, Wait

HTTP_CACHE = "http_cache://"
SAY = "say:"
FETCH_SECONDS = 60.0
"""Simulated seconds until a fetch is given up here; the fetcher's own deadline, in real time, is shorter."""


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


def play(channel: Channel, path: str, ending: str) -> Generator[Wait, str, str]:
    """Play one file with its events; returns the application response.

    A digit among `ending` ends it ("any": every digit does) and stays in the channel's digits. An http(s) URL,
    also behind ``http_cache://``, is really fetched.
    """
    pre_answer(channel)
    url = path.removeprefix(HTTP_CACHE)
    if path.startswith(SAY):
        return (yield from say_text(channel, path.removeprefix(SAY), ending))
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
    return (yield from play_pcm(channel, path, pcm, ending))


def playback(channel: Channel, argument: str) -> App:
    return (yield from play(channel, argument, terminators(channel)))


def sleep(channel: Channel, argument: str) -> App:
    milliseconds = whole(argument.strip()) or 0
    yield from pause(channel, milliseconds / 1000, wakes=(HANGUP, BREAK))
    channel.execution.digits.clear()
    return ""
