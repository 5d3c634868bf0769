"""The organizations' flows: found, kept current, written and taken away. Shell.

A document is read again when its file has changed, and checked whole each time; what runs keeps the document that it
began with. Nothing invalid is ever written. People may edit the files as well; their word counts from the next look
on. What waits for a disk is done on one native thread (`flow.library.files`), so of two writers that saw the same
version only one can replace it; documents are checked by a `Checker`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from fsbridge.clock import Clock, SystemClock
from fsbridge.flow.document.document import version_of
from fsbridge.flow.document.errors import FlowError, FlowInvalid, FlowMissing, Problem
from fsbridge.flow.document.model import Defaults, FlowDocument, Way
from fsbridge.flow.document.source import MAX_BYTES
from fsbridge.flow.library.checker import Checker, Here
from fsbridge.flow.library.entry import Expected, FlowBusy, FlowEntry, LibraryError, StoredFlow
from fsbridge.flow.library.files import File, Files, read_bytes, stamp_of
from fsbridge.flow.library.shelf import Kept, Shelf
from fsbridge.model.ids import FlowId, OrgId, is_uuid
from fsbridge.settings.flows import FlowSettings
from fsbridge.settings.orgs import OrgFlowSettings, OrgSettings
from fsbridge.supervise import run_in_thread

T = TypeVar("T")

PATIENCE_S = 30.0
"""How long somebody waits for a document that another is having checked, and for a page of documents."""


class FlowLibrary:
    """Documents by organization and flow."""

    def __init__(
        self,
        settings: FlowSettings,
        checker: Checker | None = None,
        clock: Clock | None = None,
        orgs: Sequence[OrgSettings] = (),
    ) -> None:
        self._clock = clock or SystemClock()
        self._files = Files(settings.dir, settings.max_per_org)
        self._dir = settings.dir
        self._settings = settings
        self._defaults = {OrgId(org.id): _defaults(settings, org.flows) for org in orgs}
        self._checker: Checker = checker or Here()
        self._shelf = Shelf()
        self._being_checked: dict[Path, AsyncResult[Kept | FlowError]] = {}
        self._pool = ThreadPool(1)

    def close(self) -> None:
        """Nothing more will be asked."""
        self._checker.close()

    def warm(self) -> None:
        """Have what checks documents ready before the first caller waits for it; that it is not is no fault."""
        with contextlib.suppress(FlowBusy):
            self._checker.value("", "{}")

    def find(self, org_id: OrgId, flow_id: FlowId) -> FlowDocument:
        """The document as it stands on disk.

        Raises FlowMissing (FlowForeign: it is another's), FlowInvalid or FlowBusy.
        """
        document = self._known(org_id, flow_id)
        if document is None:
            try:
                file = self._apart(lambda: self._files.find(org_id, flow_id))
                document = self._kept(org_id, file, first=True).document
            except LibraryError as error:
                raise FlowInvalid(Problem(flow_id, "cannot be read")) from error
        if isinstance(document, FlowInvalid):
            raise document
        return document

    def _known(self, org_id: OrgId, flow_id: FlowId) -> FlowDocument | FlowInvalid | None:
        """The document if it has been read before and has not changed: all that most calls cost."""
        if not is_uuid(org_id) or not is_uuid(flow_id):
            return None
        try:
            path = next(iter(self._files.own(org_id, flow_id)), None)
            kept = self._shelf.get(path, stamp_of(path)) if path is not None else None
        except OSError:  # the thread tells in what way
            return None
        return kept.document if kept is not None else None

    def check(self, org_id: OrgId, text: str) -> FlowDocument:
        """The text as a document, as it would be if it were written. Raises FlowInvalid or FlowBusy."""
        return self._checker.check(org_id, text, "flow", self._defaults_of(org_id))

    def entries(self, org_id: OrgId, after: str, limit: int) -> list[FlowEntry]:
        """At most `limit` of the organization's documents, by flow id, those behind `after` ("" for the first).

        Raises LibraryError or FlowBusy.
        """
        until = self._clock.monotonic() + PATIENCE_S
        found = []
        for file in self._apart(lambda: self._files.page(org_id, after, limit)):
            if self._clock.monotonic() > until:
                raise FlowBusy("the documents of this page are being checked", 1.0)  # what has been is known then
            with contextlib.suppress(FlowMissing):  # it has gone meanwhile
                found.append(self._entry(org_id, file))
        return found

    def read(self, org_id: OrgId, flow_id: FlowId) -> StoredFlow:
        """One document, valid or not. Raises FlowMissing (FlowForeign: it is another's), LibraryError or FlowBusy."""
        file, data = self._apart(lambda: _with_bytes(self._files.find(org_id, flow_id)))
        text = data.decode("utf-8", "replace")
        value = self._checker.value(org_id, text)
        entry = self._entry(org_id, file)
        return StoredFlow(replace(entry, version=version_of(data)), text, value)

    def write(self, org_id: OrgId, flow_id: FlowId, text: str, expected: Expected, *, json: bool) -> FlowEntry:
        """Put a document in its place, as JSON or as YAML.

        Raises FlowInvalid, FlowBusy, FlowConflict, FlowForeign, TooManyFlows or LibraryError; then everything is as
        it was.
        """
        document = self.check(org_id, text)
        file = self._apart(lambda: self._files.write(org_id, flow_id, text, expected, json=json))
        kept = Kept(file.stamp, document.version, len(text), document)
        self._shelf.put(file.path, kept)
        return _entry_of(flow_id, kept)

    def delete(self, org_id: OrgId, flow_id: FlowId, expected: Expected) -> None:
        """Take a document away; calls that run with it go on. Raises FlowMissing, FlowConflict or LibraryError."""
        for path in self._apart(lambda: self._files.delete(org_id, flow_id, expected)):
            self._shelf.drop(path)

    # --- looking ---------------------------------------------------------------------------------------------

    def _entry(self, org_id: OrgId, file: File) -> FlowEntry:
        try:
            return _entry_of(file.flow_id, self._kept(org_id, file))
        except FlowInvalid as unreadable:
            return FlowEntry(file.flow_id, "", "", 0.0, unreadable.problems)

    def _kept(self, org_id: OrgId, file: File, *, first: bool = False) -> Kept:
        """What a file says: known, or checked for whoever asks before others. `first`: a call waits for it.

        Raises FlowMissing, FlowInvalid or FlowBusy.
        """
        kept = self._shelf.get(file.path, file.stamp)
        if kept is not None:
            return kept
        pending = self._being_checked.get(file.path)
        found: Kept | FlowError
        if pending is None:
            found = self._first_look(org_id, file, first)
        else:
            found = pending.wait(PATIENCE_S) or FlowBusy("it is being checked", 1.0)
        if isinstance(found, FlowError):
            raise found
        return found

    def _first_look(self, org_id: OrgId, file: File, first: bool) -> Kept | FlowError:
        pending = self._being_checked[file.path] = AsyncResult()
        found: Kept | FlowError = FlowBusy("whoever had it checked has gone", 1.0)
        try:
            found = self._looked_at(org_id, file, first)
        except FlowError as error:
            found = error
        finally:
            del self._being_checked[file.path]
            pending.set(found)
        return found

    def _looked_at(self, org_id: OrgId, file: File, first: bool) -> Kept:
        try:
            stamp, data = self._apart(lambda: (stamp_of(file.path), read_bytes(file.path)))
        except LibraryError as error:
            cause = error.__cause__
            if isinstance(cause, FileNotFoundError):
                raise FlowMissing(f"there is no flow {file.flow_id}; it would be {file.path}") from error
            # Raised and not kept: rights may change without the file's time or size.
            why = cause.strerror if isinstance(cause, OSError) else str(error)
            raise FlowInvalid(Problem(file.path.name, f"cannot be read: {why}")) from error
        document = self._checked(org_id, file.path.name, data, first)
        kept = Kept(stamp, version_of(data), len(data), document)
        self._shelf.put(file.path, kept)
        return kept

    def _checked(self, org_id: OrgId, name: str, data: bytes, first: bool) -> FlowDocument | FlowInvalid:
        if len(data) > MAX_BYTES:
            return FlowInvalid(Problem(name, f"larger than {MAX_BYTES // 1024} kB"))
        try:
            return self._checker.check(org_id, data.decode("utf-8"), name, self._defaults_of(org_id), first=first)
        except FlowInvalid as invalid:
            return invalid
        except UnicodeDecodeError:
            return FlowInvalid(Problem(name, "is not UTF-8 text"))

    def _defaults_of(self, org_id: OrgId) -> Defaults:
        """An organization that the configuration says nothing of has what all have."""
        return self._defaults.get(org_id) or _defaults(self._settings, OrgFlowSettings())

    def _apart(self, work: Callable[[], T]) -> T:
        """On the library's thread."""
        outcome = run_in_thread(self._pool, _caught, work)
        if isinstance(outcome, OSError):
            raise LibraryError(f"{outcome.filename or self._dir}: {outcome.strerror}") from outcome
        if isinstance(outcome, FlowError):
            raise outcome
        return outcome


def _caught(work: Callable[[], T]) -> T | FlowError | OSError:
    """For the thread; what is wrong is a value, since gevent's pool prints whatever a job raises."""
    try:
        return work()
    except (FlowError, OSError) as error:
        return error


def _with_bytes(file: File) -> tuple[File, bytes]:
    return file, read_bytes(file.path)


def _entry_of(flow_id: FlowId, kept: Kept) -> FlowEntry:
    document = kept.document
    name, problems = ("", document.problems) if isinstance(document, FlowInvalid) else (document.body.name, ())
    return FlowEntry(flow_id, name, kept.version, kept.stamp[0] / 1e9, problems)


def _defaults(settings: FlowSettings, own: OrgFlowSettings) -> Defaults:
    """What the configuration adds to an organization's flows; what it does not open is closed."""
    prompts = own.prompts_dir or settings.prompts_dir
    return Defaults(
        engine=settings.tts_engine,
        voice=settings.tts_voice,
        prompts_dir=str(prompts) if prompts is not None else None,
        prompt_hosts=(*settings.prompt_hosts, *own.prompt_hosts),
        bot_hosts=None if settings.bots_allow_private else (*settings.bot_hosts, *own.bot_hosts),
        ways=tuple(Way(context=w.context, dialplan=w.dialplan, extensions=w.extensions) for w in own.transfer),
        conference_profiles=own.conference_profiles,
        max_run_s=settings.max_run_s,
        recordings_dir=settings.recordings_dir,
        recordings_url=settings.recordings_url,
        asr_engine=settings.asr_engine,
        asr_grammar=settings.asr_grammar,
    )
