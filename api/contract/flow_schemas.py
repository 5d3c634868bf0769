"""The shapes of the answers about flows and timelines, for rendering and for the OpenAPI document alike. Pure."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from api.contract.error_body import FlowFault
from api.contract.shapes import AnswerShape
from fsbridge.clock import rfc3339
from fsbridge.flow.library.entry import FlowEntry


class FlowResource(AnswerShape):
    """What is known of a flow beside its document. `version` is its ETag without the quotes."""

    flow_id: str = Field(json_schema_extra={"format": "uuid"})
    name: str = Field(description="As the document has it; empty for an invalid one.")
    version: str = Field(description="Changes exactly when the document's text does.")
    valid: bool = Field(description="Whether calls may be placed with it.")
    updated_at: str = Field(json_schema_extra={"format": "date-time"})


class FlowPage(AnswerShape):
    """Some of an organization's flows, ordered by `flowId`."""

    flows: list[FlowResource]
    next: str | None = Field(
        description="Ask for the next page with `after` set to this; null on the last one.",
        json_schema_extra={"format": "uuid"},
    )


class FlowCheck(AnswerShape):
    """What a dry run finds; nothing is written."""

    valid: bool
    version: str = Field(description="The version that the document would have.")
    errors: list[FlowFault]


class TimelineEntry(AnswerShape):
    """One thing that happened; what else an entry has depends on its `event`."""

    model_config = ConfigDict(extra="allow")

    at: str = Field(json_schema_extra={"format": "date-time"})
    event: str = Field(
        description="`placed`, `originated`, `ringing`, `answered`, `tapConnected`, `tapFailed`, `verdict`, "
        "`stepStarted` (step, kind), `stepEnded` (step, kind, outcome, durationMs), `digits`, `heard`, `hangup` "
        "(cause, sipStatus), `ended` (status, failureReason); `omitted` (events) stands for as many others."
    )


class CallTimeline(AnswerShape):
    """What has happened in a call, in order; the longest ones lose their middle."""

    session_id: str = Field(json_schema_extra={"format": "uuid"})
    events: list[TimelineEntry]


def render_flow(entry: FlowEntry) -> FlowResource:
    """What is told of a flow."""
    return FlowResource(
        flow_id=entry.flow_id,
        name=entry.name,
        version=entry.version,
        valid=entry.valid,
        updated_at=rfc3339(entry.updated_at),
    )
