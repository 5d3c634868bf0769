"""The call endpoints: place a call, look at one, at what happened in it, and listen to its answer.

Checks come in this order: those of `api.rest.admission`, the other UUIDs in the path (400), body (400), flow (404 or
400).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import orjson
import structlog

from api.contract.call_resource import render_call
from api.contract.errors import ApiError, ErrorCode, invalid
from api.contract.place_call import VERBATIM, parse_place_call
from api.contract.routes import call_path
from api.contract.shapes import to_json
from api.contract.strictjson import parse_object
from api.http.edge import Request, Response
from api.rest.admission import Admission, unavailable, uuid_of
from api.rest.intake import to_call_request
from api.rest.ports import CallService
from fsbridge.dialing.destinations import DestinationError
from fsbridge.errors import FsbridgeError
from fsbridge.flow.document.errors import FlowForeign, FlowInvalid, FlowMissing
from fsbridge.model.call import Call
from fsbridge.model.ids import FlowId, OrgId, SessionId
from fsbridge.model.request import CallRequest, Mode
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings

T = TypeVar("T")

log = structlog.get_logger(__name__)

WAV = "audio/wav"
_NO_CALL = "sessionId: this organization has no such call, or it ended too long ago"


@dataclass(frozen=True, slots=True)
class CallHandlers:
    """Handlers of the routes below `/calls`, and of `routes.PLACE_CALL`."""

    settings: Settings
    service: CallService
    admission: Admission

    def place(self, request: Request) -> Response:
        """POST: 201 with the queued call (poll, webhook), or 200 with the ended one (sync)."""
        org = self.admission.admit(request)
        flow_id = FlowId(uuid_of(request, "flowId"))
        wanted = to_call_request(parse_place_call(parse_object(request.body(), VERBATIM)), self.settings, org)
        if wanted.mode is Mode.SYNC:
            with self.admission.holding(org):
                return self._hold(org, flow_id, wanted, request)
        call = self._place(org, flow_id, wanted, request)
        location = ("Location", call_path(org.id, call.session_id))
        return Response(201, to_json(render_call(call)), headers=(location,))

    def _hold(self, org: OrgSettings, flow_id: FlowId, wanted: CallRequest, request: Request) -> Response:
        call = self._place(org, flow_id, wanted, request)
        location = ("Location", call_path(org.id, call.session_id))
        timeout = self.settings.service.sync_timeout_s
        ended = self.service.wait(call.session_id, timeout) or self._ended(org, call.session_id)
        if ended is None:
            raise ApiError(
                ErrorCode.SYNC_TIMEOUT,
                f"the call has not ended within {timeout:g} s and goes on; GET {location[1]} tells how it ends",
                headers=(location,),
                extra={"sessionId": call.session_id},
            )
        return Response(200, to_json(render_call(ended)), headers=(location,))

    def get(self, request: Request) -> Response:
        """GET: the call, live or ended; another organization's is as unknown as one that never was."""
        _, call = self._look(request, self.service.get, _NO_CALL)
        return Response(200, to_json(render_call(call)))

    def timeline(self, request: Request) -> Response:
        """GET: what has happened in the call so far, in order."""
        session_id, events = self._look(request, self.service.timeline, _NO_CALL)
        return Response(200, orjson.dumps({"sessionId": session_id, "events": events}))

    def audio(self, request: Request) -> Response:
        """GET: the kept part of the call's answer as WAV."""
        _, sound = self._look(
            request, self.service.audio, "sessionId: nothing is kept of such a call, or it ended too long ago"
        )
        return Response(200, sound, WAV)

    def _look(self, request: Request, ask: Callable[[OrgId, SessionId], T | None], missing: str) -> tuple[SessionId, T]:
        org = self.admission.admit(request)
        session_id = SessionId(uuid_of(request, "sessionId"))
        try:
            found = ask(OrgId(org.id), session_id)
        except FsbridgeError as error:
            raise unavailable(error, request) from error
        if found is None:
            raise ApiError(ErrorCode.NOT_FOUND, missing)
        return session_id, found

    def _ended(self, org: OrgSettings, session_id: SessionId) -> Call | None:
        """The call if it ended before, or just as, it was waited for.

        A store that fails here must not hide the session id of a call that was placed: a 504 with it is told.
        """
        try:
            call = self.service.get(OrgId(org.id), session_id)
        except FsbridgeError as error:
            log.warning("ended_unknown", session_id=session_id, error=type(error).__name__, detail=str(error))
            return None
        return call if call is not None and call.ended else None

    def _place(self, org: OrgSettings, flow_id: FlowId, wanted: CallRequest, request: Request) -> Call:
        try:
            return self.service.place(org, flow_id, wanted)
        except FlowForeign as error:
            raise ApiError(ErrorCode.PERMISSION_DENIED, "flowId: the flow belongs to another organization") from error
        except FlowMissing as error:
            raise ApiError(ErrorCode.NOT_FOUND, "flowId: this organization has no such flow") from error
        except FlowInvalid as error:
            raise invalid("flowId: the flow's document is invalid: " + "; ".join(error.problems)) from error
        except DestinationError as error:
            raise ApiError(ErrorCode.INVALID_DESTINATION, f"destinationNumber: {error}") from error
        except FsbridgeError as error:
            raise unavailable(error, request) from error
