"""What a caller asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from amd_model.verdict import AmdOptions, Verdict
from fsbridge.model.destination import Destination
from fsbridge.model.json import Json, RawJson


class Mode(StrEnum):
    """How the caller learns the outcome."""

    SYNC = "sync"
    POLL = "poll"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What the caller asked for, validated. `call_analysis` None means: no analysis, flow at answer.

    `variables` go to the flow only; `metadata` to the caller only; `webhook_auth` signs and is never shown.
    """

    destination: Destination
    caller_id: str | None
    mode: Mode = Mode.POLL
    call_analysis: frozenset[Verdict] | None = None
    amd: AmdOptions | None = None
    variables: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))
    metadata: RawJson | None = None
    webhook_url: str | None = None
    webhook_auth: str | None = None
