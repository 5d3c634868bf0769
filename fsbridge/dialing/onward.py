"""Whom a flow's `bridge` step calls: a text of the flow into the endpoints that `bridge` is to try, in order. Pure."""

from __future__ import annotations

from fsbridge.dialing.destinations import DestinationError, parse_destination
from fsbridge.dialing.trunks import choose
from fsbridge.errors import FsbridgeError
from fsbridge.esl.dialstring import Endpoint, GatewayEndpoint, SipUriEndpoint
from fsbridge.model.destination import DestinationKind
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings


class DialError(FsbridgeError):
    """The destination cannot be dialled; the message says why, and what can."""


def dial_out(
    settings: Settings, org: OrgSettings, destination: str, trunk: str | None = None, profile: str = "external"
) -> tuple[Endpoint, ...]:
    """The endpoints for an E.164 number (one a gateway of the trunk) or a SIP URI (one, from the node's `profile`).

    `destination` is what a flow's template came to, so it may be anything. The trunk is the one named, else the
    organization's, else the first one. Raises DialError.
    """
    try:
        found = parse_destination(destination)
        route = choose(settings, org, found, trunk)
    except DestinationError as error:
        raise DialError(f"bridge to {destination[:80]!r}: {error}") from error
    if found.kind is DestinationKind.SIP_URI:
        return (SipUriEndpoint(profile=profile, uri=found.value),)
    return tuple(GatewayEndpoint(gateway=gateway, number=route.number) for gateway in route.gateways)
