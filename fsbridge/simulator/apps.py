"""The applications that a channel can execute: each a generator over simulated time, each with FreeSWITCH's events.

An application that is not here is refused as FreeSWITCH refuses an unknown one: its execution completes at once.
While another application runs inside one that plays, the outer one is silent and goes on with what is left in time,
not in sound: FreeSWITCH would continue in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from fsbridge.simulator import sound
from fsbridge.simulator.audio_lines import RATE
from fsbridge.simulator.process import BREAK, DIGIT, ELAPSED, HANGUP, App, Wait
from fsbridge.simulator.recording import Recorder
from fsbridge.simulator.wire import whole

if TYPE_CHECKING:
    from fsbridge.simulator.channel import Channel

PLAYED = "FILE PLAYED"
NOT_FOUND = "FILE NOT FOUND"
PLAYBACK_ERROR = "PLAYBACK ERROR"
_POLL = 0.1
_TONE_BUG = "spandsp_tone_detect"


def run(channel: Channel, application: str, argument: str) -> App:
    """The application's generator."""
    return _APPLICATIONS.get(application.lower(), _unknown)(channel, argument)


def _instant(action: Callable[[Channel, str], None]) -> Callable[[Channel, str], App]:
    """An application that takes no time."""

    def app(channel: Channel, argument: str) -> App:
        action(channel, argument)
        return ""
        yield

    return app


def _park(channel: Channel, argument: str) -> App:
    channel.fire("CHANNEL_PARK")
    while (yield None) != HANGUP:
        channel.execution.digits.clear()
    channel.fire("CHANNEL_UNPARK")
    return ""


def _pause(channel: Channel, seconds: float, *, wakes: tuple[str, ...]) -> Generator[Wait, str, str]:
    """Wait; ends early for one of `wakes`. Returns why it ended."""
    end = channel.now() + seconds
    while True:
        # A suspension moves the end: ELAPSED alone says that the time has really passed.
        reason = yield max(end - channel.now(), 0.0)
        if reason == ELAPSED or reason in wakes:
            return reason


def _sleep(channel: Channel, argument: str) -> App:
    milliseconds = whole(argument.strip()) or 0
    yield from _pause(channel, milliseconds / 1000, wakes=(HANGUP, BREAK))
    channel.execution.digits.clear()
    return ""


def open_sound(channel: Channel, path: str) -> bytes:
    """The PCM meant by a playback argument. Raises SoundError."""
    if path.startswith("tone_stream://"):
        return sound.tone_stream(path.removeprefix("tone_stream://"))
    if path.startswith("silence_stream://"):
        return sound.silence_stream(path.removeprefix("silence_stream://"))
    folders = (channel.node.settings.sounds, str(sound.AUDIO_FOLDER))
    return sound.load(sound.resolve(path, folders))


