"""The WSGI application: handlers put on their routes. `api.main` builds it, `api.http.server` serves it."""

from __future__ import annotations

from api.contract import routes
from api.http.edge import Handler, Limits, WsgiApp, build_wsgi
from api.http.ratelimit import RateLimiter
from api.http.shares import Shares
from api.rest.admission import Admission
from api.rest.auth import Keyring
from api.rest.calls import CallHandlers
from api.rest.flows import FlowHandlers
from api.rest.ops import OpsHandlers
from api.rest.ports import CallService
from fsbridge.clock import Clock
from fsbridge.settings.whole import Settings


def build_app(settings: Settings, service: CallService, clock: Clock) -> WsgiApp:
    """The whole REST side over one service."""
    limits = Limits(body_bytes=settings.service.max_body_bytes)
    limiter = RateLimiter(settings.service.requests_per_second)
    admission = Admission(settings, Keyring(settings.orgs), limiter, Shares(settings.service.max_connections), clock)
    calls = CallHandlers(settings, service, admission)
    flows = FlowHandlers(service, admission)
    ops = OpsHandlers(service, clock, limits.body_bytes, probes=settings.service.probes_on_listen)
    table = (
        (routes.PLACE_CALL, calls.place),
        (routes.GET_CALL, calls.get),
        (routes.GET_TIMELINE, calls.timeline),
        (routes.GET_AUDIO, calls.audio),
        (routes.LIST_FLOWS, flows.list),
        (routes.CREATE_FLOW, flows.create),
        (routes.GET_FLOW, flows.get),
        (routes.PUT_FLOW, flows.put),
        (routes.DELETE_FLOW, flows.delete),
        (routes.OPENAPI, ops.openapi),
        *(_probes(ops) if settings.service.probes_on_listen else ()),
    )
    return build_wsgi(table, clock, limits)


def build_probes(service: CallService, clock: Clock) -> WsgiApp:
    """What machines ask, alone: for an address of its own."""
    return build_wsgi(_probes(OpsHandlers(service, clock)), clock, Limits(body_bytes=0))


def _probes(ops: OpsHandlers) -> tuple[tuple[routes.Route, Handler], ...]:
    return ((routes.HEALTH, ops.health), (routes.READY, ops.ready), (routes.METRICS, ops.metrics))
