"""Identifiers. Mixing a job's UUID with a channel's is the field's commonest bug, so each kind is its own type."""

from __future__ import annotations

import re
import uuid
from typing import NewType

OrgId = NewType("OrgId", str)
FlowId = NewType("FlowId", str)
SessionId = NewType("SessionId", str)
ChannelUuid = NewType("ChannelUuid", str)
JobUuid = NewType("JobUuid", str)
ActionId = NewType("ActionId", str)
"""Our own UUID of one executed application; FreeSWITCH gives it back as Application-UUID."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_uuid() -> str:
    """A random UUID (version 4) in lower case."""
    return str(uuid.uuid4())


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in lower-case canonical form; the form is what may enter a command."""
    return _UUID.fullmatch(text) is not None