def _play(channel: Channel, path: str, terminators: str) -> Generator[Wait, str, str]:
    """Play one file with its events; returns the application response.

    A digit among `terminators` ends it ("any": every digit does) and stays in the channel's digits.
    """
    try:
        pcm = open_sound(channel, path)
    except sound.SoundError:
        return NOT_FOUND
    seconds = len(pcm) / 2 / RATE
    kind = [("Playback-File-Type", "tone_stream")] if path.startswith("tone_stream://") else []
    described = [*kind, ("Playback-File-Path", path)]
    channel.fire("PLAYBACK_START", described)
    begun = channel.sample()
    channel.said.play(begun, pcm)
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
    if reason != ELAPSED:
        channel.said.cut(channel.sample())
    samples = len(pcm) // 2 if reason == ELAPSED else min(channel.sample() - begun, len(pcm) // 2)
    channel.variables["playback_last_offset_pos"] = str(samples)
    channel.variables["playback_seconds"] = str(samples // RATE)
    channel.variables["playback_ms"] = str(samples * 1000 // RATE)
    channel.variables["playback_samples"] = str(samples)
    channel.fire("PLAYBACK_STOP", [*described, ("Playback-Status", "break" if reason == BREAK else "done")])
    return PLAYBACK_ERROR if reason == HANGUP else PLAYED


def _playback(channel: Channel, argument: str) -> App:
    # FreeSWITCH's own default: the star ends a playback unless `playback_terminators` says otherwise.
    terminators = channel.variables.get("playback_terminators", "*")
    response = yield from _play(channel, argument, "" if terminators == "none" else terminators)
    return response


def _speak(channel: Channel, argument: str) -> App:
    text = argument.split("|", 2)[-1]
    pcm = sound.stand_in_speech(text)
    channel.said.play(channel.sample(), pcm)
    reason = yield from _pause(channel, len(pcm) / 2 / RATE, wakes=(HANGUP, BREAK))
    if reason != ELAPSED:
        channel.said.cut(channel.sample())
    return ""


def _say(channel: Channel, argument: str) -> None:
    """A node without installed sound files (tests/traces/flow_say_speak_record.jsonl)."""
    channel.node.fire("CUSTOM", subclass="filestring::fail")


def _play_and_get_digits(channel: Channel, argument: str) -> App:
    words = argument.split()
    numbers = [number for word in words[:4] if (number := whole(word)) is not None]
    if len(words) < 9 or len(numbers) < 4:
        return ""
    least, most, tries, timeout = numbers
    terminators, prompt, invalid, variable, pattern = words[4:9]
    gap = (whole(words[9]) if len(words) > 9 else None) or timeout
    digits = channel.execution.digits
    digits.clear()
    for name in ("read_result", variable):
        channel.variables.pop(name, None)
    for _ in range(max(tries, 1)):
        response = yield from _play(channel, prompt, "any")
        if response == PLAYBACK_ERROR:
            return ""
        collected, ended_by = yield from _collect(channel, most, terminators, timeout / 1000, gap / 1000)
        if channel.hung_up:
            return ""
        if ended_by:
            channel.variables["read_terminator_used"] = ended_by
        if len(collected) >= max(least, 1) and _matches(pattern, collected):
            channel.variables[variable] = collected
            channel.variables["read_result"] = "success"
            return ""
        channel.variables["read_result"] = "failure"
        response = yield from _play(channel, invalid, "")
        if response == PLAYBACK_ERROR:
            return ""
    return ""


def _collect(
    channel: Channel, most: int, terminators: str, first: float, gap: float
) -> Generator[Wait, str, tuple[str, str]]:
    """Digits until `most` of them, a terminator, or a pause; and the terminator that ended them."""
    collected = ""
    digits = channel.execution.digits
    while True:
        while digits:
            digit = digits.popleft()
            if digit in terminators:
                return collected, digit
            collected += digit
            if len(collected) >= most:
                return collected, ""
        reason = yield gap if collected else first
        if reason in (ELAPSED, HANGUP):
            return collected, ""


def _matches(pattern: str, digits: str) -> bool:
    try:
        return re.search(pattern, digits) is not None
    except re.error:
        return False


def send_digits(channel: Channel, argument: str) -> None:
    """Queue ``digits[@ms]``; the far end gets one after the other while the application is already over."""
    digits, _, duration = argument.partition("@")
    each = (whole(duration) or 250) / 1000 + 0.05
    delay = 0.0
    for digit in digits[:128]:
        delay += 0.5 if digit == "w" else 1.0 if digit == "W" else each
        if digit not in "wW":
            channel.node.scheduler.call_later(delay, _digit_sender(channel, digit))


def _digit_sender(channel: Channel, digit: str) -> Callable[[], None]:
    return lambda: None if channel.hung_up else channel.on_digit_sent(digit)


def _set(channel: Channel, argument: str) -> None:
    name, _, value = argument.partition("=")
    channel.set_variable(name.strip(), channel.expand(value))


def _unset(channel: Channel, argument: str) -> None:
    channel.set_variable(argument.strip(), "")


def _hangup(channel: Channel, argument: str) -> None:
    channel.hang_up(argument.strip() or "NORMAL_CLEARING", in_thread=True)


def _sched_hangup(channel: Channel, argument: str) -> None:
    time, _, cause = argument.partition(" ")
    schedule_hangup(channel, time, cause.strip())


def schedule_hangup(channel: Channel, time: str, cause: str) -> bool:
    """Hang up at ``+seconds`` or at a Unix time; False when it is neither."""
    number = whole(time.removeprefix("+"))
    if number is None:
        return False
    seconds = float(number) if time.startswith("+") else max(number - channel.node.scheduler.wall(), 0.0)
    wanted = cause or "ALLOTTED_TIMEOUT"
    channel.node.schedule_task(
        "switch_ivr_schedule_hangup", channel.uuid, seconds, lambda: channel.hang_up(wanted, at_once=True)
    )
    return True


def _record(channel: Channel, argument: str) -> App:
    words = argument.split()
    if not words:
        return ""
    limit, threshold, quiet_seconds = ((whole(word.lstrip("+")) or 0) for word in [*words[1:4], "", "", ""][:3])
    recorder = Recorder(channel, words[0], limit, both=False, bug=False)
    channel.fire_codec()
    recorder.start()
    at = channel.sample()
    quiet_since = at
    channel.execution.digits.clear()
    while words[0] in channel.recorders:
        reason = yield _POLL
        terminators = channel.variables.get("playback_terminators", "*")
        if reason in (HANGUP, BREAK) or (reason == DIGIT and channel.execution.digits[-1] in terminators):
            break
        now = channel.sample()
        if sound.heard(channel.heard.read(at, now - at), threshold or 200):
            quiet_since = now
        at = now
        if threshold and quiet_seconds and now - quiet_since >= quiet_seconds * RATE:
            break
    recorder.stop()
    channel.fire_codec()
    return ""


def _detect_tone(channel: Channel, argument: str) -> App:
    """spandsp_start_tone_detect: reports the answer tone of a fax once it has sounded for a while."""
    if _TONE_BUG not in channel.bugs:
        channel.add_bug(_TONE_BUG)
        channel.node.scheduler.call_later(_POLL, lambda: _listen_for_fax(channel))
    return "+OK started"
    yield


def _listen_for_fax(channel: Channel) -> None:
    if channel.hung_up or _TONE_BUG not in channel.bugs:
        return
    window = int(0.5 * RATE)
    start = channel.sample() - window
    if start > 0 and sound.is_answer_tone(channel.heard.read(start, window)):
        before = [("Detected-Tone", "CED_TONE"), ("Unique-ID", channel.uuid)]
        channel.fire("DETECTED_TONE", variables=False, before=before)
        return
    channel.node.scheduler.call_later(_POLL, lambda: _listen_for_fax(channel))


def _nothing(channel: Channel, argument: str) -> None:
    """Applications whose effect a caller cannot see here: the leg is up already, there is nothing to log."""


def _unknown(channel: Channel, argument: str) -> App:
    return ""
    yield


_APPLICATIONS: dict[str, Callable[[Channel, str], App]] = {
    "answer": _instant(_nothing),
    "export": _instant(_set),
    "hangup": _instant(_hangup),
    "log": _instant(_nothing),
    "park": _park,
    "play_and_get_digits": _play_and_get_digits,
    "playback": _playback,
    "pre_answer": _instant(_nothing),
    "record": _record,
    "say": _instant(_say),
    "sched_hangup": _instant(_sched_hangup),
    "send_dtmf": _instant(send_digits),
    "set": _instant(_set),
    "sleep": _sleep,
    "spandsp_start_tone_detect": _detect_tone,
    "speak": _speak,
    "unset": _instant(_unset),
}
