"""What each step asks of the channel: a step and the flow's variables into actions, done in order. Pure.

Arguments are made of allow-listed parts only (`flow.document.template`). Applications and their replies as recorded:
tests/traces flow_playback_and_break, flow_digits, flow_say_speak_record, flow_bridge_and_transfer. Every function
raises TemplateError for what cannot be put into words that FreeSWITCH may see.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from fsbridge.flow.document import parts
from fsbridge.flow.document.expectation import Expectation
from fsbridge.flow.document.model import FlowDocument, Step
from fsbridge.flow.document.speech import ZONE, Saying, sayable, speakable
from fsbridge.flow.document.template import (
    TemplateError,
    prompt,
    render,
    render_data,
    render_url,
    word,
)
from fsbridge.flow.document.work import ANY, Work
from fsbridge.flow.interpreter.actions import Action, Dial, Execute, Fetch, Listen, OpenStream, Tell

DIGITS_VARIABLE = "fsbridge_digits"
"""The channel variable that play_and_get_digits fills; our own name, so that no customer's name enters a command."""
SPEECH_VARIABLE = "detect_speech_result"
"""Where FreeSWITCH leaves what its recogniser made of the far end's words."""

SPEECH_S_PER_CHARACTER = 0.15
"""Slow speech; with MARGIN_S it bounds how long an engine may take before the step is given up."""
PLAY_LIMIT_S = 3_600.0
PROMPT_LIMIT_S = 360.0
MARGIN_S = 15.0
BRIDGE_MARGIN_S = 5.0
QUICK_S = 10.0
"""For applications that end at once."""
UNSET = "none"
"""What a variable that an application will set is set to before."""
_FORGOTTEN = " ".join(f"{name}={UNSET}" for name in ("record_ms", "record_samples", "record_file_size"))
BEEP = "tone_stream://%(250,50,1000)"
QUIET = "silence_stream://250"

_SAYINGS = {
    Saying.NUMBER: "NUMBER pronounced",
    Saying.DIGITS: "NUMBER iterated",
    Saying.MONEY: "CURRENCY pronounced",
    Saying.DATE: "CURRENT_DATE pronounced",
    Saying.TIME: "CURRENT_TIME pronounced",
    Saying.SPELLED: "NAME_SPELLED pronounced",
}
_EXTENSION = re.compile(r"[A-Za-z0-9+*#_.-]{1,64}")
_ROOM = re.compile(r"[A-Za-z0-9_-]{1,40}")
_DTMF = re.compile(r"[0-9A-D*#wW]{1,100}")


def actions(
    step: Step, document: FlowDocument, variables: Mapping[str, Any], mark: str, work: Work = ANY
) -> tuple[Action, ...]:
    """What the step asks for; `mark` makes its recordings' names its own. The last action's result is the step's.

    May raise OutOfWork for the data of requests, events and bots.
    """
    match step:
        case Step(play=str(source)):
            return (_playback(prompt(source, variables, document.defaults.prompts)),)
        case Step(speak=parts.Speak() as speak):
            return _speak(speak, document, variables)
        case Step(say=parts.Say() as say):
            return _say(say, document, variables)
        case Step(pause=float(length)):
            # Played, so that media keeps flowing to the far end.
            return (Execute("playback", f"silence_stream://{_ms(length)}", length + MARGIN_S),)
        case Step(gather=parts.Gather() as gather):
            return _gather(gather, document, variables)
        case Step(menu=parts.Menu() as menu):
            return _gather(as_gather(menu), document, variables)
        case Step(record=parts.Record() as record):
            return _record(record, recording_path(document, mark, step.id))
        case Step(recording=str(word_)):
            return _recording(word_, recording_path(document, mark, "call"))
        case Step(wait_for=parts.WaitFor() as wait):
            return (Listen(_awaited(wait), wait.timeout),)
        case Step(expect=Expectation(transcript=str()) as expectation):
            return (_understand(expectation.timeout, document),)
        case Step(expect=Expectation() as expectation):
            return (Listen(expectation, expectation.timeout),)
        case Step(request=parts.Request() as request):
            return (_fetch(request, variables, work),)
        case Step(bridge=parts.Bridge() as bridge):
            return _bridge(bridge, variables)
        case Step(transfer=parts.Transfer() as transfer):
            extension = word(render(transfer.extension, variables), _EXTENSION, "extension")
            if not document.defaults.leads(transfer.context, transfer.dialplan, extension):
                raise TemplateError(
                    f"extension {extension!r} of context {transfer.context!r} is closed to this organization"
                )
            return (Execute("transfer", f"{extension} {transfer.dialplan} {transfer.context}", QUICK_S),)
        case Step(conference=parts.Conference() as conference):
            room = word(render(conference.room, variables), _ROOM, "room")
            # The whole id: rooms are the organization's own.
            org = str(variables.get("org_id", ""))
            return (Execute("conference", f"{org}-{room}@{conference.profile}", conference.max, leaves=True),)
        case Step(send_dtmf=parts.SendDtmf() as dtmf):
            digits = word(render(dtmf.digits, variables), _DTMF, "digits")
            return (Execute("send_dtmf", f"{digits}@{dtmf.duration}", QUICK_S + len(digits)),)
        case Step(stream=parts.Stream() as stream):
            metadata = render_data(stream.metadata, variables, work)
            url = render_url(stream.url, variables, ("wss", "ws"))
            return (OpenStream(url, stream.rate, metadata, stream.connect_timeout, stream.max),)
        case Step(notify=parts.Notify() as notify):
            return (Tell(notify.name, render_data(notify.data, variables, work)),)
        case _:
            raise AssertionError(f"a {step.kind} step asks for nothing")


