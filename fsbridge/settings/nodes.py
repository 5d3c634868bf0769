"""`[[nodes]]`: the FreeSWITCH nodes. Pure."""

from __future__ import annotations

from pydantic import Field, SecretStr

from fsbridge.settings.kinds import Name, Seconds, Table


class NodeSettings(Table):
    """One FreeSWITCH and its event socket."""

    name: Name
    host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(8021, ge=1, le=65_535)
    password: SecretStr = SecretStr("ClueCon")
    sip_profile: Name = "external"
    connect_timeout_s: Seconds = 5.0
    command_timeout_s: Seconds = 5.0
    heartbeat_timeout_s: Seconds = 65.0
    lost_after_s: Seconds = Field(60.0, description="calls of a node away for longer than this are given up")
