"""Applications that listen: recognised speech, a fax's tone.

The tone as in tests/traces/fax_answers.jsonl. Speech recognition is in no recording: responses and variables are those
of mod_dptools' source, and what is recognised is what a script says was spoken.
"""

from __future__ import annotations

from collections.abc import Generator
from xml.sax.saxutils import escape

from fsbridge.simulator.applications.play import play
from fsbridge.simulator.applications.sounding import PLAYBACK_ERROR
from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import BREAK, ELAPSED, HANGUP, App, Wait

_POLL = 0.1
_TONE_BUG = "spandsp_tone_detect"
_SPEECH_SECONDS = 10.0
_NO_INPUT_SECONDS = 5.0
NO_INPUT = "Completion-Cause: 002\r\n"
"""What mod_unimrcp gives when nobody spoke."""


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
