"""`[[nodes]]`: the FreeSWITCH nodes. Pure."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from fsbridge.settings.addresses import NodeHost
from fsbridge.settings.kinds import Name, Seconds, Table


class NodeSettings(Table):
    """One FreeSWITCH and its event socket."""

    name: Name
    host: NodeHost = "127.0.0.1"
    port: int = Field(8021, ge=1, le=65_535)
    password: SecretStr = SecretStr("ClueCon")
    sip_profile: Name = "external"
    connect_timeout_s: Seconds = 5.0
    command_timeout_s: Seconds = 5.0
    heartbeat_timeout_s: Seconds = 65.0
    lost_after_s: Seconds = Field(60.0, description="calls of a node away for longer than this are given up")

    @field_validator("password")
    @classmethod
    def _one_line(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().isprintable():
            raise ValueError("holds a control character; the event socket takes a password of one line")
        return value
