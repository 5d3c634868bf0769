"""What every application that sounds has in common: a time that passes, PCM that plays, digits that end it.

Events and variables as in tests/traces (flow_playback_and_break, playback_over_http). While another application runs
inside one that plays, the outer one is silent and goes on with what is left in time, not in sound: FreeSWITCH would
continue in the file.
"""

from __future__ import annotations

from collections.abc import Generator

from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import BREAK, DIGIT, ELAPSED, HANGUP, Wait

PLAYED = "FILE PLAYED"
NOT_FOUND = "FILE NOT FOUND"
PLAYBACK_ERROR = "PLAYBACK ERROR"


def pause(channel: Channel, seconds: float, *, wakes: tuple[str, ...]) -> Generator[Wait, str, str]:
    """Wait; ends early for one of `wakes`. Returns why it ended."""
    end = channel.now() + seconds
    while True:
        # A suspension moves the end: ELAPSED alone says that the time has really passed.
        reason = yield max(end - channel.now(), 0.0)
        if reason == ELAPSED or reason in wakes:
            return reason


def pre_answer(channel: Channel) -> None:
    """A call that came in is given early media before something is played to it."""
    if channel.inbound and not channel.answered:
        channel.early_media()


def terminators(channel: Channel) -> str:
    """The digits that end what plays: the star, unless `playback_terminators` says otherwise.

    To be asked at an application's start: which digit ended the one before is forgotten then.
    """
    channel.variables.pop("playback_terminator_used", None)
    wanted = channel.variables.get("playback_terminators", "*")
    return "" if wanted == "none" else wanted


def sounding(channel: Channel, seconds: float, ending: str) -> Generator[Wait, str, str]:
    """Let a sound play; returns why it ended. A digit among `ending` ends it ("any": every one), others are dropped."""
    left = seconds
    reason = ELAPSED
    while left > 0:
        before = channel.now()
        reason = yield left
        if reason in (ELAPSED, HANGUP, BREAK):
            break
        left -= channel.now() - before
        digits = channel.execution.digits
        if reason == DIGIT and digits and (ending == "any" or digits[-1] in ending):
            if ending != "any":
                channel.set_variable("playback_terminator_used", digits[-1])
            break
        if ending != "any":
            digits.clear()
    return reason


def play_pcm(channel: Channel, path: str, pcm: bytes, ending: str, text: str = "") -> Generator[Wait, str, str]:
    """Play PCM under the name `path`, as `play` does; `text` is what is said in it."""
    seconds = len(pcm) / 2 / RATE
    kind = [("Playback-File-Type", "tone_stream")] if path.startswith("tone_stream://") else []
    described = [*kind, ("Playback-File-Path", path)]
    channel.fire("PLAYBACK_START", described)
    begun = channel.sample()
    channel.said.play(begun, pcm, text)
    reason = yield from sounding(channel, seconds, ending)
    if reason != ELAPSED:
        channel.said.cut(channel.sample())
    samples = len(pcm) // 2 if reason == ELAPSED else min(channel.sample() - begun, len(pcm) // 2)
    channel.variables["playback_last_offset_pos"] = str(samples)
    channel.variables["playback_seconds"] = str(samples // RATE)
    channel.variables["playback_ms"] = str(samples * 1000 // RATE)
    channel.variables["playback_samples"] = str(samples)
    channel.fire("PLAYBACK_STOP", [*described, ("Playback-Status", "break" if reason == BREAK else "done")])
    return PLAYBACK_ERROR if reason == HANGUP else PLAYED
