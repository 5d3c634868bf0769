"""The body of every error, for the OpenAPI document and for a flow's faults. Pure."""

from __future__ import annotations

from pydantic import Field

from api.contract.errors import ErrorCode
from api.contract.shapes import AnswerShape


class FlowFault(AnswerShape):
    """One fault of a flow's document; null where there is no such thing to name."""

    line: int | None = Field(description="Of the document's text, from 1.")
    step: str | None = Field(description="The step's id, or its number where it has none.")
    field: str | None
    message: str


class ErrorDetail(AnswerShape):
    """`code` is for programs, `message` for people."""

    code: ErrorCode
    message: str
    session_id: str | None = Field(
        None, description="With `SYNC_TIMEOUT`: the call that goes on.", json_schema_extra={"format": "uuid"}
    )
    details: list[FlowFault] | None = Field(None, description="With an invalid flow document: every fault of it.")


class ErrorBody(AnswerShape):
    """The body of every error."""

    error: ErrorDetail
