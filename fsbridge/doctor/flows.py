"""The doctor on flows: whether each document can be read and has what it names, and what all of them ask of a node.

Files are read here (through `flow.library.library`, as the service does) and looked for; no node is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fsbridge.doctor.findings import Level, Notes
from fsbridge.flow.document.errors import FlowError, FlowInvalid
from fsbridge.flow.document.model import FlowDocument, Step
from fsbridge.flow.document.parts import Prompted, Secret, Speak
from fsbridge.flow.library.files import SUFFIXES
from fsbridge.flow.library.library import FlowLibrary
from fsbridge.model.ids import FlowId, OrgId, is_uuid
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings

WEB = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class FlowNeeds:
    """What the flows ask of a node.

    Kinds of steps, engines that they speak with, languages that they read values out in, recognisers that they
    listen with, prompts from the web.
    """

    kinds: frozenset[str] = frozenset()
    engines: frozenset[str] = frozenset()
    web_prompts: bool = False
    sayings: frozenset[str] = frozenset()
    recognisers: frozenset[str] = frozenset()


def examine_flows(settings: Settings) -> tuple[Notes, FlowNeeds]:
    """Every document of every organization as the service would read it, and what they need of a node."""
    notes = Notes("configuration")
    library = FlowLibrary(settings.flows)
    documents: list[FlowDocument] = []
    folder = settings.flows.dir
    for org in settings.orgs:
        check = f"flows of {org.name or org.id}"
        names = sorted(path for path in (folder / org.id).glob("*") if path.suffix in SUFFIXES)
        good = 0
        for path in names:
            if not is_uuid(path.stem):
                notes.warn(check, f"{path.name} can never be called", "its name must be a UUID and .yaml")
                continue
            try:
                document = library.find(OrgId(org.id), FlowId(path.stem))
            except FlowInvalid as error:
                more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
                notes.problem(check, error.problems[0] + more, f"`fsbridge flows check {path}`")
            except FlowError as error:
                notes.problem(check, str(error), "the file's permissions")
            else:
                documents.append(document)
                good += 1
                for step in document.body.steps:
                    for text, change in _lacks(step, org, settings):
                        notes.problem(check, f"{path.name}, step {step.id}: {text}", change)
        if good:
            notes.ok(check, f"{good} valid")
        elif not names:
            notes.warn(check, f"none in {folder / org.id}", f"{folder / org.id}/<flow UUID>.yaml")
    _inbound(notes, settings, library)
    return notes, flow_needs(documents)


def flow_needs(documents: Iterable[FlowDocument]) -> FlowNeeds:
    """What these documents need of a node."""
    kinds, engines, sayings, recognisers, web = set(), set(), set(), set(), False
    for document in documents:
        for step in document.body.steps:
            kinds.add(step.kind)
            engines |= {spoken.engine or document.body.engine or document.defaults.engine for spoken in _spoken(step)}
            if step.say is not None:
                sayings.add((step.say.language or document.body.language)[:2])
            recognisers |= {engine for engine in (_recogniser(step, document),) if engine is not None}
            web = web or any(source.startswith(WEB) for source in _sources(step))
    return FlowNeeds(frozenset(kinds), frozenset(engines), web, frozenset(sayings), frozenset(recognisers))


def wanted_modules(settings: Settings, needs: FlowNeeds) -> dict[tuple[str, ...], tuple[str, Level]]:
    """Modules (several: any of them will do), what fails without them, and how much that matters here."""

    def used(by_flows: bool) -> Level:
        return Level.PROBLEM if by_flows else Level.WARNING

    files = bool(needs.kinds & {"play", "record", "recording"})
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
        wanted[(f"mod_{engine}",)] = (f"nothing can be spoken with {engine}", used(engine in needs.engines))
    for language in sorted(needs.sayings):
        wanted[(f"mod_say_{language}",)] = (f"`say` steps fail in {language}", Level.PROBLEM)
    own = {settings.flows.asr_engine} if settings.flows.asr_engine is not None else set()
    for engine in sorted(own | needs.recognisers):
        # An engine's word is often its module's, but need not be: unimrcp's profiles have names of their own.
        wanted[tuple(dict.fromkeys((f"mod_{engine.partition(':')[0]}", "mod_unimrcp")))] = (
            f"speech cannot be recognised with {engine}",
            used(engine in needs.recognisers),
        )
    if needs.web_prompts:
        wanted[("mod_http_cache",)] = ("prompts from http(s) URLs cannot be played", Level.PROBLEM)
    if "conference" in needs.kinds:
        wanted[("mod_conference",)] = ("`conference` steps fail", Level.PROBLEM)
    if "transfer" in needs.kinds:
        wanted[("mod_dialplan_xml",)] = ("`transfer` steps lead nowhere", Level.PROBLEM)
    return wanted


def _lacks(step: Step, org: OrgSettings, settings: Settings) -> Iterator[tuple[str, str]]:
    """What a step names or needs that the configuration does not have, and what to change."""
    flows = settings.flows
    if step.request is not None:
        for secret in {each.secret for each in step.request.headers.values() if isinstance(each, Secret)}:
            if secret not in org.secrets:
                yield f"there is no secret {secret!r}", f"orgs.secrets.{secret} of {org.name or org.id}"
    if step.bridge is not None and step.bridge.trunk not in (None, *(trunk.name for trunk in settings.trunks)):
        known = ", ".join(trunk.name for trunk in settings.trunks)
        yield f"there is no trunk {step.bridge.trunk!r}", f"the step's trunk: {known}"
    if step.expect is not None and step.expect.audio_like is not None:
        file: Path = flows.reference_audio / step.expect.audio_like.file
        if not file.is_file():
            yield f"there is no recording {file}", "put it there, or set flows.audio_dir"


def _inbound(notes: Notes, settings: Settings, library: FlowLibrary) -> None:
    """Whether every number leads to a flow that can run."""
    check, good = "calls that come in", 0
    for place, entry in enumerate(settings.inbound):
        try:
            library.find(OrgId(entry.org), FlowId(entry.flow))
            good += 1
        except FlowError as error:
            what = entry.number or entry.key
            notes.problem(check, f"calls to {what} would be refused: {error}", f"inbound.{place}.flow, or the flow")
    if good:
        notes.ok(check, f"{good} entries; the node's dialplan has to park these calls (freeswitch-conf/README.md)")


def _recogniser(step: Step, document: FlowDocument) -> str | None:
    if step.expect is not None and step.expect.transcript is not None:
        return document.defaults.asr_engine
    if step.gather is None or step.gather.speech is None:
        return None
    return step.gather.speech.engine or document.defaults.asr_engine


def _asking(step: Step) -> Iterator[Prompted]:
    yield from (asks for asks in (step.gather, step.menu) if asks is not None)


def _spoken(step: Step) -> Iterator[Speak]:
    """What a step says by text to speech."""
    if step.speak is not None:
        yield step.speak
    yield from (asks.speak for asks in _asking(step) if asks.speak is not None)


def _sources(step: Step) -> Iterator[str]:
    """What a step plays, as it is written."""
    if step.play is not None:
        yield step.play
    for asks in _asking(step):
        yield from (source for source in (asks.prompt, asks.invalid) if source is not None)
