"""`[webhooks]`: deliveries. Pure."""

from __future__ import annotations

from pydantic import Field

from fsbridge.settings.kinds import LocalPath, Seconds, Table

_DELAYS = (5, 30, 120, 600, 3_600, 3_600 * 3, 3_600 * 6, 3_600 * 12, 3_600 * 24)


class WebhookSettings(Table):
    """Deliveries and the addresses they may go to."""

    allow_private: bool = Field(False, description="private and loopback addresses may receive callbacks")
    allow_http: bool = Field(False, description="http:// as well as https://; for tests and demos")
    ca_file: LocalPath | None = None
    connect_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 10.0
    workers: int = Field(
        64,
        ge=1,
        le=256,
        description="deliveries under way at a time; each organization has a sixteenth of its own besides",
    )
    retry_delays_s: tuple[Seconds, ...] = Field(_DELAYS, max_length=100)
