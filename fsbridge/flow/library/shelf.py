"""Documents that have been read, kept for the next call: the longest unused go first. Pure; mutable on purpose."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.model import FlowDocument

MAX_KEPT = 16 * 1024 * 1024
"""Characters of the documents that are kept; in memory they are some ten times as large."""
_LEAST = 1_000
"""What the smallest one counts as."""

Stamp = tuple[int, int, int]
"""A file's time of change (ns), size and inode: another stamp, another document."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A document, or all that is wrong with it, and the version of its text (of `size` characters)."""

    stamp: Stamp
    version: str
    size: int
    document: FlowDocument | FlowInvalid

    @property
    def weight(self) -> int:
        """What it takes of MAX_KEPT."""
        if isinstance(self.document, FlowInvalid):
            return _LEAST + sum(len(fault.message) for fault in self.document.faults)
        return max(_LEAST, self.size)


class Shelf:
    """What is kept, by path."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, Kept] = OrderedDict()
        self._weight = 0

    def get(self, path: Path, stamp: Stamp) -> Kept | None:
        """What is kept of a file as it stands."""
        kept = self._kept.get(path)
        if kept is None or kept.stamp != stamp:
            return None
        self._kept.move_to_end(path)
        return kept

    def put(self, path: Path, kept: Kept) -> None:
        """Keep one more."""
        self.drop(path)
        self._kept[path] = kept
        self._weight += kept.weight
        while self._weight > MAX_KEPT and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._weight -= oldest.weight

    def drop(self, path: Path) -> None:
        """Its file has gone."""
        kept = self._kept.pop(path, None)
        if kept is not None:
            self._weight -= kept.weight
