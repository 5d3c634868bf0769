"""The paths of the service, once: the router, the OpenAPI document and the Location header read them here. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path template with ``{names}``; `operation` is its name in the OpenAPI document."""

    method: str
    path: str
    operation: str


BASE: Final = "/cgw/outbound/v1"

PLACE_CALL: Final = Route("POST", BASE + "/orgs/{orgId}/flows/{flowId}/calls", "placeCall")
GET_CALL: Final = Route("GET", BASE + "/orgs/{orgId}/calls/{sessionId}", "getCall")
GET_TIMELINE: Final = Route("GET", BASE + "/orgs/{orgId}/calls/{sessionId}/timeline", "getTimeline")
GET_AUDIO: Final = Route("GET", BASE + "/orgs/{orgId}/calls/{sessionId}/audio", "getAudio")
LIST_FLOWS: Final = Route("GET", BASE + "/orgs/{orgId}/flows", "listFlows")
CREATE_FLOW: Final = Route("POST", BASE + "/orgs/{orgId}/flows", "createFlow")
GET_FLOW: Final = Route("GET", BASE + "/orgs/{orgId}/flows/{flowId}", "getFlow")
PUT_FLOW: Final = Route("PUT", BASE + "/orgs/{orgId}/flows/{flowId}", "putFlow")
DELETE_FLOW: Final = Route("DELETE", BASE + "/orgs/{orgId}/flows/{flowId}", "deleteFlow")
HEALTH: Final = Route("GET", "/healthz", "health")
READY: Final = Route("GET", "/readyz", "readiness")
METRICS: Final = Route("GET", "/metrics", "metrics")
OPENAPI: Final = Route("GET", "/openapi.json", "openapi")


def call_path(org_id: str, session_id: str) -> str:
    """Where one call is found."""
    return GET_CALL.path.format(orgId=org_id, sessionId=session_id)


def flow_path(org_id: str, flow_id: str) -> str:
    """Where one flow is found."""
    return GET_FLOW.path.format(orgId=org_id, flowId=flow_id)
