"""The doctor on flows: whether each document can be read and has what it names, and what all of them ask of a node.

Files are read here (through `flow.library.library`, as the service does) and looked for; no node is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fsbridge.doctor.findings import Notes
from fsbridge.doctor.needs import FLITE_VOICES, FlowNeeds, flow_needs, voices
from fsbridge.flow.document.errors import FlowError, FlowInvalid
from fsbridge.flow.document.model import FlowDocument, Step
from fsbridge.flow.document.parts import Bridge, Secret
from fsbridge.flow.library.files import SUFFIXES
from fsbridge.flow.library.library import FlowLibrary
from fsbridge.model.ids import FlowId, OrgId, is_uuid
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings


def examine_flows(settings: Settings) -> tuple[Notes, FlowNeeds]:
    """Every document of every organization as the service would read it, and what they need of a node."""
    notes = Notes("configuration")
    library = FlowLibrary(settings.flows, orgs=settings.orgs)
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
                    for text, change in _lacks(step, document, org, settings):
                        notes.problem(check, f"{path.name}, step {step.id}: {text}", change)
        if good:
            notes.ok(check, f"{good} valid")
        elif not names:
            notes.warn(check, f"none in {folder / org.id}", f"{folder / org.id}/<flow UUID>.yaml")
    _inbound(notes, settings, library)
    return notes, flow_needs(documents)


def _lacks(step: Step, document: FlowDocument, org: OrgSettings, settings: Settings) -> Iterator[tuple[str, str]]:
    """What a step names or needs that the configuration does not have, and what to change."""
    flows = settings.flows
    if step.request is not None:
        for secret in {each.secret for each in step.request.headers.values() if isinstance(each, Secret)}:
            if secret not in org.secrets:
                yield f"there is no secret {secret!r}", f"orgs.secrets.{secret} of {org.name or org.id}"
    for engine, voice in voices(step, document):
        if engine == "flite" and voice.lower() not in FLITE_VOICES:
            yield f"flite has no voice {voice!r}, so nothing would be spoken", f"a voice of {', '.join(FLITE_VOICES)}"
    if step.bridge is not None:
        yield from _unbridgeable(step.bridge, org, settings)
    if step.expect is not None and step.expect.audio_like is not None:
        file: Path = flows.reference_audio / step.expect.audio_like.file
        if not file.is_file():
            yield f"there is no recording {file}", "put it there, or set flows.audio_dir"


def _unbridgeable(bridge: Bridge, org: OrgSettings, settings: Settings) -> Iterator[tuple[str, str]]:
    trunks = {trunk.name: trunk for trunk in settings.trunks}
    name = bridge.trunk or org.trunk or settings.trunks[0].name
    if name not in trunks:
        yield f"there is no trunk {name!r}", f"the step's trunk: {', '.join(trunks)}"
    elif bridge.caller_id is None and org.caller_id is None and trunks[name].caller_id is None:
        yield "it would call from nobody", f"caller_id of the step, of {org.name or org.id} or of trunk {name}"


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
