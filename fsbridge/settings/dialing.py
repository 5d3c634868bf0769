"""`[[trunks]]` and `[dialing]`: the way out, and what every call shares. Pure."""

from __future__ import annotations

from pydantic import Field, field_validator

from fsbridge.settings.kinds import CallerId, Name, Seconds, Table


class TrunkSettings(Table):
    """A named way out: its gateway, and what it wants to be dialled."""

    name: Name
    gateways: tuple[Name, ...] = Field(min_length=1)
    prefix: str = Field("", pattern=r"^[0-9#*]{0,15}$", description="digits before the number")
    strip_plus: bool = False
    caller_id: CallerId | None = Field(None, description="for calls of organizations that have none")
    sip_uris: bool = Field(True, description="whether SIP URI destinations may be dialled")
    tls: bool = Field(False, description="the nodes' sip_profile has TLS: sips: and ;transport=tls may be dialled")

    @field_validator("gateways")
    @classmethod
    def _one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) > 1:
            raise ValueError(
                f"a call takes the first one, {value[0]}; the others would never be tried. Give each gateway a "
                "[[trunks]] table of its own, and name it in orgs.trunk or in a bridge step"
            )
        return value


class DialingSettings(Table):
    """What every call shares."""

    ring_timeout_s: int = Field(30, ge=1, le=300, description="for at least as long a phone rings")
    max_call_s: int = Field(3_600, ge=1, le=86_400)
    max_inbound_calls: int = Field(500, ge=1, le=20_000, description="live inbound calls; above it they are refused")
    media_timeout_s: int = Field(
        120,
        ge=0,
        le=86_400,
        description="a far end that sends no audio for so long is gone; 0: as the node's profile says",
    )
    media_hold_timeout_s: int = Field(1_800, ge=0, le=86_400, description="the same for one that holds the call")
    originate_grace_s: Seconds = Field(10.0, description="how long after the ring timeout a silent job is chased")
