"""The flow endpoints: an organization's documents listed, read, tried, written and taken away.

A document is written as it came (JSON or YAML), only when it is valid, and only by who knows what it replaces: the
version is the ETag, `If-Match` is needed to replace or delete. Checks come in this order: those of
`api.rest.admission`, the other UUIDs (400), query (400), headers (400, 415), body (400, 413), the document (400),
permission of the flow (403), precondition (412, 428).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import orjson

from api.contract.conditions import YAML, etag, expected, sends_json, wants_yaml
from api.contract.errors import ApiError, ErrorCode, invalid
from api.contract.faults import refusal, rendered
from api.contract.flow_schemas import FlowCheck, FlowPage, render_flow
from api.contract.routes import flow_path
from api.contract.shapes import to_json
from api.contract.strictjson import parse_object
from api.http.edge import Request, Response, retry_after
from api.rest.admission import Admission, unavailable, uuid_of
from api.rest.ports import CallService
from fsbridge.errors import FsbridgeError
from fsbridge.flow.document.document import version_of
from fsbridge.flow.document.errors import FlowForeign, FlowInvalid, FlowMissing, Problem
from fsbridge.flow.document.source import MAX_BYTES
from fsbridge.flow.library.entry import Expected, FlowBusy, FlowConflict, TooManyFlows
from fsbridge.flow.library.library import FlowLibrary
from fsbridge.model.ids import FlowId, OrgId, is_uuid, new_uuid

T = TypeVar("T")

PAGE, MAX_PAGE = 50, 200
DRY_RUN = "dryRun"
_YAML_UTF8 = f"{YAML}; charset=utf-8"


@dataclass(frozen=True, slots=True)
class FlowHandlers:
    """Handlers of the routes that end in `/flows` or `/flows/{flowId}`."""

    service: CallService
    admission: Admission

    def list(self, request: Request) -> Response:
        """GET: a page of the organization's flows."""
        org_id = self._org(request)
        query = request.query("after", "limit")
        limit, after = _limit(query.get("limit")), _after(query.get("after"))
        # One more than asked for: whether there is a next page.
        entries = self._ask(request, lambda: self._library.entries(org_id, after, limit + 1))
        page = entries[:limit]
        more = page[-1].flow_id if len(entries) > limit else None
        return Response(200, to_json(FlowPage(flows=[render_flow(entry) for entry in page], next=more)))

    def get(self, request: Request) -> Response:
        """GET: the document, as JSON or as it was written."""
        org_id, flow_id = self._org(request), FlowId(uuid_of(request, "flowId"))
        stored = self._ask(request, lambda: self._library.read(org_id, flow_id))
        headers = (etag(stored.entry.version), ("Vary", "Accept"))
        if wants_yaml(request.header("Accept")):
            return Response(200, stored.text.encode(), _YAML_UTF8, headers)
        if stored.value is None:
            raise ApiError(
                ErrorCode.INVALID_REQUEST,
                f"this document cannot be read as YAML and so not be shown as JSON; send Accept: {YAML} for its text",
                status=406,
            )
        return Response(200, orjson.dumps(stored.value), headers=headers)

    def create(self, request: Request) -> Response:
        """POST: a new flow under an id of ours."""
        org_id = self._org(request)
        return self._write(request, org_id, FlowId(new_uuid()), Expected())

    def put(self, request: Request) -> Response:
        """PUT: a new flow under an id of the caller's, or a new version of one."""
        org_id, flow_id = self._org(request), FlowId(uuid_of(request, "flowId"))
        return self._write(
            request, org_id, flow_id, expected(request.header("If-Match"), request.header("If-None-Match"))
        )

    def delete(self, request: Request) -> Response:
        """DELETE: calls that run go on, no new one may name it."""
        org_id, flow_id = self._org(request), FlowId(uuid_of(request, "flowId"))
        request.query()
        believed = expected(request.header("If-Match"), None)
        self._ask(request, lambda: self._library.delete(org_id, flow_id, believed))
        return Response(204, b"")

    @property
    def _library(self) -> FlowLibrary:
        return self.service.flows

    def _org(self, request: Request) -> OrgId:
        return OrgId(self.admission.admit(request).id)

    def _write(self, request: Request, org_id: OrgId, flow_id: FlowId, believed: Expected) -> Response:
        dry = _truth(request.query(DRY_RUN).get(DRY_RUN))
        json = sends_json(request.header("Content-Type"))
        text = _text(request.body(MAX_BYTES), json)
        if dry:
            return Response(200, to_json(self._try(request, org_id, text)))
        entry = self._ask(request, lambda: self._library.write(org_id, flow_id, text, believed, json=json))
        created = believed == Expected()
        location = (("Location", flow_path(org_id, flow_id)),) if created else ()
        return Response(201 if created else 200, to_json(render_flow(entry)), headers=(etag(entry.version), *location))

    def _try(self, request: Request, org_id: OrgId, text: str) -> FlowCheck:
        def checked() -> tuple[Problem, ...]:
            try:
                self._library.check(org_id, text)
            except FlowInvalid as error:
                return error.faults
            return ()

        faults = self._ask(request, checked)
        return FlowCheck(valid=not faults, version=version_of(text), errors=[rendered(fault) for fault in faults])

    def _ask(self, request: Request, work: Callable[[], T]) -> T:
        try:
            return work()
        except FlowForeign as error:
            raise ApiError(ErrorCode.PERMISSION_DENIED, "flowId: the flow belongs to another organization") from error
        except FlowMissing as error:
            raise ApiError(ErrorCode.NOT_FOUND, "flowId: this organization has no such flow") from error
        except FlowInvalid as error:
            raise refusal(error.faults) from error
        except FlowConflict as error:
            raise _conflict(error, request) from error
        except TooManyFlows as error:
            raise ApiError(ErrorCode.TOO_MANY_FLOWS, f"flowId: {error}") from error
        except FlowBusy as error:
            code = ErrorCode.RATE_LIMIT_EXCEEDED if error.own else ErrorCode.SERVICE_UNAVAILABLE
            message = f"{error}; wait as long as Retry-After says"
            raise ApiError(code, message, headers=(retry_after(error.retry_after_s),)) from error
        except FsbridgeError as error:
            raise unavailable(error, request) from error