def as_gather(menu: parts.Menu) -> parts.Gather:
    """A menu is a question whose answer is one of its choices."""
    lengths = [len(digits) for digits in menu.choices]
    pattern = "|".join(re.sub(r"([*])", r"[\1]", digits) for digits in menu.choices)
    gather = parts.Gather(
        variable=menu.variable or "choice",
        min=min(lengths),
        max=max(lengths),
        prompt=menu.prompt,
        speak=menu.speak,
        invalid=menu.invalid,
        timeout=menu.timeout,
        retries=menu.retries,
        terminators="" if any("#" in digits for digits in menu.choices) else "#",
    )
    return gather.model_copy(update={"pattern": pattern})


def recording_path(document: FlowDocument, mark: str, name: str) -> str:
    """Where a recording goes on the node."""
    folder = document.defaults.recordings_dir
    if folder is None:
        raise TemplateError("no recordings are kept: set flows.recordings_dir to a folder on the node")
    return f"{folder.rstrip('/')}/{mark}-{name}.wav"


def recording_link(document: FlowDocument, path: str) -> str:
    """How a customer gets at a recording: its URL where the configuration has a base for them, else its path."""
    base = document.defaults.recordings_url
    return f"{base.rstrip('/')}/{path.rpartition('/')[2]}" if base is not None else path


def _ms(seconds: float) -> int:
    """Whole milliseconds, at least one: of nought FreeSWITCH makes "for ever"."""
    return max(1, round(seconds * 1000))


def _playback(source: str) -> Execute:
    return Execute("playback", source, PLAY_LIMIT_S)


def _speak(step: parts.Speak, document: FlowDocument, variables: Mapping[str, Any]) -> tuple[Action, ...]:
    """The completion of the first is when the second begins: how long it takes tells whether anything was spoken."""
    engine, voice, text = _voiced(step, document, variables)
    speak = Execute("speak", f"{engine}|{voice}|{text}", MARGIN_S + len(text) * SPEECH_S_PER_CHARACTER)
    return (_voice(engine, voice), speak)


def _voice(engine: str, voice: str) -> Execute:
    return Execute("multiset", f"tts_engine={engine} tts_voice={voice}", QUICK_S)


def _voiced(step: parts.Speak, document: FlowDocument, variables: Mapping[str, Any]) -> tuple[str, str, str]:
    """Engine, voice and text: the step's, else the flow's, else the configuration's."""
    engine = step.engine or document.body.engine or document.defaults.engine
    voice = step.voice or document.body.voice or document.defaults.voice
    return engine, voice, speakable(render(step.text, variables), document.body.language)


def _say(step: parts.Say, document: FlowDocument, variables: Mapping[str, Any]) -> tuple[Action, ...]:
    """`say <language> <type> <method> <value>`; what it leaves in playback_ms tells whether anything was heard."""
    value = sayable(step.kind, render(step.value, variables))
    language = (step.language or document.body.language)[:2]
    zone = f" timezone={ZONE}" if step.kind in (Saying.DATE, Saying.TIME) else ""
    prepare = Execute("multiset", f"playback_ms={UNSET}{zone}", QUICK_S)
    return (prepare, Execute("say", f"{language} {_SAYINGS[step.kind]} {value}", MARGIN_S + len(value) * 2))


def _gather(step: parts.Gather, document: FlowDocument, variables: Mapping[str, Any]) -> tuple[Action, ...]:
    if step.speech is not None:
        return _recognise(step, step.speech, document, variables)
    prepare, first = _asked(step, document, variables)
    invalid = prompt(step.invalid or QUIET, variables, document.defaults.prompts)
    tries = step.retries + 1
    timeout_ms, digit_ms = _ms(step.timeout), _ms(step.digit_timeout)
    # A single dash would be a terminator; "none" is FreeSWITCH's word for no terminator.
    words = (step.min, step.max, tries, timeout_ms, step.terminators or "none", first, invalid, DIGITS_VARIABLE)
    deadline = tries * (PROMPT_LIMIT_S + step.timeout + step.max * step.digit_timeout) + MARGIN_S
    pattern = f"^({step.pattern})$" if step.pattern is not None else r"^[0-9*#]+$"
    return (*prepare, Execute("play_and_get_digits", " ".join(map(str, (*words, pattern, digit_ms))), deadline))


