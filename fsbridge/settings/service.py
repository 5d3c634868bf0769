"""`[service]`: the HTTP side, and what is kept on disk. Pure."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from fsbridge.settings.addresses import HostPort
from fsbridge.settings.kinds import LocalPath, Seconds, Table


class ServiceSettings(Table):
    """The HTTP side and what is kept on disk."""

    listen: HostPort = "127.0.0.1:8080"
    data_dir: LocalPath = Path("var")
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    sync_timeout_s: Seconds = 30.0
    max_body_bytes: int = Field(65_536, ge=1_024, le=10_485_760)
    max_connections: int = Field(4_000, ge=10, le=100_000)
    requests_per_second: float = Field(200.0, gt=0, le=100_000, description="a key's rate; above it 429")
    record_ttl_s: float = Field(
        7 * 86_400.0, gt=0, le=10 * 365 * 86_400, description="how long a call is kept after its end"
    )
    drain_timeout_s: Seconds = 30.0
    secret_key: SecretStr | None = Field(
        None, description="Fernet key that encrypts webhookAuth at rest; made in data_dir when absent"
    )

    @field_validator("secret_key")
    @classmethod
    def _a_fernet_key(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value is not None and len(base64.urlsafe_b64decode(value.get_secret_value())) != 32:
                raise ValueError
        except ValueError:
            raise ValueError("not a Fernet key; make one with `openssl rand -base64 32 | tr '+/' '-_'`") from None
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)
