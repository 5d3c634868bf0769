"""What an interpreter asks for and what it is told back, and how steps become FreeSWITCH applications. Pure.

Arguments are made of allow-listed parts only (`flow.template`). Applications and their replies as recorded:
tests/traces flow_playback_and_break, flow_digits, flow_say_speak_record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from fsbridge.flow.model import FlowDocument, Gather, Speak
from fsbridge.flow.template import prompt, render, speakable

DIGITS_VARIABLE = "fsbridge_digits"
"""The channel variable that play_and_get_digits fills; our own name, so that no customer's name enters a command."""

SPEECH_S_PER_CHARACTER = 0.15
"""Slow speech; with MARGIN_S it bounds how long an engine may take before the step is given up."""
PLAY_LIMIT_S = 3_600.0
MARGIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Execute:
    """Run an application on the channel; give it up after `deadline_s`."""

    app: str
    arg: str
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    seconds: float


Action = Execute | Wait


@dataclass(frozen=True, slots=True)
class Executed:
    """The application ended: its Application-Response and the channel's variables then."""

    response: str
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Waited:
    """The time has passed."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The application did not end by its deadline."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The application could not be started."""

    reason: str


Result = Executed | Waited | TimedOut | Refused


class FlowOutcome(StrEnum):
    """How a flow ends."""

    FINISHED = "finished"
    BROKE = "broke"


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """The end: in which step, why, and the hang-up cause that the flow wants."""

    outcome: FlowOutcome
    step: str | None = None
    reason: str = ""
    cause: str = "NORMAL_CLEARING"


def play(source: str, document: FlowDocument, variables: Mapping[str, Any]) -> Execute:
    """`playback`. Raises TemplateError."""
    return Execute("playback", prompt(source, variables, document.defaults.prompts_dir), PLAY_LIMIT_S)


def speak(step: Speak, document: FlowDocument, variables: Mapping[str, Any]) -> Execute:
    """`speak <engine>|<voice>|<text>`; voice and engine: the step's, else the flow's, else the configuration's.

    Raises TemplateError.
    """
    text = speakable(render(step.text, variables))
    engine = step.engine or document.body.engine or document.defaults.engine
    voice = step.voice or document.body.voice or document.defaults.voice
    return Execute("speak", f"{engine}|{voice}|{text}", MARGIN_S + len(text) * SPEECH_S_PER_CHARACTER)


def pause(seconds: float) -> Execute:
    """Silence that is played, so that media keeps flowing to the far end."""
    return Execute("playback", f"silence_stream://{round(seconds * 1000)}", seconds + MARGIN_S)


def gather(step: Gather, document: FlowDocument, variables: Mapping[str, Any]) -> Execute:
    """`play_and_get_digits`: min, max, tries, timeout, terminators, file, invalid file, variable, regex, digit timeout.

    Raises TemplateError.
    """
    prompts_dir = document.defaults.prompts_dir
    first = prompt(step.prompt or "silence_stream://250", variables, prompts_dir)
    invalid = prompt(step.invalid or "silence_stream://250", variables, prompts_dir)
    tries = step.retries + 1
    timeout_ms, digit_ms = round(step.timeout * 1000), round(step.digit_timeout * 1000)
    # A single dash would be a terminator; "none" is FreeSWITCH's word for no terminator.
    parts = (step.min, step.max, tries, timeout_ms, step.terminators or "none", first, invalid, DIGITS_VARIABLE)
    deadline = tries * (PLAY_LIMIT_S / 10 + step.timeout + step.max * step.digit_timeout) + MARGIN_S
    return Execute("play_and_get_digits", " ".join(map(str, (*parts, step.pattern or r"\d+", digit_ms))), deadline)


def play_outcome(result: Executed) -> str:
    """`done`, `missing` or `failed` of a playback."""
    match result.response:
        case "FILE PLAYED" | "_none_" | "":
            return "done"
        case "FILE NOT FOUND":
            return "missing"
        case _:
            return "failed"


def gathered(result: Executed, step: Gather) -> str | None:
    """The digits, or None when none (or the wrong ones) came; the variable alone may be left from an earlier step."""
    digits = result.variables.get(DIGITS_VARIABLE, "")
    if result.variables.get("read_result") != "success" or not step.min <= len(digits) <= step.max:
        return None
    return digits if all(digit in "0123456789*#" for digit in digits) else None