def _conflict(error: FlowConflict, request: Request) -> ApiError:
    if error.current is None:
        return ApiError(
            ErrorCode.PRECONDITION_FAILED, "If-Match: there is no such flow; leave the header out to create it"
        )
    if request.header("If-Match") is None and request.header("If-None-Match") is None:
        return ApiError(
            ErrorCode.PRECONDITION_REQUIRED,
            "If-Match: missing; send the ETag of the version that you mean, so that nobody else's change is lost",
            headers=(etag(error.current),),
        )
    return ApiError(
        ErrorCode.PRECONDITION_FAILED,
        f"the flow is there in version {error.current}; GET it, look at what has changed, and try again with its ETag",
        headers=(etag(error.current),),
    )


def _text(body: bytes, json: bool) -> str:
    if json:
        parse_object(body)  # stricter than YAML's reading: what only one of two parsers takes is refused
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(f"body: not UTF-8 at byte {error.start}; send the document encoded as UTF-8") from error


def _truth(value: str | None) -> bool:
    if value not in (None, "true", "false"):
        raise invalid(f"{DRY_RUN}: must be true or false")
    return value == "true"


def _limit(value: str | None) -> int:
    if value is None:
        return PAGE
    if not value.isascii() or not value.isdigit() or len(value) > 3 or not 1 <= int(value) <= MAX_PAGE:
        raise invalid(f"limit: must be a number from 1 to {MAX_PAGE}")
    return int(value)


def _after(value: str | None) -> str:
    if value is None:
        return ""
    if not is_uuid(value.lower()):
        raise invalid("after: must be the flowId that the last page gave as next")
    return value.lower()
