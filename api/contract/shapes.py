"""What every shape of the contract has in common. Pure.

Types of requests are strict: ``"1"`` is no number and ``true`` no integer. Unknown fields are refused by name. An
optional field that is null counts as absent, since many clients cannot leave a field out.
"""

from __future__ import annotations

import orjson
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from fsbridge.model.json import Json, RawJson, ascii_json, json_object

UUID_PATTERN = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"


class RequestShape(BaseModel):
    """What comes in: strict, frozen, with nothing unknown in it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", alias_generator=to_camel)


class AnswerShape(BaseModel):
    """What goes out."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


def to_json(model: BaseModel) -> bytes:
    """A response's bytes, keys as in the contract; what was not given is not there, what is raw stays so."""
    values = model.model_dump(by_alias=True, exclude_unset=True)
    for name, field in type(model).model_fields.items():
        if isinstance(value := getattr(model, name), RawJson):
            values[field.alias or name] = value
    return json_object(values, _encoded)


def _encoded(value: Json) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # what a flow was told by others may have what orjson refuses: half characters, huge integers
        return ascii_json(value)
