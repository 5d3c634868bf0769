"""What the detector says, and how it is said on the wire: the one door for fsbridge (beside `listening.likeness`).

Pure: values in, values out; no torch, no numpy, no sockets. Here belongs what both sides of the wire must agree on,
and nothing that either side does with it.
"""

from __future__ import annotations

from amd_model.verdict.events import AmdEvent, Answerer, EventKind, Heard, Reason, Sound, Verdict
from amd_model.verdict.options import (
    MAX_KEEP_LISTENING_MS,
    MAX_KEEP_MS,
    MAX_LISTEN_MS,
    AmdOptions,
    Mode,
    UnknownWord,
    WireError,
)
from amd_model.verdict.wire import (
    decode_event,
    decode_heard,
    decode_options,
    encode_event,
    encode_heard,
    encode_options,
    is_heard,
    salvage_options,
)

__all__ = [
    "MAX_KEEP_LISTENING_MS",
    "MAX_KEEP_MS",
    "MAX_LISTEN_MS",
    "AmdEvent",
    "AmdOptions",
    "Answerer",
    "EventKind",
    "Heard",
    "Mode",
    "Reason",
    "Sound",
    "UnknownWord",
    "Verdict",
    "WireError",
    "decode_event",
    "decode_heard",
    "decode_options",
    "encode_event",
    "encode_heard",
    "encode_options",
    "is_heard",
    "salvage_options",
]
