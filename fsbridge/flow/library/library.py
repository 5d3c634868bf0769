"""The flows on disk: ``<dir>/<orgId>/<flowId>.yaml`` (or .yml, .json). Shell: it reads and writes files.

Rules. A document is read again when its file has changed, and checked whole each time; what runs keeps the document
that it began with. Ids are UUIDs, so no name leads out of the folder. Nothing invalid is ever written, and a file is
always whole: it is written beside its place and renamed into it. All work but the look at a document that is known
already runs on one native thread: a large document, a folder of thousands or a slow disk does not stop the hub, and of
two writers that saw the same version only one can replace it. People may edit the files as well; their word counts
from the next look on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gevent.threadpool import ThreadPool

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowError, FlowForeign, FlowInvalid, FlowMissing, Problem
from fsbridge.flow.document.model import Defaults, FlowDocument
from fsbridge.flow.document.source import MAX_BYTES, SourceError, read
from fsbridge.flow.library.entry import (
    Expected,
    FlowConflict,
    FlowEntry,
    LibraryError,
    StoredFlow,
    TooManyFlows,
)
from fsbridge.model.ids import FlowId, OrgId, is_uuid
from fsbridge.settings.flows import FlowSettings
from fsbridge.supervise import run_in_thread

T = TypeVar("T")

SUFFIXES = (".yaml", ".yml", ".json")
"""In the order in which they count, should a flow have several files."""
MAX_CACHED = 10_000
_YAML, _JSON = (".yaml", ".yml"), (".json",)
_FILE_MODE, _FOLDER_MODE = 0o640, 0o750


@dataclass(frozen=True, slots=True)
class _Cached:
    stamp: tuple[int, int, int]
    version: str
    document: FlowDocument | FlowInvalid


class FlowLibrary:
    """Documents by organization and flow."""

    def __init__(self, settings: FlowSettings) -> None:
        self._dir = settings.dir
        self._max_per_org = settings.max_per_org
        prompts = str(settings.prompts_dir) if settings.prompts_dir is not None else None
        self._defaults = Defaults(
            engine=settings.tts_engine,
            voice=settings.tts_voice,
            prompts_dir=prompts,
            http_prompts=settings.http_prompts,
            prompt_hosts=tuple(host.lower() for host in settings.prompt_hosts),
            max_run_s=settings.max_run_s,
            recordings_dir=settings.recordings_dir,
            recordings_url=settings.recordings_url,
            asr_engine=settings.asr_engine,
            asr_grammar=settings.asr_grammar,
        )
        self._cache: dict[Path, _Cached] = {}
        self._pool = ThreadPool(1)

    def find(self, org_id: OrgId, flow_id: FlowId) -> FlowDocument:
        """The document as it stands on disk. Raises FlowMissing (FlowForeign: it is another's) or FlowInvalid."""
        document = self._known(org_id, flow_id)
        if document is None:
            try:
                document = self._apart(lambda: self._load(self._path(org_id, flow_id))).document
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
            path = next(iter(self._own(org_id, flow_id)), None)
            cached = None if path is None else self._cache.get(path)
            return cached.document if path and cached and cached.stamp == _stamp(path) else None
        except OSError:  # the thread tells in what way
            return None

    def check(self, text: str) -> FlowDocument:
        """The text as a document, as it would be if it were written. Raises FlowInvalid."""
        return self._apart(lambda: parse(text, "flow", self._defaults))

    def entries(self, org_id: OrgId, after: str, limit: int) -> list[FlowEntry]:
        """At most `limit` of the organization's documents, by flow id, those behind `after` ("" for the first).

        Raises LibraryError.
        """
        return self._apart(lambda: self._entries(org_id, after, limit))

    def read(self, org_id: OrgId, flow_id: FlowId) -> StoredFlow:
        """One document, valid or not. Raises FlowMissing (FlowForeign: it is another's) or LibraryError."""
        return self._apart(lambda: self._read(org_id, flow_id))

    def write(self, org_id: OrgId, flow_id: FlowId, text: str, expected: Expected, *, json: bool) -> FlowEntry:
        """Put a document in its place, as JSON or as YAML.

        Raises FlowInvalid, FlowConflict, FlowForeign, TooManyFlows or LibraryError; then everything is as it was.
        """
        return self._apart(lambda: self._write(org_id, flow_id, text, expected, _JSON if json else _YAML))

    def delete(self, org_id: OrgId, flow_id: FlowId, expected: Expected) -> None:
        """Take a document away; calls that run with it go on. Raises FlowMissing, FlowConflict or LibraryError."""
        self._apart(lambda: self._delete(org_id, flow_id, expected))

    # --- on the library's thread: no gevent objects, no logging ---------------------------------------------

    def _apart(self, work: Callable[[], T]) -> T:
        outcome = run_in_thread(self._pool, _caught, work)
        if isinstance(outcome, OSError):
            raise LibraryError(f"{outcome.filename or self._dir}: {outcome.strerror}") from outcome
        if isinstance(outcome, FlowError):
            raise outcome
        return outcome

    def _entries(self, org_id: OrgId, after: str, limit: int) -> list[FlowEntry]:
        found: list[FlowEntry] = []
        for flow_id in sorted(flow for flow in _flows_in(self._dir / org_id) if flow > after):
            if len(found) == limit:
                break
            paths = self._own(org_id, flow_id)
            if paths:  # else it has gone since
                found.append(self._entry(paths[0], flow_id))
        return found

    def _read(self, org_id: OrgId, flow_id: FlowId) -> StoredFlow:
        path = self._path(org_id, flow_id)
        entry, data = self._entry(path, flow_id), _bytes(path)
        text = data.decode("utf-8", "replace")
        try:
            value = read(text).value
        except SourceError:
            value = None
        return StoredFlow(replace(entry, version=version_of(data)), text, value)

    def _write(
        self, org_id: OrgId, flow_id: FlowId, text: str, expected: Expected, suffixes: tuple[str, ...]
    ) -> FlowEntry:
        parse(text, "flow", self._defaults)
        folder = self._dir / org_id
        paths = self._own(org_id, flow_id)
        if not paths and self._foreign(org_id, flow_id):
            raise FlowForeign(f"flow {flow_id} is another organization's")
        _meet(expected, paths)
        if not paths and len(_flows_in(folder)) >= self._max_per_org:
            raise TooManyFlows(f"there are {self._max_per_org} flows already; delete one first")
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        path = next((path for path in paths if path.suffix in suffixes), folder / f"{flow_id}{suffixes[0]}")
        _put(path, text.encode())
        for other in paths:
            if other != path:
                other.unlink(missing_ok=True)
        return self._entry(path, flow_id)

    def _delete(self, org_id: OrgId, flow_id: FlowId, expected: Expected) -> None:
        self._path(org_id, flow_id)
        paths = self._own(org_id, flow_id)
        _meet(expected, paths)
        # The one that counts goes last: stopped in between, the flow is still what it was.
        for path in reversed(paths):
            path.unlink(missing_ok=True)
            self._cache.pop(path, None)

    # --- on either side -------------------------------------------------------------------------------------

    def _path(self, org_id: OrgId, flow_id: FlowId) -> Path:
        if not is_uuid(org_id) or not is_uuid(flow_id):
            raise FlowMissing(f"no flow {flow_id!r}: a flow id is a UUID")
        paths = self._own(org_id, flow_id)
        if paths:
            return paths[0]
        if self._foreign(org_id, flow_id):
            raise FlowForeign(f"flow {flow_id} is another organization's")
        raise FlowMissing(f"there is no flow {flow_id}; it would be {self._dir / org_id / flow_id}.yaml")

    def _own(self, org_id: str, flow_id: str) -> list[Path]:
        paths = (self._dir / org_id / f"{flow_id}{suffix}" for suffix in SUFFIXES)
        return [path for path in paths if path.exists()]

    def _foreign(self, org_id: OrgId, flow_id: FlowId) -> bool:
        try:
            folders = [entry.name for entry in os.scandir(self._dir) if entry.is_dir()]
        except OSError:
            return False
        return any(self._own(name, flow_id) for name in folders if name != org_id)

    def _entry(self, path: Path, flow_id: FlowId) -> FlowEntry:
        try:
            cached = self._load(path)
        except FlowInvalid as unreadable:
            return FlowEntry(flow_id, "", "", 0.0, unreadable.problems)
        document = cached.document
        name, problems = ("", document.problems) if isinstance(document, FlowInvalid) else (document.body.name, ())
        return FlowEntry(flow_id, name, cached.version, cached.stamp[0] / 1e9, problems)

    def _load(self, path: Path) -> _Cached:
        try:
            stamp = _stamp(path)
            cached = self._cache.get(path)
            if cached is None or cached.stamp != stamp:
                if len(self._cache) >= MAX_CACHED:
                    self._cache.clear()
                data = _bytes(path)
                cached = self._cache[path] = _Cached(stamp, version_of(data), self._parsed(path.name, data))
            return cached
        except FileNotFoundError as error:
            raise FlowMissing(f"there is no flow {path.stem}; it would be {path}") from error
        except OSError as error:
            # Raised and not kept: rights may change without the file's time or size.
            raise FlowInvalid(Problem(path.name, f"cannot be read: {error.strerror}")) from error

    def _parsed(self, name: str, data: bytes) -> FlowDocument | FlowInvalid:
        if len(data) > MAX_BYTES:
            return FlowInvalid(Problem(name, f"larger than {MAX_BYTES // 1024} kB"))
        try:
            return parse(data.decode("utf-8"), name, self._defaults)
        except FlowInvalid as invalid:
            return invalid
        except UnicodeDecodeError:
            return FlowInvalid(Problem(name, "is not UTF-8 text"))


def version_of(data: bytes) -> str:
    """A document's version: the same for the same text, whether it is valid or not."""
    return hashlib.sha256(data).hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _caught(work: Callable[[], T]) -> T | FlowError | OSError:
    """For the thread; what is wrong is a value, since gevent's pool prints whatever a job raises."""
    try:
        return work()
    except (FlowError, OSError) as error:
        return error


def _meet(expected: Expected, paths: Iterable[Path]) -> None:
    current = next((version_of(_bytes(path)) for path in paths), None)
    if not expected.holds(current):
        raise FlowConflict(current)


def _flows_in(folder: Path) -> set[FlowId]:
    try:
        names = [os.path.splitext(entry.name) for entry in os.scandir(folder)]
    except FileNotFoundError:
        return set()
    return {FlowId(stem) for stem, suffix in names if suffix in SUFFIXES and is_uuid(stem)}


def _bytes(path: Path) -> bytes:
    """The file's bytes, one more than a document may have at most."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _put(path: Path, data: bytes) -> None:
    """The whole file at once. After a power cut the old one may be there again, but never half of the new."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
