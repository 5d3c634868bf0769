"""JSON values, and JSON that is not ours to read: what a caller wants back byte for byte. Pure.

A parser keeps a value's meaning, not its spelling: ``1.10`` comes back as ``1.1``, ``1e22`` as ``1e+22``, an integer of
seventy bits not at all. So what is echoed is kept as the text it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Any
"""A value that came out of a JSON parser."""


@dataclass(frozen=True, slots=True)
class RawJson:
    """One JSON value as the text that it came in; whoever makes one has checked that it is one."""

    text: str


def ascii_json(value: Json) -> bytes:
    """The value as compact JSON, all of it ASCII: half characters and integers of any size pass as well."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def json_object(members: Mapping[str, Json | RawJson], encode: Callable[[Json], bytes] = ascii_json) -> bytes:
    """The object as compact JSON, each member as `encode` has it; a `RawJson` goes in as its own text, in UTF-8."""
    parts = (
        ascii_json(name) + b":" + (value.text.encode() if isinstance(value, RawJson) else encode(value))
        for name, value in members.items()
    )
    return b"{" + b",".join(parts) + b"}"
