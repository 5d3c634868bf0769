"""Whose a node's channels are, by what they carry: ours, another's, or one that we gave away. Pure.

Every channel of ours carries the session and the organization of its call: an outbound one from its originate string
on, one that came in from the moment when it was taken. A flow that hands its channel to the node's dialplan marks it
first: from then on it is nobody's of ours, whatever becomes of this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from fsbridge.model.ids import ChannelUuid, OrgId, SessionId, is_uuid

SESSION, ORG, LEFT = "fsbridge_session", "fsbridge_org", "fsbridge_left"
"""Channel variables: of which call a channel is, of which organization, and that a flow has given it away."""

UNSET = "_undef_"
"""What `uuid_getvar` prints for a variable that a channel does not have (tests/traces call_limit_on_answer)."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A channel as `show channels as json` has it."""

    channel: ChannelUuid
    inbound: bool
    application: str


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a channel is: a call of ours, or of another fsbridge on the same node."""

    session: SessionId
    org: OrgId


def listed(reply: str) -> list[Listed] | None:
    """The channels in the answer to `show channels as json`; None for an answer that is not understood."""
    try:
        rows = orjson.loads(reply).get("rows", [])
        return [
            Listed(ChannelUuid(row["uuid"]), row.get("direction") == "inbound", str(row.get("application")))
            for row in rows
            if is_uuid(row["uuid"])
        ]
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return None


def counted(reply: str) -> int | None:
    """The number in the answer to `show channels count as json`; None for an answer that is not understood."""
    try:
        return int(orjson.loads(reply)["row_count"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def owner(headers: Mapping[str, str]) -> Owner | None:
    """The owner of a channel by its `uuid_dump`; None where no fsbridge has it, or has it any more."""
    session, org = headers.get(f"variable_{SESSION}", ""), headers.get(f"variable_{ORG}", "")
    if headers.get(f"variable_{LEFT}") or not (is_uuid(session) and is_uuid(org)):
        return None
    return Owner(SessionId(session), OrgId(org))


@dataclass(frozen=True, slots=True)
class Pursuit:
    """A channel that is to be hung up until the node says that it is gone; monotonic seconds.

    The pauses between the tries double: a node that does not obey is overloaded, or out of reach.
    """

    next_at: float
    pause_s: float = 1.0

    def again(self, now: float) -> Pursuit:
        """After one more try."""
        return Pursuit(now + self.pause_s, min(self.pause_s * 2, MAX_PAUSE_S))


MAX_PAUSE_S = 60.0
