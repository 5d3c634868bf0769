"""Whom a call goes to. Pure; `dialing.destinations` decides what may be dialled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DestinationKind(StrEnum):
    """What the caller dials."""

    NUMBER = "number"
    SIP_URI = "sip_uri"


@dataclass(frozen=True, slots=True)
class Destination:
    """A validated destination: an E.164 number with its plus sign, or a SIP URI in canonical form."""

    kind: DestinationKind
    value: str
