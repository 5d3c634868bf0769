"""What each step comes to: an action's result into an outcome, variables and, at times, the end. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fsbridge.flow.document.expectation import Expectation
from fsbridge.flow.document.model import DONE, FAILED, MISSING, OUTCOMES, TIMEOUT, UNAVAILABLE, FlowDocument, Step
from fsbridge.flow.document.parts import Gather
from fsbridge.flow.document.template import MAX_TEXT
from fsbridge.flow.interpreter import media, plan
from fsbridge.flow.interpreter.actions import (
    Executed,
    Fetched,
    FlowEnd,
    FlowOutcome,
    Heard,
    Refused,
    Result,
    Streamed,
    StreamEnd,
    TimedOut,
    Unavailable,
)
from fsbridge.flow.listening import expect

_UNHEARD = frozenset({"USAGE ERROR", "GRAMMAR ERROR", "ASR INIT ERROR", "ERROR"})
"""What play_and_detect_speech answers when it could not listen (mod_dptools.c)."""
_BUSY = frozenset({"USER_BUSY", "CALL_REJECTED"})
_UNANSWERED = frozenset({"NO_ANSWER", "NO_USER_RESPONSE", "ORIGINATOR_CANCEL", "PROGRESS_TIMEOUT", "ALLOTTED_TIMEOUT"})
MIN_RECORDING_MS = 100


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome's word, what it means in words, what the flow knows now; `goes_to` where a choice leads."""

    outcome: str
    detail: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    goes_to: str | None = None
    end: FlowEnd | None = None


def settle(step: Step, result: Result, document: FlowDocument, mark: str) -> Settled:
    """What a step has come to with the result of its last action. Total."""
    match result:
        case Refused(reason):
            return Settled(FAILED, reason)
        case Unavailable(reason):
            return Settled(UNAVAILABLE if UNAVAILABLE in OUTCOMES[step.kind] else FAILED, reason)
        case TimedOut(heard):
            if step.expect is not None:
                return Settled(FAILED, heard or "was not heard in time")
            if step.wait_for is not None:
                return Settled(TIMEOUT, heard)
            return Settled(FAILED, "did not end in time")
        case Executed():
            return _executed(step, result, document, mark)
        case Heard(what, at_ms, detail):
            told = ", ".join(f"{name} {value}" for name, value in detail.items())
            return Settled(DONE, f"{what} at {at_ms} ms" + (f" ({told})" if told else ""))
        case Fetched(status, body, note) if step.request is not None:
            return _fetched(step.request.variable, status, body, note)
        case Streamed():
            return _streamed(step, result)
        case _:
            return Settled(DONE)


def _executed(step: Step, result: Executed, document: FlowDocument, mark: str) -> Settled:
    if step.kind in ("gather", "expect") and result.response in _UNHEARD:
        return Settled(FAILED, f"the node's recogniser or the prompt does not work: {result.response}")
    match step.kind:
        case "play":
            outcome = _play_outcome(result.response)
            return Settled(outcome, "" if outcome == DONE else f"{(step.play or '')[:80]!r}: {result.response}")
        case "speak" | "say":
            if wrong := media.unplayed(result):
                return Settled(FAILED, wrong)
            unheard = media.unspoken(result) if step.speak is not None else media.unsaid(result)
            return Settled(UNAVAILABLE, unheard) if unheard else Settled(DONE)
        case "gather" if step.gather is not None:
            return _UNASKED if _unasked(result, step.gather) else _gathered(result, step.gather, step)
        case "menu" if step.menu is not None:
            gather = plan.as_gather(step.menu)
            return _UNASKED if _unasked(result, gather) else _chosen(result, gather, step)
        case "record":
            return _recorded(step, result, document, mark)
        case "recording":
            link = plan.recording_link(document, plan.recording_path(document, mark, "call"))
            return _recording(step, result, link)
        case "transfer":
            end = FlowEnd(FlowOutcome.LEFT, step.id, "the channel went to the node's dialplan")
            return Settled(DONE, end=end)
        case "bridge":
            return _bridged(result, step.bridge.max if step.bridge is not None else 0.0)
        case "conference" if result.bounded and step.conference is not None:
            return Settled(DONE, _at_its_bound(step.conference.max))
        case "expect" if step.expect is not None:
            return _transcribed(step.expect, _understood(result.variables.get(plan.SPEECH_VARIABLE, "")) or "")
        case _:
            return Settled(DONE)


_UNASKED = Settled(FAILED, "the prompt could not be played: is the file, or the speech engine, there?")


def _unasked(result: Executed, gather: Gather) -> bool:
    """Without its prompt switch_ivr_read listens for no digits, and leaves no read_result (switch_ivr_play_say.c)."""
    return gather.speech is None and "read_result" not in result.variables


def _recording(step: Step, result: Executed, link: str) -> Settled:
    if step.recording == "start":
        if wrong := media.not_begun(result):
            return Settled(FAILED, wrong, {"call_recording": ""})
        return Settled(DONE, link, {"call_recording": link})
    cut = media.not_whole(result)
    if cut is None:
        return Settled(DONE, "nothing was being recorded")
    return Settled(FAILED, cut) if cut else Settled(DONE, link)


def _at_its_bound(seconds: float) -> str:
    return f"ended after its max of {seconds:g} s"


def _play_outcome(response: str) -> str:
    if response in media.PLAYED:
        return DONE
    return MISSING if response == "FILE NOT FOUND" else FAILED


