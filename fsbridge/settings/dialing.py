"""`[[trunks]]` and `[dialing]`: the way out, and what every call shares. Pure."""

from __future__ import annotations

from pydantic import Field

from fsbridge.settings.kinds import Name, Seconds, Table


class TrunkSettings(Table):
    """A named set of gateways, tried in order."""

    name: Name
    gateways: tuple[Name, ...] = Field(min_length=1)
    prefix: str = Field("", pattern=r"^[0-9#*]{0,15}$", description="digits before the number")
    strip_plus: bool = False
    caller_id: str | None = Field(None, pattern=r"^\+?[0-9]{1,15}$")
    sip_uris: bool = Field(True, description="whether SIP URI destinations may be dialled")


class DialingSettings(Table):
    """What every call shares."""

    ring_timeout_s: int = Field(30, ge=1, le=300)
    max_call_s: int = Field(3_600, ge=1, le=86_400)
    max_inbound_calls: int = Field(500, ge=1, le=20_000, description="live inbound calls; above it they are refused")
    originate_grace_s: Seconds = Field(10.0, description="how long after the ring timeout a silent job is chased")