def _asked(
    step: parts.Prompted, document: FlowDocument, variables: Mapping[str, Any]
) -> tuple[tuple[Action, ...], str]:
    """What asks, as an argument, and what must be set before it.

    `say:<text>` with the engine in channel variables is read alike by FreeSWITCH's old and new ways of splitting it,
    as long as the text has no colon.
    """
    if step.speak is None:
        return (), prompt(step.prompt or QUIET, variables, document.defaults.prompts)
    engine, voice, text = _voiced(step.speak, document, variables)
    return (_voice(engine, voice),), f"'say:{' '.join(text.replace(':', ' ').split())}'"


def _recognise(
    step: parts.Gather, grammar: parts.Grammar, document: FlowDocument, variables: Mapping[str, Any]
) -> tuple[Action, ...]:
    """`play_and_detect_speech <file> detect:<engine> {…}<grammar>`."""
    # Its file is not read as play_and_get_digits reads one, so words are spoken before it.
    prepare = _speak(step.speak, document, variables) if step.speak is not None else ()
    first = prompt(step.prompt or QUIET, variables, document.defaults.prompts)
    arg = f"{first} {_recogniser(step.timeout, document, grammar)}"
    return (*prepare, Execute("play_and_detect_speech", arg, PROMPT_LIMIT_S + step.timeout + 60.0))


def _understand(seconds: float, document: FlowDocument) -> Execute:
    """Listen in silence for what somebody says."""
    return Execute("play_and_detect_speech", f"{QUIET} {_recogniser(seconds, document)}", seconds + 60.0)


def _recogniser(seconds: float, document: FlowDocument, grammar: parts.Grammar | None = None) -> str:
    engine = (grammar.engine if grammar is not None else None) or document.defaults.asr_engine
    text = (grammar.grammar if grammar is not None else None) or document.defaults.asr_grammar
    if engine is None or text is None:
        raise TemplateError("no speech recogniser is configured: set flows.asr_engine and flows.asr_grammar")
    # The application starts the timers itself once the prompt has ended (switch_ivr_async.c); true would count it in.
    return f"detect:{engine} {{no-input-timeout={_ms(seconds)},start-input-timers=false}}{text}"


def _record(step: parts.Record, path: str) -> tuple[Action, ...]:
    """`record <path> <limit s> <threshold> <silence s>`, after a beep if one is wanted."""
    terminators = step.terminators or "none"
    arg = f"{path} {math.ceil(step.max)} {step.threshold} {math.ceil(step.silence)}"
    beep = (Execute("playback", BEEP, MARGIN_S),) if step.beep else ()
    # What is left of an earlier recording must not stand for this one, should it fail.
    prepare = Execute("multiset", f"playback_terminators={terminators} {_FORGOTTEN}", QUICK_S)
    return (prepare, *beep, Execute("record", arg, step.max + MARGIN_S))


def _recording(word_: str, path: str) -> tuple[Action, ...]:
    """The whole call: what the switch says of it, at the start and at the end, is in record_completion_cause."""
    app = "record_session" if word_ == "start" else "stop_record_session"
    forget = Execute("multiset", f"record_completion_cause={UNSET} {_FORGOTTEN}", QUICK_S)
    return (forget, Execute(app, path, QUICK_S))


def _awaited(wait: parts.WaitFor) -> Expectation:
    dtmf = wait.dtmf if isinstance(wait.dtmf, str) else None
    return Expectation(
        beep=wait.beep,
        greeting_end=wait.greeting_end,
        voice=wait.speech,
        silence=_ms(wait.silence) if wait.silence is not None else None,
        dtmf=dtmf,
        any_dtmf=True if wait.dtmf is True else None,
        timeout=wait.timeout,
    )


def _fetch(step: parts.Request, variables: Mapping[str, Any], work: Work) -> Fetch:
    headers = {n: _header(render(v, variables)) for n, v in step.headers.items() if isinstance(v, str)}
    secrets = {n: v.secret for n, v in step.headers.items() if isinstance(v, parts.Secret)}
    url = render_url(step.url, variables, ("https", "http"))
    return Fetch(
        step.method, url, headers, secrets, render_data(step.body, variables, work), step.retries, step.timeout
    )


def _header(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise TemplateError("a header may hold printable ASCII only")
    return value


def _bridge(step: parts.Bridge, variables: Mapping[str, Any]) -> tuple[Action, ...]:
    """A bridge that fails, or whose other side hangs up, must leave the channel to the flow.

    Early media would count as an answer: nobody's ringing would be bounded by `timeout`, and `max` would begin with it.
    """
    stay = Execute("multiset", "continue_on_fail=true hangup_after_bridge=false ignore_early_media=true", QUICK_S)
    caller = render(step.caller_id, variables) if step.caller_id is not None else None
    deadline = step.timeout + step.max + BRIDGE_MARGIN_S
    return (stay, Dial(render(step.to, variables), step.trunk, caller, step.timeout, step.max, deadline))
