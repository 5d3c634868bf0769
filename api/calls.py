"""The two call endpoints of the contract: place a call, look at one.

Checks come in this order, so that an error never tells more than the caller may know: key (401), permission (403),
rate (429), organization in the path (400 if it is no UUID, 403 if it is another's), the other UUIDs (400), body (400),
flow (404 or 400).
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from api.auth import Keyring, require_org, require_permission
from api.errors import ApiError, ErrorCode, invalid
from api.http import Request, Response, retry_after
from api.intake import to_call_request
from api.ports import CallService
from api.ratelimit import RateLimiter
from api.routes import call_path
from api.schemas import parse_place_call, render_call, to_json
from api.strictjson import parse_object
from fsbridge.call.model import Call, CallRequest, Mode
from fsbridge.clock import Clock
from fsbridge.dialing.destinations import DestinationError
from fsbridge.errors import FsbridgeError
from fsbridge.flow.errors import FlowForeign, FlowInvalid, FlowMissing
from fsbridge.ids import FlowId, OrgId, SessionId, is_uuid
from fsbridge.settings import OrgSettings, Settings

log = structlog.get_logger(__name__)

UNAVAILABLE_RETRY_S = 5.0
"""What a caller is asked to wait when no call can be taken: about a restart's length."""


@dataclass(frozen=True, slots=True)
class CallHandlers:
    """Handlers of `routes.PLACE_CALL` and `routes.GET_CALL`."""

    settings: Settings
    service: CallService
    keyring: Keyring
    limiter: RateLimiter
    clock: Clock

    def place(self, request: Request) -> Response:
        """POST: 201 with the queued call (poll, webhook), or 200 with the ended one (sync)."""
        org = self._admit(request)
        require_org(org, _uuid(request, "orgId"))
        flow_id = FlowId(_uuid(request, "flowId"))
        wanted = to_call_request(parse_place_call(parse_object(request.body())), self.settings, org)
        call = self._place(org, flow_id, wanted, request.request_id)
        location = ("Location", call_path(org.id, call.session_id))
        if wanted.mode is not Mode.SYNC:
            return Response(201, to_json(render_call(call)), headers=(location,))
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
        org = self._admit(request)
        require_org(org, _uuid(request, "orgId"))
        session_id = SessionId(_uuid(request, "sessionId"))
        try:
            call = self.service.get(OrgId(org.id), session_id)
        except FsbridgeError as error:
            raise _unavailable(error, request.request_id) from error
        if call is None:
            raise ApiError(
                ErrorCode.NOT_FOUND, "sessionId: this organization has no such call, or it ended too long ago"
            )
        return Response(200, to_json(render_call(call)))

    def _admit(self, request: Request) -> OrgSettings:
        org = self.keyring.authenticate(request.authorization)
        require_permission(org)
        wait = self.limiter.take(org.id, self.clock.monotonic())
        if wait > 0:
            rate = self.settings.service.requests_per_second
            raise ApiError(
                ErrorCode.RATE_LIMIT_EXCEEDED,
                f"more than {rate:g} requests a second; wait as long as Retry-After says",
                headers=(retry_after(wait),),
            )
        return org

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

    def _place(self, org: OrgSettings, flow_id: FlowId, wanted: CallRequest, request_id: str) -> Call:
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
            raise _unavailable(error, request_id) from error


def _uuid(request: Request, name: str) -> str:
    text = request.params[name].lower()
    if not is_uuid(text):
        raise invalid(f"{name}: must be a UUID such as 6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10")
    return text


def _unavailable(error: FsbridgeError, request_id: str) -> ApiError:
    # The cause is for the operator: it may name files and hosts, which are no caller's business.
    log.warning("service_unavailable", request_id=request_id, error=type(error).__name__, detail=str(error))
    return ApiError(
        ErrorCode.SERVICE_UNAVAILABLE,
        "the service cannot do this now (it may be restarting); try again as Retry-After says",
        headers=(retry_after(UNAVAILABLE_RETRY_S),),
    )
