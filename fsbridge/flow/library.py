"""The flows on disk: ``<dir>/<orgId>/<flowId>.yaml`` (or .yml, .json). Shell: it reads files.

A document is read again when its file has changed, and checked whole each time; what runs keeps the document that it
began with. Ids are UUIDs, so no name leads out of the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsbridge.flow.document import parse
from fsbridge.flow.errors import FlowForeign, FlowInvalid, FlowMissing
from fsbridge.flow.model import Defaults, FlowDocument
from fsbridge.flow.source import MAX_BYTES
from fsbridge.ids import FlowId, OrgId, is_uuid
from fsbridge.settings import FlowSettings

SUFFIXES = (".yaml", ".yml", ".json")
MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class _Cached:
    stamp: tuple[int, int]
    document: FlowDocument | FlowInvalid


class FlowLibrary:
    """Documents by organization and flow."""

    def __init__(self, settings: FlowSettings) -> None:
        self._dir = settings.dir
        prompts = str(settings.prompts_dir) if settings.prompts_dir is not None else None
        self._defaults = Defaults(engine=settings.tts_engine, voice=settings.tts_voice, prompts_dir=prompts)
        self._cache: dict[Path, _Cached] = {}

    def find(self, org_id: OrgId, flow_id: FlowId) -> FlowDocument:
        """The document as it stands on disk. Raises FlowMissing (FlowForeign: it is another's) or FlowInvalid."""
        if not is_uuid(org_id) or not is_uuid(flow_id):
            raise FlowMissing(f"no flow {flow_id!r}: a flow id is a UUID")
        for suffix in SUFFIXES:
            path = self._dir / org_id / f"{flow_id}{suffix}"
            try:
                stat = path.stat()
            except OSError:
                continue
            return self._load(path, (stat.st_mtime_ns, stat.st_size))
        if any(path.suffix in SUFFIXES for path in self._dir.glob(f"*/{flow_id}.*")):
            raise FlowForeign(f"flow {flow_id} is another organization's")
        raise FlowMissing(f"there is no flow {flow_id}; it would be {self._dir / org_id / flow_id}.yaml")

    def _load(self, path: Path, stamp: tuple[int, int]) -> FlowDocument:
        cached = self._cache.get(path)
        if cached is None or cached.stamp != stamp:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            cached = _Cached(stamp, self._read(path, stamp[1]))
            self._cache[path] = cached
        if isinstance(cached.document, FlowInvalid):
            raise cached.document
        return cached.document

    def _read(self, path: Path, size: int) -> FlowDocument | FlowInvalid:
        if size > MAX_BYTES:
            return FlowInvalid((f"{path.name}: larger than {MAX_BYTES // 1024} kB",))
        try:
            return parse(path.read_text(encoding="utf-8"), path.name, self._defaults)
        except FlowInvalid as invalid:
            return invalid
        except UnicodeDecodeError:
            return FlowInvalid((f"{path.name}: is not UTF-8 text",))
        except OSError as error:
            # Raised and not kept: rights may change without the file's time or size.
            raise FlowInvalid((f"{path.name}: cannot be read: {error.strerror}",)) from error
