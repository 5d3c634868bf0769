"""Applications that listen: digits, recognised speech, a fax's tone.

Digits as in tests/traces/flow_digits.jsonl, the tone as in fax_answers.jsonl. Speech recognition is in no recording:
responses and variables are those of mod_dptools' source, and what is recognised is what a script says was spoken.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from xml.sax.saxutils import escape

from fsbridge.simulator.applications.play import NOT_FOUND, PLAYBACK_ERROR, play
from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import BREAK, ELAPSED, HANGUP, App, Wait

_WORDS = re.compile(r"'([^']*)'|(\S+)")
_POLL = 0.1
_TONE_BUG = "spandsp_tone_detect"
_SPEECH_SECONDS = 10.0
_NO_INPUT_SECONDS = 5.0
NO_INPUT = "Completion-Cause: 002\r\n"
"""What mod_unimrcp gives when nobody spoke."""


def play_and_get_digits(channel: Channel, argument: str) -> App:
    words = separate(argument)
    numbers = [number for word in words[:4] if (number := whole(word)) is not None]
    if len(words) < 9 or len(numbers) < 4:
        return ""
    least, most, tries, timeout = numbers
    terminators, prompt, invalid, variable, pattern = words[4:9]
    gap = (whole(words[9]) if len(words) > 9 else None) or timeout
    digits = channel.execution.digits
    digits.clear()
    for _ in range(max(tries, 1)):
        for name in ("read_result", variable):
            channel.variables.pop(name, None)
        response = yield from play(channel, prompt, "any")
        if response == PLAYBACK_ERROR:
            return ""
        if response == NOT_FOUND:
            # Nobody was asked, so nobody is listened to, and there is no read_result (switch_ivr_read).
            response = yield from play(channel, invalid, "")
            if response == PLAYBACK_ERROR:
                return ""
            continue
        taken = yield from _collect(channel, most, terminators, timeout / 1000, gap / 1000)
        if taken is None:
            return ""
        collected, ended_by, paused = taken
        if ended_by:
            channel.variables["read_terminator_used"] = ended_by
        if len(collected) >= max(least, 1) and _matches(pattern, collected):
            channel.variables[variable] = collected
            # Digits that a pause ended are taken all the same (switch_ivr_read, switch_play_and_get_digits).
            channel.variables["read_result"] = "timeout" if paused else "success"
            return ""
        channel.variables["read_result"] = "failure"
        response = yield from play(channel, invalid, "")
        if response == PLAYBACK_ERROR:
            return ""
    return ""


def separate(argument: str) -> list[str]:
    """An argument's words as FreeSWITCH separates them: at spaces, but not inside single quotes, which go."""
    return [quoted or plain for quoted, plain in _WORDS.findall(argument)]


def _collect(
    channel: Channel, most: int, terminators: str, first: float, gap: float
) -> Generator[Wait, str, tuple[str, str, bool] | None]:
    """Digits until `most` of them, a terminator, or a pause; the terminator that ended them; whether a pause did.

    None: the call is leaving.
    """
    collected = ""
    digits = channel.execution.digits
    while True:
        while digits:
            digit = digits.popleft()
            if digit in terminators:
                return collected, digit, False
            collected += digit
            if len(collected) >= most:
                return collected, "", False
        reason = yield gap if collected else first
        if reason == HANGUP:
            return None
        if reason == ELAPSED:
            return collected, "", True


def _matches(pattern: str, digits: str) -> bool:
    try:
        return re.search(pattern, digits) is not None
    except re.error:
        return False


def play_and_detect_speech(channel: Channel, argument: str) -> App:
    """``<file> detect:<engine> [{param=value,…}]<grammar>``: what the far side says goes into detect_speech_result.

    The engine is there when the node has a module of its name. Speech ends the prompt (barge-in), unless the
    parameter start-input-timers asks otherwise; no-input-timeout and speech-timeout are in milliseconds.
    """
    channel.variables.pop("detect_speech_result", None)
    prompt, found, rest = argument.partition(" detect:")
    engine, _, grammar = rest.strip().partition(" ")
    if not found or not engine or not grammar:
        return "USAGE ERROR"
    if f"mod_{engine.partition(':')[0]}" not in channel.node.settings.modules:
        return "ASR INIT ERROR"
    parameters: dict[str, str] = {}
    grammar = grammar.strip()
    if grammar.startswith("{"):
        inside, _, grammar = grammar[1:].partition("}")
        parameters = dict(item.strip().partition("=")[::2] for item in inside.split(","))
    start = channel.sample()
    prompting = play(channel, prompt.strip(), "")
    response = yield from _until_heard(channel, prompting, start)
    if response == PLAYBACK_ERROR:
        return ""
    heard = yield from _recognise(
        channel,
        start,
        (whole(parameters.get("no-input-timeout", "")) or int(_NO_INPUT_SECONDS * 1000)) / 1000,
        (whole(parameters.get("speech-timeout", "")) or int(_SPEECH_SECONDS * 1000)) / 1000,
    )
    if heard is None:
        return ""
    channel.variables["detect_speech_result"] = _result(grammar, heard) if heard else NO_INPUT
    return "DONE"


def _until_heard(channel: Channel, prompting: Generator[Wait, str, str], start: int) -> Generator[Wait, str, str]:
    """Let the prompt play to its end, or to where the far side begins to speak."""
    try:
        wait = next(prompting)
        while True:
            end = None if wait is None else channel.now() + wait
            while True:
                left = _POLL if end is None else min(_POLL, max(end - channel.now(), 0.0))
                reason = yield left
                if any(word.start <= channel.sample() for word in channel.heard.words(start)):
                    reason = BREAK
                if reason != ELAPSED or (end is not None and channel.now() >= end - 1e-9):
                    break
            wait = prompting.send(reason)
    except StopIteration as ended:
        response: str = ended.value
        return response


def _recognise(channel: Channel, start: int, no_input: float, longest: float) -> Generator[Wait, str, str | None]:
    """What was said once it has been said; "" when nobody spoke in time, None when the call is leaving."""
    begun = channel.now()
    while True:
        now = channel.sample()
        words = [word for word in channel.heard.words(start) if word.start <= now]
        if words and (words[-1].end + RATE // 2 <= now or now - words[0].start > longest * RATE):
            return " ".join(word.text for word in words)
        if not words and channel.now() - begun >= no_input:
            return ""
        if (yield _POLL) in (HANGUP, BREAK):
            return None


def _result(grammar: str, text: str) -> str:
    """NLSML, as mod_unimrcp hands it on."""
    said = escape(text)
    return (
        '<?xml version="1.0"?><result><interpretation grammar="'
        + escape(grammar, {'"': "&quot;"})
        + f'" confidence="0.95"><instance>{said}</instance><input mode="speech">{said}</input>'
        + "</interpretation></result>"
    )


def detect_tone(channel: Channel, argument: str) -> App:
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
