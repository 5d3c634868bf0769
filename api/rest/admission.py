"""Who may go on: the checks that every request of an organization passes, in one order.

Key (401), permission (403), rate (429), organization in the path (400 if it is no UUID, 403 if it is another's): so an
error never tells more than the caller may know. And the words for what every handler may have to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from api.contract.errors import ApiError, ErrorCode, invalid
from api.http.edge import Request, retry_after
from api.http.ratelimit import RateLimiter
from api.http.shares import Shares
from api.rest.auth import Keyring, require_org, require_permission
from fsbridge.clock import Clock
from fsbridge.errors import FsbridgeError
from fsbridge.model.ids import is_uuid
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings

log = structlog.get_logger(__name__)

HELD_RETRY_S = 5.0
UNAVAILABLE_RETRY_S = 5.0
"""What a caller is asked to wait when the service cannot do it: about a restart's length."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the checks work with."""

    settings: Settings
    keyring: Keyring
    limiter: RateLimiter
    shares: Shares
    clock: Clock

    def admit(self, request: Request) -> OrgSettings:
        """The organization that asks, and that the path names. Raises ApiError."""
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
        require_org(org, uuid_of(request, "orgId"))
        return org

    @contextmanager
    def holding(self, org: OrgSettings) -> Iterator[None]:
        """While a request is held open for the organization. Raises ApiError when it has its share of them."""
        if not self.shares.take(org.id):
            raise ApiError(
                ErrorCode.RATE_LIMIT_EXCEEDED,
                "mode: too many sync requests of this organization are held open; use poll or webhook, or wait",
                headers=(retry_after(HELD_RETRY_S),),
            )
        try:
            yield
        finally:
            self.shares.give_back(org.id)


def uuid_of(request: Request, name: str) -> str:
    """A UUID in the path, in lower case. Raises ApiError INVALID_REQUEST."""
    text = request.params[name].lower()
    if not is_uuid(text):
        raise invalid(f"{name}: must be a UUID such as 6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10")
    return text


def unavailable(error: FsbridgeError, request: Request) -> ApiError:
    """503. The cause is logged for the operator: it may name files and hosts, which are no caller's business."""
    log.warning("service_unavailable", request_id=request.request_id, error=type(error).__name__, detail=str(error))
    return ApiError(
        ErrorCode.SERVICE_UNAVAILABLE,
        "the service cannot do this now (it may be restarting); try again as Retry-After says",
        headers=(retry_after(UNAVAILABLE_RETRY_S),),
    )
