"""The process that checks documents: ``python -m fsbridge.flow.library.checking``, a frame in and a frame out. Shell.

What anybody may send is read here and not in the process that runs calls: a document that takes long, or brings its
reader down, is this process's trouble alone. A frame is four bytes of length and a JSON object; the end of the input
ends the process.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import struct
import sys
from typing import Any, BinaryIO

import orjson

from fsbridge.flow.document.document import understood
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.model import Defaults
from fsbridge.flow.document.source import SourceError, read

LENGTH = struct.Struct(">I")
MAX_FRAME = 16 * 1024 * 1024
"""Of JSON; a document has 256 kB, and escapes make six characters of one."""
MAX_MEMORY = 1024 * 1024 * 1024
"""Bytes of address space; some two hundred megabytes are the interpreter and its libraries."""
NICENESS = 5
"""Calls go before documents on a busy machine."""


def frame(value: Any) -> bytes:
    """A value as it goes through the pipe."""
    body = orjson.dumps(value)
    return LENGTH.pack(len(body)) + body


def answer(asked: Any) -> dict[str, Any]:
    """What is asked, ``{"text", "source", "defaults"}``, as ``{"value"}`` or ``{"faults"}``.

    Without `defaults` the text is only read: ``{"value"}``, null for what is no YAML.
    """
    text = asked["text"]
    if asked["defaults"] is None:
        try:
            return {"value": read(text).value}
        except SourceError:
            return {"value": None}
    try:
        _, value = understood(text, asked["source"], Defaults.model_validate_json(orjson.dumps(asked["defaults"])))
    except FlowInvalid as invalid:
        faults = [(each.source, each.message, each.line, each.step, each.field) for each in invalid.faults]
        return {"faults": faults}
    return {"value": value}


def main(source: BinaryIO, target: BinaryIO) -> None:
    """Answer until the input ends."""
    while head := source.read(LENGTH.size):
        asked = orjson.loads(source.read(*LENGTH.unpack(head)))
        target.write(frame(answer(asked)))
        target.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which lets us go in its own time
    with contextlib.suppress(OSError, ValueError):
        os.nice(NICENESS)
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    with contextlib.suppress(BrokenPipeError):
        main(sys.stdin.buffer, sys.stdout.buffer)
