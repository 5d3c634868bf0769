"""The recorded conversations as values: what a real FreeSWITCH said on its event socket, byte for byte.

They lie packed beside this file. See README.md here for where they are from.
"""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Entry(NamedTuple):
    """One frame of a conversation: `t` seconds since the connection, `dir` is send, recv or eof."""

    t: float
    dir: str
    raw: bytes


def names() -> list[str]:
    """Every conversation of a plain client, in alphabetical order."""
    return sorted(path.name.removesuffix(".jsonl.gz") for path in HERE.glob("*.jsonl.gz"))


def flows() -> list[str]:
    """Every conversation of this service itself, as ``flows/<name>``: one call each, the login not among it."""
    return sorted(f"flows/{path.name.removesuffix('.jsonl.gz')}" for path in (HERE / "flows").glob("*.jsonl.gz"))


@lru_cache(maxsize=8)
def _read(name: str) -> tuple[Entry, ...]:
    data = gzip.decompress((HERE / f"{name}.jsonl.gz").read_bytes())
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
