"""The call endpoints in the OpenAPI document. Pure."""

from __future__ import annotations

from api.contract import routes
from api.contract.call_resource import CallResource
from api.contract.errors import ErrorCode
from api.contract.flow_schemas import CallTimeline
from api.contract.place_call import PlaceCall
from api.openapi.parts import COMMON, LOCATION, Doc, body_errors, errors, operation, other, ref, response


def place() -> Doc:
    """`POST …/flows/{flowId}/calls`."""
    responses = {
        "200": response("Mode `sync`: the call has ended; `Failed` is a 200 too.", CallResource, LOCATION),
        "201": response("Mode `poll` or `webhook`: the call is queued.", CallResource, LOCATION),
        **errors(*COMMON, ErrorCode.INVALID_DESTINATION, ErrorCode.INVALID_WEBHOOK_URL, ErrorCode.SYNC_TIMEOUT),
        **body_errors(),
    }
    body = {"required": True, "content": {"application/json": {"schema": ref(PlaceCall)}}}
    return operation(routes.PLACE_CALL, "calls", "Place a call and run the flow on it", responses, requestBody=body)


def single() -> Doc:
    """`GET …/calls/{sessionId}`."""
    return _about_a_call(routes.GET_CALL, "Status of a call, live or ended", response("The call.", CallResource))


def timeline() -> Doc:
    """`GET …/calls/{sessionId}/timeline`."""
    return _about_a_call(
        routes.GET_TIMELINE, "What happened in a call, live or ended", response("Its timeline.", CallTimeline)
    )


def audio() -> Doc:
    """`GET …/calls/{sessionId}/audio`."""
    return _about_a_call(
        routes.GET_AUDIO,
        "The kept part of a call's answer, where answers are kept (`amd.keep_audio_s`)",
        other("PCM, 8 kHz, 16 bits, mono.", "audio/wav", {}),
    )


def _about_a_call(route: routes.Route, summary: str, answer: Doc) -> Doc:
    return operation(route, "calls", summary, {"200": answer, **errors(*COMMON)})
