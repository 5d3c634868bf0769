"""`[[inbound]]`: which flow takes a call that comes in. Pure."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from fsbridge.settings.kinds import Name, Table, Uuid, canonical_uuid


class InboundSettings(Table):
    """Which flow takes a call that comes in: by the number that was called, by the dialplan's word, or by both.

    `key` is what the dialplan set `fsbridge_inbound` to. `number` is an E.164 number or an extension; a last ``*``
    stands for any rest. Of several that fit, the one that says most is taken (`call.lifecycle.arrivals`).
    """

    key: str | None = Field(None, pattern=r"^[A-Za-z0-9+][A-Za-z0-9_.+-]{0,63}$")
    number: str | None = Field(None, pattern=r"^(\+?[A-Za-z0-9_.#-]{1,64}\*?|\*)$")
    node: Name | None = Field(None, description="only calls that come in at this node")
    org: Uuid
    flow: Uuid

    @field_validator("org", "flow")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return canonical_uuid(value)

    @model_validator(mode="after")
    def _says_something(self) -> InboundSettings:
        if self.key is None and self.number is None:
            raise ValueError('give number = "+15551234567", key = "…" (the dialplan\'s fsbridge_inbound), or both')
        return self
