"""Which trunk a call takes, and what it dials there. Pure; the rules are the configuration's."""

from __future__ import annotations

from dataclasses import dataclass

from fsbridge.call.model import Destination, DestinationKind
from fsbridge.dialing.destinations import DestinationError
from fsbridge.settings import OrgSettings, Settings, TrunkSettings


class NotDiallable(DestinationError):
    """The organization's trunk does not take this kind of destination."""


@dataclass(frozen=True, slots=True)
class Route:
    """A trunk, its gateways in the order in which they are to be tried, the digits to dial, the default caller id."""

    trunk: str
    gateways: tuple[str, ...]
    number: str
    caller_id: str | None


def choose(settings: Settings, org: OrgSettings, destination: Destination) -> Route:
    """The organization's trunk (the first one, if it names none) with the number as that trunk wants it.

    `number` is empty for a SIP URI, which needs no gateway. Raises NotDiallable.
    """
    trunk = _trunk_of(settings, org)
    caller_id = org.caller_id or trunk.caller_id
    if destination.kind is DestinationKind.SIP_URI:
        if not trunk.sip_uris:
            raise NotDiallable(f"trunk {trunk.name} dials no SIP URIs (sip_uris = false)")
        return Route(trunk.name, trunk.gateways, "", caller_id)
    number = destination.value.removeprefix("+") if trunk.strip_plus or trunk.prefix else destination.value
    return Route(trunk.name, trunk.gateways, trunk.prefix + number, caller_id)


def _trunk_of(settings: Settings, org: OrgSettings) -> TrunkSettings:
    for trunk in settings.trunks:
        if trunk.name == org.trunk:
            return trunk
    return settings.trunks[0]
