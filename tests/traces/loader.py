"""The recorded conversations as values: what a real FreeSWITCH said on its event socket, byte for byte.

Looks beside this file first (``<name>.jsonl.gz``, what every clone has), then in a folder of further recordings
that a developer may have beside the checkout. See README.md here for where they are from.
"""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ALL_RECORDINGS = HERE.parents[2] / "shared" / "fs-traces"


class Entry(NamedTuple):
    """One frame of a conversation: `t` seconds since the connection, `dir` is send, recv or eof."""

    t: float
    dir: str
    raw: bytes


def names() -> list[str]:
    """Every conversation that can be found, in alphabetical order."""
    found = {path.name.removesuffix(".jsonl.gz") for path in HERE.glob("*.jsonl.gz")}
    found |= {path.name.removesuffix(".jsonl") for path in ALL_RECORDINGS.glob("*.jsonl")}
    return sorted(found)


@lru_cache(maxsize=8)
def _read(name: str) -> tuple[Entry, ...]:
    packed = HERE / f"{name}.jsonl.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (ALL_RECORDINGS / f"{name}.jsonl").read_bytes()
    rows = (json.loads(line) for line in data.splitlines())
    return tuple(Entry(row["t"], row["dir"], row["raw"].encode()) for row in rows)


def conversation(name: str) -> list[Entry]:
    """The frames of one conversation in the order they were seen. FileNotFoundError for an unknown name."""
    return list(_read(name))


def received(name: str) -> list[bytes]:
    """The frames that FreeSWITCH sent."""
    return [entry.raw for entry in _read(name) if entry.dir == "recv"]


def sent(name: str) -> list[bytes]:
    """The commands that the client sent."""
    return [entry.raw for entry in _read(name) if entry.dir == "send"]
