"""A voice bot's part in a call: the commands on its WebSocket, what they do to the channel, and when it is over. Pure.

The bot hears the far end's audio (mod_audio_fork) and sends text frames ``{"type":"transcription","data":COMMAND}``:

    {"command":"play","file":"welcome.wav"}   or a tone, silence or http(s) URL, as in a flow's `play`
    {"command":"speak","text":"Hello"}        by the flow's engine and voice
    {"command":"clear"}                       stop what is playing and forget what waits
    {"command":"dtmf","digits":"1#"}          to the far end
    {"command":"set","variables":{…}}         variables of the flow
    {"command":"transfer","extension":"100"} · {"command":"hangup","cause":"NORMAL_CLEARING"} · {"command":"done"}

What plays is played in order; the bot is told `played` of each, or why it was not. Commands are data of another house:
what is not allowed is told to the bot and left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fsbridge.esl.causes import CAUSES
from fsbridge.flow.document import parts
from fsbridge.flow.document.model import FlowDocument, Step
from fsbridge.flow.document.template import MAX_TEXT, TemplateError
from fsbridge.flow.interpreter import media, plan
from fsbridge.flow.interpreter.actions import Execute, Executed, Refused, Streamed, StreamEnd

MAX_WAITING = 50
"""Executions that may wait: a bot that floods loses its newest, and is told so."""
MAX_VARIABLES = 100
MAX_COMMAND = 20_000


@dataclass(frozen=True, slots=True)
class Break:
    """Stop what is playing."""


@dataclass(frozen=True, slots=True)
class Say:
    """A message to the bot."""

    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finish:
    """The bot's part is over."""

    result: Streamed


@dataclass(frozen=True, slots=True)
class Depart:
    """Transfer the channel, then the bot's part is over."""

    execute: Execute
    result: Streamed


Effect = Execute | Break | Say | Finish | Depart


@dataclass(frozen=True, slots=True)
class Part:
    """How far a bot's part has come; `variables` are those that it has set.

    `playing` is in flight, `then` what belongs to it and follows, `waiting` what was asked for after it.
    """

    document: FlowDocument
    step: parts.Stream
    known: Mapping[str, Any]
    variables: Mapping[str, Any]
    playing: Execute | None = None
    then: tuple[Execute, ...] = ()
    waiting: tuple[tuple[Execute, ...], ...] = ()


def begin(document: FlowDocument, step: parts.Stream, known: Mapping[str, Any]) -> Part:
    """The bot has connected; `known` are the flow's variables."""
    return Part(document, step, known, {})


def hear(part: Part, body: str) -> tuple[Part, tuple[Effect, ...]]:
    """One text frame of the bot. Total: what cannot be done is told to the bot."""
    try:
        return _obey(part, _command(body))
    except (TemplateError, ValueError) as error:
        return part, (Say({"event": "error", "message": str(error)[:300]}),)


def digit(part: Part, pressed: str) -> tuple[Part, tuple[Effect, ...]]:
    """The far end pressed a key."""
    return part, (Say({"event": "dtmf", "digit": pressed}),)


def executed(part: Part, result: Executed | Refused) -> tuple[Part, tuple[Effect, ...]]:
    """What was playing has ended, or could not be begun: the bot is told which, and the next begins."""
    if part.then and isinstance(result, Executed):
        first, *rest = part.then
        return replace(part, playing=first, then=tuple(rest)), (first,)
    told = Say(_as_told(part.playing, result))
    if part.waiting:
        (first, *rest), *waiting = part.waiting
        return replace(part, playing=first, then=tuple(rest), waiting=tuple(waiting)), (told, first)
    return replace(part, playing=None, then=()), (told,)


def _as_told(playing: Execute | None, result: Executed | Refused) -> Mapping[str, Any]:
    if isinstance(result, Refused):
        wrong = result.reason
    else:
        spoken = playing is not None and playing.app == "speak"
        wrong = media.unplayed(result) or (media.unspoken(result) if spoken else "")
    if not wrong:
        return {"event": "played"}
    what = f"{playing.app} {playing.arg[:100]}: " if playing is not None else ""
    return {"event": "error", "message": f"{what}{wrong}"[:300]}


def gone(part: Part) -> Finish:
    """The bot's WebSocket was closed."""
    return Finish(Streamed(StreamEnd.GONE, part.variables))


def _command(body: str) -> Mapping[str, Any]:
    if len(body) > MAX_COMMAND:
        raise ValueError(f"a command has at most {MAX_COMMAND} characters")
    try:
        command = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("a command is a JSON object") from error
    if isinstance(command, dict) and command.get("type") == "json" and isinstance(command.get("data"), dict):
        command = command["data"]  # newer builds of mod_audio_fork pass a `json` frame on whole
    if not isinstance(command, dict) or not isinstance(command.get("command"), str):
        raise ValueError('a command is a JSON object with the key "command"')
    return command


def _obey(part: Part, command: Mapping[str, Any]) -> tuple[Part, tuple[Effect, ...]]:
    match command["command"]:
        case "play":
            return _enqueue(part, Step(id="bot", play=_text(command, "file")))
        case "speak":
            return _enqueue(part, Step(id="bot", speak=parts.Speak(text=_text(command, "text"))))
        case "dtmf":
            return _enqueue(part, Step(id="bot", send_dtmf=parts.SendDtmf(digits=_text(command, "digits"))))
        case "clear":
            return replace(part, waiting=(), then=()), (Break(),) if part.playing is not None else ()
        case "set":
            return _set(part, command.get("variables")), ()
        case "transfer":
            return part, (_depart(part, _text(command, "extension")),)
        case "hangup":
            cause = command.get("cause", "NORMAL_CLEARING")
            if cause not in CAUSES:
                raise ValueError("cause is no hang-up cause of FreeSWITCH")
            return part, (Finish(Streamed(StreamEnd.DONE, part.variables, hangup=cause)),)
        case "done":
            return part, (Finish(Streamed(StreamEnd.DONE, part.variables)),)
        case other:
            known = "play, speak, clear, dtmf, set, transfer, hangup and done"
            raise ValueError(f"{other[:40]!r} is no command; commands are {known}")


def _enqueue(part: Part, step: Step) -> tuple[Part, tuple[Effect, ...]]:
    asked = plan.actions(step, part.document, {**part.known, **part.variables}, "")
    executes = tuple(each for each in asked if isinstance(each, Execute))
    if part.playing is None:
        return replace(part, playing=executes[0], then=executes[1:]), executes[:1]
    if len(part.waiting) >= MAX_WAITING:
        raise ValueError(f"{MAX_WAITING} commands wait already")
    return replace(part, waiting=(*part.waiting, executes)), ()


def _depart(part: Part, extension: str) -> Depart:
    target = parts.Transfer(extension=extension, context=part.step.context)
    (execute,) = plan.actions(Step(id="bot", transfer=target), part.document, {}, "")
    assert isinstance(execute, Execute)
    return Depart(execute, Streamed(StreamEnd.DONE, part.variables, transfer=extension))


def _set(part: Part, values: Any) -> Part:
    if not isinstance(values, dict) or not all(isinstance(n, str) and n.isidentifier() for n in values):
        raise ValueError("variables is an object whose keys are names")
    if len({**part.variables, **values}) > MAX_VARIABLES:
        raise ValueError(f"at most {MAX_VARIABLES} variables may be set")
    return replace(part, variables={**part.variables, **values})


def _text(command: Mapping[str, Any], name: str) -> str:
    value = command.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise ValueError(f"{name} must be text")
    if "{{" in value:
        raise ValueError(f"{name}: a bot's words are no template")
    return value
