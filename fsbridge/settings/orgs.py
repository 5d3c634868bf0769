"""`[[orgs]]`: who may place calls, and what is theirs. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from fsbridge.settings.kinds import CallerId, ListedHost, Name, NodeFolder, Table, Uuid, Words, canonical_uuid

_HEADER_VALUE = re.compile(r"[!-~]([ -~]{0,4094}[!-~])?")


class OrgAmdSettings(Table):
    """An organization's own defaults for the detector; what is absent is the service's (`[amd]`)."""

    total_timeout_ms: int | None = Field(None, ge=500, le=59_000)
    initial_silence_ms: int | None = Field(None, ge=500, le=20_000)
    after_greeting_silence_ms: int | None = Field(None, ge=200, le=5_000)
    message_end_timeout_ms: int | None = Field(None, ge=1_000, le=180_000)
    sensitivity: float | None = Field(None, ge=0.1, le=10.0)


class TransferSettings(Table):
    """A way into the nodes' dialplan that an organization's flows may take; closed where there is none.

    `context` is a name, or ``*`` for every context. An extension is one that may be reached, or all that begin so where
    it ends in ``*``.
    """

    context: Name | Literal["*"] = "default"
    extensions: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9+*#_.-]{1,64}$")], ...] = Field(min_length=1)
    dialplan: Name = "XML"


class OrgFlowSettings(Table):
    """What an organization's flows may reach through a node, beside what all may (`[flows]`)."""

    prompts_dir: NodeFolder | None = Field(None, description="its own prompts, in place of flows.prompts_dir")
    prompt_hosts: tuple[ListedHost, ...] = ()
    bot_hosts: tuple[ListedHost, ...] = ()
    transfer: tuple[TransferSettings, ...] = ()
    conference_profiles: tuple[Name, ...] = ("default",)


class OrgSettings(Table):
    """One organization: its keys (hashes only), its permission and its caller id."""

    id: Uuid
    name: Words = Field("", max_length=200)
    api_keys: tuple[Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")], ...] = ()
    outbound_calling: bool = True
    caller_id: CallerId | None = Field(None, description="for calls that name none; the trunk's when absent")
    trunk: Name | None = Field(None, description="the trunk its calls take; the first one when absent")
    amd: OrgAmdSettings = OrgAmdSettings()
    flows: OrgFlowSettings = OrgFlowSettings()
    secrets: dict[Name, SecretStr] = Field(
        default_factory=dict, description="header values that its flows' requests name; never shown, never logged"
    )

    @field_validator("id")
    @classmethod
    def _canonical(cls, value: str) -> str:
        return canonical_uuid(value)

    @field_validator("secrets")
    @classmethod
    def _sendable(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in value.items():
            if not _HEADER_VALUE.fullmatch(secret.get_secret_value()):
                raise ValueError(f"{name}: a header value is at most 4096 printable ASCII characters")
        return value
