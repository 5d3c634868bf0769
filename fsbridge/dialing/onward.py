"""Whom a flow's `bridge` step calls, and as whom: texts of the flow into the argument of `bridge`. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fsbridge.dialing.destinations import DestinationError, parse_destination
from fsbridge.dialing.trunks import choose, media_patience
from fsbridge.errors import FsbridgeError
from fsbridge.esl.dialstring import DialStringError, Endpoint, GatewayEndpoint, SipUriEndpoint, bridge_argument
from fsbridge.model.destination import DestinationKind
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings


class DialError(FsbridgeError):
    """The destination cannot be dialled; the message says why, and what can."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a `bridge` step says. Its texts are what the flow's templates came to, so they may be anything.

    `trunk` None: the organization's, else the first one; `caller_id` None: the organization's, else the trunk's.
    """

    to: str
    ring_s: float
    trunk: str | None = None
    caller_id: str | None = None


def dial_out(settings: Settings, org: OrgSettings, wish: Wish, profile: str = "external") -> str:
    """The argument of `bridge` for an E.164 number, by the trunk's gateway, or a SIP URI, from the node's `profile`.

    Never from nobody, and never as the far end of the call that is bridged, which FreeSWITCH would take if it were told
    nothing. Raises DialError.
    """
    try:
        found = parse_destination(wish.to)
        route = choose(settings, org, found, wish.trunk)
        caller_id = wish.caller_id or route.caller_id
        if caller_id is None:
            raise DialError(f"bridge by trunk {route.trunk}: neither the step, the organization nor it has a caller id")
        endpoints: tuple[Endpoint, ...] = tuple(GatewayEndpoint(gateway, route.number) for gateway in route.gateways)
        if found.kind is DestinationKind.SIP_URI:
            endpoints = (SipUriEndpoint(profile, found.value),)
        ring_s = min(max(1, math.ceil(wish.ring_s)), 600)
        return bridge_argument(endpoints, caller_id, ring_s, media_patience(settings))
    except (DestinationError, DialStringError) as error:
        raise DialError(f"bridge to {wish.to[:80]!r}: {error}") from error
