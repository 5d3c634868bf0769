"""The doctor on what flows play and say, and where they lead: whether the node has the files, rooms, contexts. Pure.

A file that is not there is no error to FreeSWITCH: the step completes at once, and nobody hears anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fsbridge.doctor.findings import Finding, Notes
from fsbridge.doctor.needs import FlowNeeds
from fsbridge.doctor.replies import read_context, read_language, read_rooms, read_truth, read_value
from fsbridge.settings.whole import Settings

FOLDERS = {
    **dict.fromkeys(("number", "digits"), "digits"),
    **dict.fromkeys(("date", "time"), "time"),
    "money": "currency",
    "spelled": "ascii",
}
"""Where the sounds of a `say` step are, below the language's prefix (mod_say_…)."""
RATES = ("8000", "16000", "32000", "48000")
"""mod_sndfile looks for `digits/8000/1.wav` as well as for `digits/1.wav`."""
MOST = 200
"""Files that are asked after; beyond, the doctor would keep a node busy."""
TOLD = 5
_PATH = re.compile(r"/[A-Za-z0-9_./-]{1,300}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Ask = Callable[[str], str]
"""Sends one API command and gives what it prints. Raises EslError."""


def examine_sounds(node: str, settings: Settings, needs: FlowNeeds, ask: Ask) -> list[Finding]:
    """What the flows' steps would find on this node. Raises EslError when it stops answering."""
    notes = Notes(f"node {node}")
    own = _sounds(ask) if needs.sayings or needs.files else None
    for language in needs.languages:
        _sayings(notes, language, sorted(kind for each, kind in needs.sayings if each == language), own, ask)
    if needs.files:
        _files(notes, sorted(needs.files), own, ask)
    _recordings(notes, settings, needs, ask)
    _rooms(notes, needs, ask)
    _contexts(notes, needs, ask)
    return notes.found


def _sounds(ask: Ask) -> str | None:
    """Where relative names begin, if nothing else is said."""
    return read_value(ask("global_getvar sound_prefix")) or read_value(ask("global_getvar sounds_dir"))


def _sayings(notes: Notes, language: str, kinds: list[str], own: str | None, ask: Ask) -> None:
    check = f"sounds of {language}"
    found = read_language(ask(f"xml_locate languages language name {language}"))
    if found is None:
        change = (
            f'<language name="{language}" say-module="{language}" sound-prefix="…"> in lang/{language}/{language}.xml'
        )
        notes.problem(check, f"the node has no language {language}: `say` steps say nothing", change)
        return
    prefix = found[1] or own
    if prefix is None or not _PATH.fullmatch(prefix):
        notes.warn(check, "the node does not tell where they are", f"sound-prefix in lang/{language}/{language}.xml")
        return
    folders = sorted({FOLDERS[kind] for kind in kinds})
    missing = [folder for folder in folders if not read_truth(ask(f"file_exists {prefix}/{folder}"))]
    if missing:
        text = f"{', '.join(missing)} not in {prefix}: `say` steps that need them say nothing"
        notes.problem(
            check, text, f"install the sounds there (freeswitch-sounds-{language}-…), or correct sound-prefix"
        )
    else:
        notes.ok(check, f"{', '.join(folders)} in {prefix}")


def _files(notes: Notes, files: list[str], own: str | None, ask: Ask) -> None:
    check, missing, unknown = "prompts", [], []
    for file in files[:MOST]:
        path = file if file.startswith("/") else f"{own}/{file}"
        if not _PATH.fullmatch(path):
            unknown.append(file)
        elif not any(read_truth(ask(f"file_exists {each}")) for each in _places(path)):
            missing.append(path)
    if missing:
        more = f" and {len(missing) - TOLD} more" if len(missing) > TOLD else ""
        text = f"not there: {', '.join(missing[:TOLD])}{more}; the steps that play them are silent"
        notes.problem(check, text, "put them there, where FreeSWITCH can read them, or correct flows.prompts_dir")
    if unknown or len(files) > MOST:
        left = len(unknown) + max(0, len(files) - MOST)
        notes.warn(
            check, f"{left} of {len(files)} were not looked for", "flows.prompts_dir: an absolute path on the node"
        )
    if not missing and len(unknown) < len(files):
        notes.ok(check, f"{min(len(files), MOST) - len(unknown)} files are there")


def _places(path: str) -> Iterator[str]:
    folder, _, name = path.rpartition("/")
    yield path
    yield from (f"{folder}/{rate}/{name}" for rate in RATES)


def _recordings(notes: Notes, settings: Settings, needs: FlowNeeds, ask: Ask) -> None:
    folder = settings.flows.recordings_dir
    if folder is None or not needs.kinds & {"record", "recording"}:
        return
    if read_truth(ask(f"file_exists {folder.rstrip('/')}")):
        notes.ok("recordings", f"go to {folder}")
    else:
        text = f"{folder} does not exist; FreeSWITCH makes it only if it may, and says nothing if it may not"
        notes.warn("recordings", text, f"make it on the node, writable by FreeSWITCH's user: {folder}")


def _rooms(notes: Notes, needs: FlowNeeds, ask: Ask) -> None:
    if not needs.rooms:
        return
    known = read_rooms(ask("xml_locate configuration configuration name conference.conf"))
    missing = sorted(needs.rooms - (known or frozenset()))
    if missing:
        text = f"no profile {', '.join(missing)}: FreeSWITCH makes rooms without any"
        notes.warn("conferences", text, f'<profile name="{missing[0]}"> in autoload_configs/conference.conf.xml')
    else:
        notes.ok("conferences", f"profiles {', '.join(sorted(needs.rooms))}")


def _contexts(notes: Notes, needs: FlowNeeds, ask: Ask) -> None:
    for name in sorted(needs.contexts):
        if _WORD.fullmatch(name) and not read_context(ask(f"xml_locate dialplan context name {name}")):
            text = f"the dialplan's files have no context {name}: transfers there end the call"
            notes.warn("transfers", text, f'<context name="{name}"> in dialplan/, or the context of the steps')