def digits_of(result: Executed, step: Gather) -> str | None:
    """The digits, or None when none (or the wrong ones) came; the variable alone may be left from an earlier step.

    `read_result` is ``timeout`` for digits that a pause ended, though they are enough and match: FreeSWITCH's
    play_and_get_digits takes them (switch_ivr_play_say.c). Too few are a ``failure``.
    """
    digits = result.variables.get(plan.DIGITS_VARIABLE, "")
    if result.variables.get("read_result") not in ("success", "timeout") or not step.min <= len(digits) <= step.max:
        return None
    return digits if all(digit in "0123456789*#" for digit in digits) else None


def _gathered(result: Executed, gather: Gather, step: Step) -> Settled:
    if gather.speech is not None:
        words = _understood(result.variables.get(plan.SPEECH_VARIABLE, ""))
        detail = "" if gather.secret or words is None else words
        return Settled(TIMEOUT if words is None else DONE, detail, {gather.variable: words or ""})
    digits = digits_of(result, gather)
    detail = "****" if gather.secret and digits else digits or ""
    return Settled(TIMEOUT if digits is None else DONE, detail, {gather.variable: digits or ""})


def _understood(text: str) -> str | None:
    """A recogniser's words: plain text, or JSON or XML around them as engines give it.

    A key pressed instead comes as ``DIGIT: 5`` (switch_ivr_async.c) and stands for itself; a bare completion cause
    (MRCP) is nobody's words.
    """
    text = text.strip()[:MAX_TEXT].removeprefix("DIGIT: ")
    if text.startswith("Completion-Cause:"):
        return None
    if text.startswith("{"):
        try:
            body = json.loads(text)
        except ValueError:
            return None
        found = body.get("text") or body.get("transcript") if isinstance(body, dict) else None
        return str(found) if found else None
    if "<input" in text:
        # NLSML (W3C, Natural Language Semantics Markup Language): the words stand in <input …>words</input>.
        inner = text.partition("<input")[2].partition(">")[2].partition("</input>")[0].strip()
        return inner or None
    return text or None


def _transcribed(wanted: Expectation, words: str) -> Settled:
    hearing = expect.Hearing()
    if words:
        hearing.hear(expect.from_transcript(words))
    if expect.match(wanted, hearing) is not None:
        return Settled(DONE, words)
    return Settled(FAILED, f"no words like {wanted.transcript!r}; understood {words[:200]!r}")


def _chosen(result: Executed, gather: Gather, step: Step) -> Settled:
    assert step.menu is not None
    digits = digits_of(result, gather)
    variables = {step.menu.variable: digits or ""} if step.menu.variable is not None else {}
    if digits is None or digits not in step.menu.choices:
        return Settled(TIMEOUT, "no choice was made", variables)
    return Settled(DONE, digits, variables, goes_to=step.menu.choices[digits])


def _recorded(step: Step, result: Executed, document: FlowDocument, mark: str) -> Settled:
    assert step.record is not None
    length = media.recorded_ms(result)
    name = step.record.variable
    if length is None:
        return Settled(FAILED, f"FreeSWITCH recorded nothing: {media.WRITABLE}", {name: ""})
    if cut := media.cut_short(result):
        return Settled(FAILED, cut, {name: "", f"{name}_ms": length})
    if length < MIN_RECORDING_MS:
        return Settled("empty", "nothing was said", {name: "", f"{name}_ms": length})
    link = plan.recording_link(document, plan.recording_path(document, mark, step.id))
    return Settled(DONE, f"{length} ms: {link}", {name: link, f"{name}_ms": length})


def _bridged(result: Executed, bound_s: float) -> Settled:
    """By `originate_disposition` (trace flow_bridge_and_transfer): SUCCESS, or why nobody was reached.

    switch_ivr_originate.c itself writes "call accepted" for a leg that was reached.
    """
    disposition = result.variables.get("originate_disposition", "")
    if disposition in ("SUCCESS", "call accepted", ""):
        cause = result.variables.get("bridge_hangup_cause", "")
        return Settled(DONE, _at_its_bound(bound_s) if result.bounded else cause)
    if disposition in _BUSY:
        return Settled("busy", disposition)
    return Settled("no_answer" if disposition in _UNANSWERED else FAILED, disposition)


def _fetched(variable: str, status: int, body: Any, note: str) -> Settled:
    """The status decides; a body that cannot be used is null, and the detail says why."""
    variables = {variable: {"status": status, "body": body}}
    note = f"; {note}" if note else ""
    if 200 <= status < 300:
        return Settled(DONE, f"{status}{note}", variables)
    outcome = "refused" if 400 <= status < 500 else FAILED
    return Settled(outcome, f"the customer's system answered {status}{note}", variables)


def _streamed(step: Step, result: Streamed) -> Settled:
    variables = dict(result.variables)
    if result.hangup is not None:
        end = FlowEnd(FlowOutcome.FINISHED, step.id, "the bot hung up", result.hangup)
        return Settled(DONE, "the bot hung up", variables, end=end)
    if result.transfer is not None:
        end = FlowEnd(FlowOutcome.LEFT, step.id, f"the bot transferred the call to {result.transfer}")
        return Settled(DONE, end.reason, variables, end=end)
    if result.end is StreamEnd.GONE:
        return Settled("bot_gone", "the bot's WebSocket was closed", variables)
    bound = step.stream.max if step.stream is not None and result.end is StreamEnd.BOUND else None
    return Settled(DONE, _at_its_bound(bound) if bound is not None else "", variables)
