"""`[service]`: the HTTP side, and what is kept on disk. Pure."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from fsbridge.settings.addresses import HostPort, Network, host_and_port
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
    max_connections_per_address: int = Field(500, ge=1, le=100_000, description="of an IPv6 network of 64 bits, too")
    proxies: tuple[Network, ...] = Field(
        ("127.0.0.0/8", "::1/128"), description="addresses that speak for many: no limit of their own"
    )
    probe_listen: HostPort | None = Field(
        None, description="a second address for /healthz, /readyz and /metrics, with places of its own"
    )
    probes_on_listen: bool = Field(True, description="whether these are answered at `listen` as well")
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

    @model_validator(mode="after")
    def _probes_are_somewhere(self) -> ServiceSettings:
        if self.probe_listen is None and not self.probes_on_listen:
            raise ValueError("probes_on_listen: false leaves probes nowhere to ask; give probe_listen")
        if self.probe_listen == self.listen and not self.listen.endswith(":0"):
            raise ValueError("probe_listen: must be another address than listen")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return host_and_port(self.listen)
