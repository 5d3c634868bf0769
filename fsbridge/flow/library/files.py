"""The flows' files: ``<dir>/<orgId>/<flowId>.yaml`` (or .yml, .json). Shell, for one native thread: it waits for disks.

Ids are UUIDs, so no name leads out of the folder. A file is always whole: it is written beside its place and renamed
into it. Every method may raise OSError; no gevent objects and no logging here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fsbridge.flow.document.document import version_of
from fsbridge.flow.document.errors import FlowForeign, FlowMissing
from fsbridge.flow.document.source import MAX_BYTES
from fsbridge.flow.library.entry import Expected, FlowConflict, TooManyFlows
from fsbridge.flow.library.shelf import Stamp
from fsbridge.model.ids import FlowId, OrgId, is_uuid

SUFFIXES = (".yaml", ".yml", ".json")
"""In the order in which they count, should a flow have several files."""
_YAML, _JSON = (".yaml", ".yml"), (".json",)
_FILE_MODE, _FOLDER_MODE = 0o640, 0o750


@dataclass(frozen=True, slots=True)
class File:
    """A flow's file and when it was last changed."""

    flow_id: FlowId
    path: Path
    stamp: Stamp


class Files:
    """The folder of all flows."""

    def __init__(self, folder: Path, max_per_org: int) -> None:
        self._dir = folder
        self._max_per_org = max_per_org

    def find(self, org_id: OrgId, flow_id: FlowId) -> File:
        """The file that counts. Raises FlowMissing (FlowForeign: it is another's)."""
        if not is_uuid(org_id) or not is_uuid(flow_id):
            raise FlowMissing(f"no flow {flow_id!r}: a flow id is a UUID")
        path = next(iter(self.own(org_id, flow_id)), None)
        if path is None:
            if self._foreign(org_id, flow_id):
                raise FlowForeign(f"flow {flow_id} is another organization's")
            raise FlowMissing(f"there is no flow {flow_id}; it would be {self._dir / org_id / flow_id}.yaml")
        try:
            return File(flow_id, path, stamp_of(path))
        except FileNotFoundError as error:
            raise FlowMissing(f"there is no flow {flow_id}; it would be {path}") from error

    def page(self, org_id: OrgId, after: str, limit: int) -> list[File]:
        """At most `limit` of the organization's files, by flow id, those behind `after`."""
        found: list[File] = []
        for flow_id in sorted(flow for flow in self._flows(org_id) if flow > after):
            if len(found) == limit:
                break
            for path in self.own(org_id, flow_id)[:1]:  # none: it has gone since
                found.append(File(flow_id, path, stamp_of(path)))
        return found

    def own(self, org_id: str, flow_id: str) -> list[Path]:
        """The flow's files, the one that counts first."""
        paths = (self._dir / org_id / f"{flow_id}{suffix}" for suffix in SUFFIXES)
        return [path for path in paths if path.exists()]

    def write(self, org_id: OrgId, flow_id: FlowId, text: str, expected: Expected, *, json: bool) -> File:
        """Put a text in its place. Raises FlowConflict, FlowForeign or TooManyFlows."""
        folder, suffixes = self._dir / org_id, _JSON if json else _YAML
        paths = self.own(org_id, flow_id)
        if not paths and self._foreign(org_id, flow_id):
            raise FlowForeign(f"flow {flow_id} is another organization's")
        _meet(expected, paths)
        if not paths and len(self._flows(org_id)) >= self._max_per_org:
            raise TooManyFlows(f"there are {self._max_per_org} flows already; delete one first")
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        path = next((path for path in paths if path.suffix in suffixes), folder / f"{flow_id}{suffixes[0]}")
        stamp = _put(path, text.encode())
        for other in paths:
            if other != path:
                other.unlink(missing_ok=True)
        return File(flow_id, path, stamp)

    def delete(self, org_id: OrgId, flow_id: FlowId, expected: Expected) -> list[Path]:
        """Take a flow away; what has gone. Raises FlowMissing or FlowConflict."""
        self.find(org_id, flow_id)
        paths = self.own(org_id, flow_id)
        _meet(expected, paths)
        # The one that counts goes last: stopped in between, the flow is still what it was.
        for path in reversed(paths):
            path.unlink(missing_ok=True)
        return paths

    def _foreign(self, org_id: OrgId, flow_id: FlowId) -> bool:
        try:
            folders = [entry.name for entry in os.scandir(self._dir) if entry.is_dir()]
        except OSError:
            return False
        return any(self.own(name, flow_id) for name in folders if name != org_id)

    def _flows(self, org_id: OrgId) -> set[FlowId]:
        try:
            names = [os.path.splitext(entry.name) for entry in os.scandir(self._dir / org_id)]
        except FileNotFoundError:
            return set()
        return {FlowId(stem) for stem, suffix in names if suffix in SUFFIXES and is_uuid(stem)}


def stamp_of(path: Path) -> Stamp:
    """What changes when the file does."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def read_bytes(path: Path) -> bytes:
    """The file's bytes, one more than a document may have at most."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _meet(expected: Expected, paths: Iterable[Path]) -> None:
    current = next((version_of(read_bytes(path)) for path in paths), None)
    if not expected.holds(current):
        raise FlowConflict(current)


def _put(path: Path, data: bytes) -> Stamp:
    """The whole file at once. After a power cut the old one may be there again, but never half of the new."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    stamp = stamp_of(part)
    part.replace(path)
    return stamp
