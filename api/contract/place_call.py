"""The request to place a call: its shape, and in words what is wrong with one. Pure.

What spans fields, or asks another room (a destination, a webhook address), is `api.rest.intake`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    WithJsonSchema,
    field_validator,
)

from amd_model.verdict import AmdOptions
from api.contract.errors import ApiError, invalid
from api.contract.shapes import RequestShape
from fsbridge.model.json import RawJson
from fsbridge.model.request import Mode
from fsbridge.near import Words

MAX_OBJECT_BYTES = 16_384
"""The size of `variables` and of `metadata`, each, without the white space between its parts."""
VERBATIM = frozenset({"metadata"})
"""Fields whose text is kept as it came: `api.contract.strictjson` is told of them."""

_LIMITS = AmdOptions.LIMITS


def _bounded(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is not None and (size := len(orjson.dumps(value))) > MAX_OBJECT_BYTES:
        raise ValueError(f"is {size} bytes as compact JSON; the limit is {MAX_OBJECT_BYTES}")
    return value


def _distinct(value: list[str] | None) -> list[str] | None:
    if value is not None and len(set(value)) != len(value):
        raise ValueError("names one verdict twice; name each once")
    return value


def _raw_object(value: RawJson | None) -> RawJson | None:
    if value is None:
        return None
    if not value.text.startswith("{"):
        raise ValueError("must be a JSON object")
    size = len(value.text.encode())
    if size > MAX_OBJECT_BYTES:
        size = len(_BLANK.sub(lambda found: found[1] or "", value.text).encode())
    if size > MAX_OBJECT_BYTES:
        raise ValueError(f"is {size} bytes as compact JSON; the limit is {MAX_OBJECT_BYTES}")
    return value


_BLANK = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\n\r]+')
_VARIABLE_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
VariableName = Annotated[str, Field(pattern=_VARIABLE_NAME)]
AcceptedVerdict = Literal["live_person", "answering_machine", "unknown"]
_Bounded = AfterValidator(_bounded)
_RawObject = AfterValidator(_raw_object)
_Distinct = AfterValidator(_distinct)
_ANY_OBJECT = {"type": "object", "additionalProperties": True}


class CallAnalysisOptions(RequestShape):
    """How the answer is analysed; each field absent takes the service's configured value. Times in milliseconds."""

    mode: Literal["fast", "message_end"] | None = Field(
        None,
        description="`fast`: decide and go on. `message_end`: after an answering machine, wait for its beep or lasting "
        "silence. Default: `message_end` when `callAnalysis` holds `answering_machine`, else `fast`.",
    )
    total_timeout_ms: int | None = Field(
        None,
        ge=int(_LIMITS["total_timeout_ms"][0]),
        le=int(_LIMITS["total_timeout_ms"][1]),
        description="The verdict is `unknown` if there is none by then.",
    )
    initial_silence_ms: int | None = Field(
        None,
        ge=int(_LIMITS["initial_silence_ms"][0]),
        le=int(_LIMITS["initial_silence_ms"][1]),
        description="Silence after the answer that is long enough to stop waiting for a word.",
    )
    after_greeting_silence_ms: int | None = Field(
        None,
        ge=int(_LIMITS["after_greeting_silence_ms"][0]),
        le=int(_LIMITS["after_greeting_silence_ms"][1]),
        description="Silence that ends a greeting.",
    )
    message_end_timeout_ms: int | None = Field(
        None,
        ge=int(_LIMITS["message_end_timeout_ms"][0]),
        le=int(_LIMITS["message_end_timeout_ms"][1]),
        description="How long `message_end` waits for the beep.",
    )
    sensitivity: float | None = Field(
        None,
        ge=_LIMITS["sensitivity"][0],
        le=_LIMITS["sensitivity"][1],
        description="Above 1: readier to say `answering_machine`; below 1: readier to say `live_person`.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        """JSON Schema's integers include 800.0, so ours do."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


# What `api.rest.intake` checks across fields, for clients that validate before they send.
_TOGETHER: list[Any] = [
    {
        "if": {"properties": {"mode": {"const": "webhook"}}, "required": ["mode"]},
        "then": {"properties": {"webhookUrl": {"type": "string"}}, "required": ["webhookUrl"]},
    },
    {
        "if": {"properties": {"callAnalysisOptions": {"type": "object"}}, "required": ["callAnalysisOptions"]},
        "then": {"properties": {"callAnalysis": {"type": "array"}}, "required": ["callAnalysis"]},
    },
]


class PlaceCall(RequestShape):
    """A call to be placed."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": _TOGETHER,
            "examples": [
                {
                    "destinationNumber": "+15551234567",
                    "mode": "poll",
                    "callAnalysis": ["live_person"],
                    "variables": {"name": "Ada"},
                    "metadata": {"ticket": 4711},
                }
            ],
        }
    )

    destination_number: str = Field(
        description="An E.164 number, or a `sip:` or `sips:` URI; else 400 `INVALID_DESTINATION`.",
        examples=["+15551234567", "sip:alice@example.com"],
    )
    caller_id: str | None = Field(
        None,
        pattern=r"^\+?[0-9]{1,15}$",
        description="What the callee sees. Default: the organization's, else the trunk's.",
    )
    mode: Annotated[Mode, Field(strict=False)] | None = Field(
        None, description="How the outcome is told.", json_schema_extra={"default": "poll"}
    )
    call_analysis: Annotated[list[AcceptedVerdict], Field(min_length=1), _Distinct] | None = Field(
        None,
        description="Present: the answer is analysed, and the flow runs only for a verdict named here. Absent: no "
        "analysis, the flow runs at the answer.",
        json_schema_extra={"uniqueItems": True},
    )
    call_analysis_options: CallAnalysisOptions | None = Field(None, description="Only together with `callAnalysis`.")
    variables: Annotated[dict[VariableName, Any], _Bounded] | None = Field(
        None,
        description="The flow's session variables; never echoed. At most 16,384 bytes as compact JSON.",
        json_schema_extra={"propertyNames": {"pattern": _VARIABLE_NAME}},
    )
    metadata: Annotated[InstanceOf[RawJson], _RawObject, WithJsonSchema(_ANY_OBJECT)] | None = Field(
        None,
        description="Opaque; echoed byte for byte in every response and callback, never seen by the flow. Numbers may "
        "have any size and spelling. At most 16,384 bytes as compact JSON.",
    )
    webhook_url: str | None = Field(
        None,
        description="https URL that receives the callbacks. Required for mode `webhook` (else 400 "
        "`INVALID_WEBHOOK_URL`); in the others only a flow's own `call.event` goes there, and a URL that may not be "
        "used is no fault.",
        examples=["https://example.com/hooks/calls"],
    )
    webhook_auth: str | None = Field(
        None,
        min_length=1,
        max_length=1_024,
        description="Secret that signs the callbacks; stored encrypted, never returned.",
        json_schema_extra={"writeOnly": True},
    )


def parse_place_call(body: dict[str, Any]) -> PlaceCall:
    """A parsed JSON body, its `VERBATIM` fields raw, as a checked request.

    Raises ApiError INVALID_REQUEST that names every field at fault.
    """
    try:
        return PlaceCall.model_validate(body)
    except ValidationError as error:
        raise _explain(error) from error


_HINTS = {
    "callerId": "must be 1 to 15 digits, with or without a leading +",
    "callAnalysis": "must be a list with at least one of live_person, answering_machine, unknown",
    "mode": "must be one of sync, poll, webhook",
    "callAnalysisOptions.mode": "must be fast or message_end",
}
_MAX_FAULTS = 5


def _explain(error: ValidationError) -> ApiError:
    faults = error.errors(include_url=False, include_input=False)
    words = [_fault(fault) for fault in faults[:_MAX_FAULTS]]
    if len(faults) > _MAX_FAULTS:
        words.append(f"and {len(faults) - _MAX_FAULTS} more")
    return invalid("; ".join(words))


def _fault(fault: Any) -> str:
    location: tuple[str | int, ...] = fault["loc"]
    place = ".".join(_shown(part) for part in location if part != "[key]")
    if fault["type"] == "extra_forbidden":
        model = CallAnalysisOptions if location[0] == "callAnalysisOptions" else PlaceCall
        return f"{place}: unknown field; " + _suggest(str(location[-1]), model)
    if location[-1] == "[key]":
        return f"{place}: a variable's name must be a letter or _, then up to 63 letters, digits or _"
    if fault["type"] == "missing":
        return f"{place}: missing; it is required"
    if fault["type"] == "value_error":
        return f"{place}: {fault['ctx']['error']}"
    hint = _HINTS.get("callAnalysis" if location[0] == "callAnalysis" else place)
    if hint:
        return f"{place}: {hint}"
    words = re.sub(r"^[A-Z][a-z]+ should ", "must ", fault["msg"])
    return f"{place}: {words.replace('valid dictionary', 'JSON object')}"


def _shown(part: str | int) -> str:
    """A path's element with nothing in it that could confuse a log or a terminal."""
    text = str(part)
    return text if text.isascii() and text.isprintable() and len(text) <= 64 else ascii(text[:64])


def _suggest(name: str, model: type[BaseModel]) -> str:
    near = _known(model).nearest(name)
    return f"did you mean {near}?" if near is not None else f"known are {', '.join(_aliases(model))}"


@cache
def _known(model: type[BaseModel]) -> Words:
    """Kept: one body may have thousands of fields that nobody knows."""
    return Words(_aliases(model))


def _aliases(model: type[BaseModel]) -> list[str]:
    fields: Iterable[tuple[str, Any]] = model.model_fields.items()
    return [field.alias or name for name, field in fields]
