"""What a call wants of its node, in the call's own words: commands out, inputs of the lifecycle back.

A thin layer over `fsbridge.node.Node`: it knows which command serves which purpose and what each reply means
for the call. Methods block their caller up to the node's command timeout and raise EslError where the
lifecycle has nothing to learn from the failure.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsbridge.amd import fork
from fsbridge.call import inputs as i
from fsbridge.call.model import Call
from fsbridge.esl.commands import Api
from fsbridge.esl.dialstring import Endpoint, OriginatePlan, Tap
from fsbridge.esl.errors import CommandFailed, EslError
from fsbridge.ids import ActionId, ChannelUuid
from fsbridge.node import Node
from fsbridge.outcome import HangupInfo

CAUSE_REALM = "fsbridge"
"""Realm in mod_hash under which a node keeps the causes of calls that ended while nobody was connected."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a call is dialled: the endpoint, who it seems to come from, how long it rings, what listens."""

    endpoint: Endpoint | None
    caller_id: str | None
    ring_timeout_s: int
    tap: Tap | None
