"""What flows ask of a node: modules, sounds, files, rooms, contexts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fsbridge.doctor.findings import Level
from fsbridge.flow.document import template
from fsbridge.flow.document.model import FlowDocument, Step
from fsbridge.flow.document.parts import Prompted, Speak
from fsbridge.settings.whole import Settings

WEB = "http_cache://"
FILE_MODULES = {"mp3": "mod_shout", "pcmu": "mod_native_file", "pcma": "mod_native_file", "g729": "mod_native_file"}
"""Modules that play what mod_sndfile does not, by the ending of the file's name."""
FLITE_VOICES = ("awb", "kal", "kal16", "rms", "slt")
"""All that mod_flite has; with any other name it says nothing, and no event tells of it."""


@dataclass(frozen=True, slots=True)
class FlowNeeds:
    """What the flows ask of a node.

    Kinds of steps, engines that they speak with, values that they read out (language and kind), recognisers that they
    listen with, files that they play (as FreeSWITCH is told them, so a relative one is below its sounds), prompts from
    the web, profiles of conferences, contexts of transfers.
    """

    kinds: frozenset[str] = frozenset()
    engines: frozenset[str] = frozenset()
    web_prompts: bool = False
    sayings: frozenset[tuple[str, str]] = frozenset()
    recognisers: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    rooms: frozenset[str] = frozenset()
    contexts: frozenset[str] = frozenset()

    @property
    def languages(self) -> list[str]:
        """Those that values are read out in."""
        return sorted({language for language, _ in self.sayings})


def flow_needs(documents: Iterable[FlowDocument]) -> FlowNeeds:
    """What these documents need of a node. What a call's variables decide is not known before."""
    kinds, engines, recognisers, rooms = set[str](), set[str](), set[str](), set[str]()
    sayings, played, contexts = set[tuple[str, str]](), set[str](), set[str]()
    for document in documents:
        for step in document.body.steps:
            kinds.add(step.kind)
            engines |= {engine for engine, _ in voices(step, document)}
            if step.say is not None:
                sayings.add(((step.say.language or document.body.language)[:2], str(step.say.kind)))
            recognisers |= {engine for engine in (_recogniser(step, document),) if engine is not None}
            played |= set(_played(step, document))
            if step.conference is not None:
                rooms.add(step.conference.profile)
            if step.transfer is not None:
                contexts.add(step.transfer.context)
    files = {source for source in played if "://" not in source}
    return FlowNeeds(
        kinds=frozenset(kinds),
        engines=frozenset(engines),
        web_prompts=any(source.startswith(WEB) for source in played),
        sayings=frozenset(sayings),
        recognisers=frozenset(recognisers),
        files=frozenset(files),
        rooms=frozenset(rooms),
        contexts=frozenset(contexts),
    )


def wanted_modules(settings: Settings, needs: FlowNeeds) -> dict[tuple[str, ...], tuple[str, Level]]:
    """Modules (several: any of them will do), what fails without them, and how much that matters here."""

    def used(by_flows: bool) -> Level:
        return Level.PROBLEM if by_flows else Level.WARNING

    files = bool(needs.kinds & {"record", "recording"} or needs.files)
    tones = bool(needs.kinds & {"pause", "gather", "menu", "record"})
    wanted: dict[tuple[str, ...], tuple[str, Level]] = {
        ("mod_sofia",): ("no SIP, no calls", Level.PROBLEM),
        ("mod_dptools",): ("no flow step can run", Level.PROBLEM),
        ("mod_commands",): ("calls can be neither placed nor ended", Level.PROBLEM),
        ("mod_audio_fork",): ("no answer can be analysed, no flow can listen, no voice bot hears", Level.PROBLEM),
        ("mod_hash",): ("a call that ends while fsbridge is away loses its hang-up cause", Level.WARNING),
        ("mod_sndfile",): ("audio files can be neither played nor recorded", used(files)),
        ("mod_tone_stream",): ("pauses, tones and beeps cannot be played", used(tones)),
    }
    for engine in sorted({settings.flows.tts_engine, *needs.engines}):
        wanted[(f"mod_{engine.partition(':')[0]}",)] = (
            f"nothing can be spoken with {engine}",
            used(engine in needs.engines),
        )
    for language in needs.languages:
        wanted[(f"mod_say_{language}",)] = (f"`say` steps fail in {language}", Level.PROBLEM)
    own = {settings.flows.asr_engine} if settings.flows.asr_engine is not None else set()
    for engine in sorted(own | needs.recognisers):
        # An engine's word is often its module's, but need not be: unimrcp's profiles have names of their own.
        wanted[tuple(dict.fromkeys((f"mod_{engine.partition(':')[0]}", "mod_unimrcp")))] = (
            f"speech cannot be recognised with {engine}",
            used(engine in needs.recognisers),
        )
    for ending in sorted({file.rpartition(".")[2].lower() for file in needs.files} & set(FILE_MODULES)):
        wanted[(FILE_MODULES[ending],)] = (f"files in .{ending} cannot be played", Level.PROBLEM)
    if needs.web_prompts:
        wanted[("mod_http_cache",)] = ("prompts from http(s) URLs cannot be played", Level.PROBLEM)
    if "conference" in needs.kinds:
        wanted[("mod_conference",)] = ("`conference` steps fail", Level.PROBLEM)
    if "transfer" in needs.kinds:
        wanted[("mod_dialplan_xml",)] = ("`transfer` steps lead nowhere", Level.PROBLEM)
    return wanted


def voices(step: Step, document: FlowDocument) -> Iterator[tuple[str, str]]:
    """Engine and voice of what a step says by text to speech, as the step is going to take them."""
    body, defaults = document.body, document.defaults
    for spoken in _spoken(step):
        yield spoken.engine or body.engine or defaults.engine, spoken.voice or body.voice or defaults.voice


def _recogniser(step: Step, document: FlowDocument) -> str | None:
    if step.expect is not None and step.expect.transcript is not None:
        return document.defaults.asr_engine
    if step.gather is None or step.gather.speech is None:
        return None
    return step.gather.speech.engine or document.defaults.asr_engine


def _asking(step: Step) -> Iterator[Prompted]:
    yield from (asks for asks in (step.gather, step.menu) if asks is not None)


def _spoken(step: Step) -> Iterator[Speak]:
    if step.speak is not None:
        yield step.speak
    yield from (asks.speak for asks in _asking(step) if asks.speak is not None)


def _played(step: Step, document: FlowDocument) -> Iterator[str]:
    """What a step plays, as FreeSWITCH is told it, where that is known before a call."""
    written = [step.play] if step.play is not None else []
    for asks in _asking(step):
        written += [source for source in (asks.prompt, asks.invalid) if source is not None]
    for source in written:
        if "{{" in source:
            continue
        try:
            yield template.playable(source, document.defaults.prompts)
        except template.TemplateError:
            continue  # the document's own fault, told as such
