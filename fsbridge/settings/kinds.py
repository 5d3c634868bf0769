"""What the tables' fields are made of: names and texts that were checked, and the table itself. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fsbridge.model.ids import is_uuid


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a control character")
    return value


def _path(value: Path) -> Path:
    _printable(str(value))
    return value


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A name from the configuration that may enter an event-socket command: allow-listed."""
Uuid = Annotated[str, Field(min_length=36, max_length=36)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
NodeFolder = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}){1,16}/?$")]
"""An absolute folder on a FreeSWITCH node; it enters commands: allow-listed, and no part begins with a dot."""
CallerId = Annotated[str, Field(pattern=r"^(\+?[0-9]{1,15}|anonymous)$")]
"""A number to call from, or `anonymous`: withheld, on purpose."""
ListedHost = Annotated[
    str,
    Field(pattern=r"^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)(:[0-9]{1,5})?$"),
    AfterValidator(str.lower),
]
"""A host that tenants may name: ``host`` is its scheme's own port, ``host:port`` that one."""
LocalPath = Annotated[Path, AfterValidator(_path)]
"""A file or folder on this machine."""
Words = Annotated[str, AfterValidator(_printable)]
"""A text that is shown to people."""


class Table(BaseModel):
    """One table of the file: frozen, and no key in it that we do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


def canonical_uuid(value: str) -> str:
    """The UUID in lower case. Raises ValueError."""
    if not is_uuid(value.lower()):
        raise ValueError("must be a UUID such as 6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10")
    return value.lower()
