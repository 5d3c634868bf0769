"""The application `play_and_get_digits`: asks, and collects what is pressed.

As in tests/traces flow_digits and typed_ahead_digits_and_gather, and as a real node answered when asked case by case:
what was pressed too little stays in the variable (`failure`), what does not match goes into ``<variable>_invalid``,
`read_terminator_used` stays from an earlier gather, and `uuid_break` ends the prompt but never the wait.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass

from fsbridge.simulator.applications.play import play
from fsbridge.simulator.applications.sounding import NOT_FOUND, PLAYBACK_ERROR
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import ELAPSED, HANGUP, App, Wait

_WORDS = re.compile(r"'([^']*)'|(\S+)")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The application's argument. Times in seconds."""

    least: int
    most: int
    tries: int
    first: float
    terminators: str
    prompt: str
    invalid: str
    variable: str
    pattern: str
    gap: float


@dataclass(frozen=True, slots=True)
class _Pressed:
    """What one try brought: the digits, the terminator that ended them, "" when a pause or the last digit did."""

    digits: str
    ended_by: str
    paused: bool


def play_and_get_digits(channel: Channel, argument: str) -> App:
    """``<least> <most> <tries> <timeout> <terminators> <prompt> <invalid> <variable> <pattern> [<digit timeout>]``"""
    asked = _read(argument)
    if asked is None:
        return ""
    variables = channel.variables
    channel.execution.digits.clear()
    variables.pop(f"{asked.variable}_invalid", None)
    for _ in range(max(asked.tries, 1)):
        for name in ("read_result", asked.variable):
            variables.pop(name, None)
        response = yield from play(channel, asked.prompt, "any")
        if response == PLAYBACK_ERROR:
            return ""
        if response != NOT_FOUND:
            # Else nobody was asked, so nobody is listened to, and there is no read_result (switch_ivr_read).
            pressed = yield from _collect(channel, asked)
            if pressed is None:
                return ""
            if pressed.ended_by:
                variables["read_terminator_used"] = pressed.ended_by
            if _judge(variables, asked, pressed):
                return ""
        response = yield from play(channel, asked.invalid, "")
        if response == PLAYBACK_ERROR:
            return ""
    return ""


def _read(argument: str) -> _Asked | None:
    words = separate(argument)
    numbers = [number for word in words[:4] if (number := whole(word)) is not None]
    if len(words) < 9 or len(numbers) < 4:
        return None
    least, most, tries, timeout = numbers
    gap = (whole(words[9]) if len(words) > 9 else None) or timeout
    terminators, prompt, invalid, variable, pattern = words[4:9]
    return _Asked(least, most, tries, timeout / 1000, terminators, prompt, invalid, variable, pattern, gap / 1000)


def separate(argument: str) -> list[str]:
    """An argument's words as FreeSWITCH separates them: at spaces, but not inside single quotes, which go."""
    return [quoted or plain for quoted, plain in _WORDS.findall(argument)]


def _collect(channel: Channel, asked: _Asked) -> Generator[Wait, str, _Pressed | None]:
    """Digits until there are enough, a terminator, or a pause. None: the call is leaving."""
    collected = ""
    digits = channel.execution.digits
    end = channel.now() + asked.first
    while True:
        while digits:
            digit = digits.popleft()
            if digit in asked.terminators:
                return _Pressed(collected, digit, False)
            collected += digit
            end = channel.now() + asked.gap
            if len(collected) >= asked.most:
                return _Pressed(collected, "", False)
        reason = yield max(end - channel.now(), 0.0)
        if reason == HANGUP:
            return None
        # Being broken off or having stood still, the wait goes on.
        if reason == ELAPSED and channel.now() >= end - 1e-9:
            return _Pressed(collected, "", True)


def _judge(variables: dict[str, str], asked: _Asked, pressed: _Pressed) -> bool:
    """Set the variables of this try; whether it is the last one."""
    digits = pressed.digits
    if len(digits) < asked.least:
        variables["read_result"] = "failure"
        if digits:
            variables[asked.variable] = digits
        return False
    # Digits that a pause ended are taken all the same (switch_ivr_read, switch_play_and_get_digits).
    variables["read_result"] = "timeout" if pressed.paused else "success"
    if not digits:
        return not pressed.paused
    if _matches(asked.pattern, digits):
        variables[asked.variable] = digits
        return True
    variables[f"{asked.variable}_invalid"] = digits
    return False


def _matches(pattern: str, digits: str) -> bool:
    try:
        return re.search(pattern, digits) is not None
    except re.error:
        return False
