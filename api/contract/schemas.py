"""The shapes of the REST contract: what is validated, what is rendered, and, from the same models, the schemas of
the OpenAPI document. Pure.

Types are strict: ``"1"`` is no number and ``true`` no integer. Unknown fields are refused by name. An optional
field that is null counts as absent, since many clients cannot leave a field out. What spans fields, or asks
another room (a destination, a webhook address), is `api.rest.intake`'s.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from amd_model.verdict import AmdOptions, Reason, Verdict
from api.contract.errors import ApiError, ErrorCode, invalid
from fsbridge.clock import rfc3339
from fsbridge.model.call import Call
from fsbridge.model.outcome import FailureReason
from fsbridge.model.request import Mode
from fsbridge.model.status import Status

MAX_OBJECT_BYTES = 16_384
"""The size of `variables` and of `metadata`, each, as compact JSON."""
UUID_PATTERN = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"

_LIMITS = AmdOptions.LIMITS


def _bounded(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is not None and (size := len(orjson.dumps(value))) > MAX_OBJECT_BYTES:
        raise ValueError(f"is {size} bytes as compact JSON; the limit is {MAX_OBJECT_BYTES}")
    return value


def _distinct(value: list[str] | None) -> list[str] | None:
    if value is not None and len(set(value)) != len(value):
        raise ValueError("names one verdict twice; name each once")
    return value


_VARIABLE_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"
VariableName = Annotated[str, Field(pattern=_VARIABLE_NAME)]
AcceptedVerdict = Literal["live_person", "answering_machine", "unknown"]
_Bounded = AfterValidator(_bounded)
_Distinct = AfterValidator(_distinct)


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", alias_generator=to_camel)


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class CallAnalysisOptions(_Request):
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


class PlaceCall(_Request):
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
    metadata: Annotated[dict[str, Any], _Bounded] | None = Field(
        None,
        description="Opaque; echoed verbatim in every response and callback, never seen by the flow. At most 16,384 "
        "bytes as compact JSON.",
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


class CallAnalysisDetails(_Response):
    """What the detector found; times in milliseconds after the answer."""

    result: Verdict
    confidence: float = Field(ge=0, le=1)
    reason: Reason | None
    decided_after_ms: int | None
    greeting_end_ms: int | None
    beep_ms: int | None
    model_version: str


class Hangup(_Response):
    """How the switch ended the channel."""

    cause: str = Field(description="FreeSWITCH's hang-up cause", examples=["USER_BUSY"])
    q850: int | None
    sip_status: int | None


class CallResource(_Response):
    """One call. Every key but `flowResult` is always there; null where it does not apply (yet)."""

    session_id: str = Field(json_schema_extra={"format": "uuid"})
    flow_id: str = Field(json_schema_extra={"format": "uuid"})
    flow_version: str | None = Field(description="Of the document that ran; a flow's version is its ETag.")
    inbound: bool = Field(description="Whether the call came in; then `destinationNumber` is what was called.")
    status: Status = Field(
        description="`Queued`, `Ringing`, `Answered`, then once and finally `Completed` or `Failed`."
    )
    destination_number: str
    caller_id: str | None
    mode: Mode
    call_analysis_result: Verdict | None = Field(description="Only where analysis was asked for.")
    call_analysis_details: CallAnalysisDetails | None = Field(description="Only where analysis was asked for.")
    failure_reason: FailureReason | None = Field(description="Only for `Failed`.")
    failure_detail: str | None = Field(description="The failure in words; only for `Failed`.")
    hangup: Hangup | None
    duration_seconds: int | None = Field(description="From the answer to the end.")
    metadata: Any = Field(description="As it came.")
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    answered_at: str | None = Field(json_schema_extra={"format": "date-time"})
    completed_at: str | None = Field(json_schema_extra={"format": "date-time"})
    flow_result: Any = Field(None, description="What the flow ended with; only there if it ended with something.")


class FlowFault(_Response):
    """One fault of a flow's document; null where there is no such thing to name."""

    line: int | None = Field(description="Of the document's text, from 1.")
    step: str | None = Field(description="The step's id, or its number where it has none.")
    field: str | None
    message: str


class ErrorDetail(_Response):
    """`code` is for programs, `message` for people."""

    code: ErrorCode
    message: str
    session_id: str | None = Field(
        None, description="With `SYNC_TIMEOUT`: the call that goes on.", json_schema_extra={"format": "uuid"}
    )
    details: list[FlowFault] | None = Field(None, description="With an invalid flow document: every fault of it.")


class ErrorBody(_Response):
    """The body of every error."""

    error: ErrorDetail


class Health(_Response):
    """Answered as long as the process serves at all."""

    status: Literal["ok"]


class Readiness(_Response):
    """Whether calls should be sent here; `reasons` say why not."""

    status: Literal["ready", "not_ready"]
    reasons: list[str]


def parse_place_call(body: dict[str, Any]) -> PlaceCall:
    """A parsed JSON body as a checked request. Raises ApiError INVALID_REQUEST that names every field at fault."""
    try:
        return PlaceCall.model_validate(body)
    except ValidationError as error:
        raise _explain(error) from error


def render_call(call: Call) -> CallResource:
    """The call as the contract shows it: failures only once it is terminal, analysis only where it was asked for."""
    request, failed = call.request, call.status is Status.FAILED
    analysis = call.analysis if request.call_analysis is not None else None
    return CallResource(
        session_id=call.session_id,
        flow_id=call.flow_id,
        flow_version=call.flow_version or None,
        inbound=call.inbound,
        status=call.status,
        destination_number=request.destination.value,
        caller_id=request.caller_id,
        mode=request.mode,
        call_analysis_result=analysis.result if analysis else None,
        call_analysis_details=CallAnalysisDetails(
            result=analysis.result,
            confidence=round(analysis.confidence, 4),
            reason=analysis.reason,
            decided_after_ms=analysis.decided_after_ms,
            greeting_end_ms=analysis.greeting_end_ms,
            beep_ms=analysis.beep_ms,
            model_version=analysis.model_version,
        )
        if analysis
        else None,
        failure_reason=call.failure if failed else None,
        failure_detail=call.failure_detail if failed else None,
        hangup=Hangup(cause=call.hangup.cause, q850=call.hangup.q850, sip_status=call.hangup.sip_status)
        if call.hangup
        else None,
        duration_seconds=call.duration_s,
        metadata=request.metadata,
        created_at=rfc3339(call.created_at),
        answered_at=_time(call.answered_at),
        completed_at=_time(call.completed_at),
        **({} if call.flow_result is None else {"flow_result": call.flow_result}),
    )


def to_json(model: BaseModel) -> bytes:
    """A response's bytes, keys as in the contract; what was not given is not there."""
    values = model.model_dump(by_alias=True, exclude_unset=True)
    try:
        return orjson.dumps(values)
    except TypeError:  # what a flow was told by others may have what orjson refuses: half characters, huge integers
        return json.dumps(values, separators=(",", ":")).encode("ascii")


def _time(wall: float | None) -> str | None:
    return None if wall is None else rfc3339(wall)


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
        return f"{place}: unknown field; " + _suggest(str(location[-1]), _aliases(model))
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


def _suggest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name[:64], known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _aliases(model: type[BaseModel]) -> list[str]:
    fields: Iterable[tuple[str, Any]] = model.model_fields.items()
    return [field.alias or name for name, field in fields]
