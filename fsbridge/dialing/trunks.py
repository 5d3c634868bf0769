"""Which trunk a call takes, and what it dials there. Pure; the rules are the configuration's."""

from __future__ import annotations

from dataclasses import dataclass

from fsbridge.dialing.destinations import DestinationError
from fsbridge.esl.dialstring import MediaPatience
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.settings.dialing import TrunkSettings
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings


class NotDiallable(DestinationError):
    """There is no such trunk, or it does not take this kind of destination."""


@dataclass(frozen=True, slots=True)
class Route:
    """A trunk, its gateways in the order in which they are to be tried, the digits to dial, the default caller id."""

    trunk: str
    gateways: tuple[str, ...]
    number: str
    caller_id: str | None


def choose(settings: Settings, org: OrgSettings, destination: Destination, trunk_name: str | None = None) -> Route:
    """A trunk with the number as that trunk wants it.

    The trunk is the one named, else the organization's, else the first one.

    `number` is empty for a SIP URI, which needs no gateway. Raises NotDiallable.
    """
    trunk = _trunk_of(settings, org, trunk_name)
    caller_id = org.caller_id or trunk.caller_id
    if destination.kind is DestinationKind.SIP_URI:
        if not trunk.sip_uris:
            raise NotDiallable(f"trunk {trunk.name} dials no SIP URIs (sip_uris = false)")
        if _wants_tls(destination.value) and not trunk.tls:
            raise NotDiallable(f"asks for TLS, which trunk {trunk.name} has not (tls = false); it is not sent in clear")
        return Route(trunk.name, trunk.gateways, "", caller_id)
    number = destination.value.removeprefix("+") if trunk.strip_plus or trunk.prefix else destination.value
    return Route(trunk.name, trunk.gateways, trunk.prefix + number, caller_id)


def media_patience(settings: Settings) -> MediaPatience:
    """How long any leg may be silent."""
    return MediaPatience(settings.dialing.media_timeout_s, settings.dialing.media_hold_timeout_s)


def _wants_tls(uri: str) -> bool:
    return uri.startswith("sips:") or uri.endswith(";transport=tls")


def _trunk_of(settings: Settings, org: OrgSettings, name: str | None) -> TrunkSettings:
    for trunk in settings.trunks:
        if trunk.name == (name or org.trunk):
            return trunk
    if name is not None:
        raise NotDiallable(f"there is no trunk named {name!r}; trunks are {', '.join(t.name for t in settings.trunks)}")
    return settings.trunks[0]
