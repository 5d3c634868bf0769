"""What a webhook says: the bodies of the REST contract, and the deliveries that a change of a call causes. Pure.

A body is rendered once, when the thing it tells of happens, and kept: a retry hours later sends the same bytes
under the same `webhook-id`. `variables` never appear; `metadata` is echoed as it came.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from fsbridge.call.effects import Notice
from fsbridge.call.model import Call, Mode, Status
from fsbridge.clock import rfc3339
from fsbridge.store.base import Delivery

_STATUS = {Notice.ANSWERED: Status.ANSWERED, Notice.FAILED: Status.FAILED, Notice.COMPLETED: Status.COMPLETED}
"""A notice states the status it tells of, not the one the call has moved on to by the time of rendering."""

_SEQ = {Notice.ANSWERED: 1, Notice.FAILED: 2, Notice.COMPLETED: 2}
"""Order within a call. Fixed per notice, so that a change kept twice is told once."""


def render(notice: Notice, call: Call) -> bytes:
    """The JSON body of one callback, exactly the contract's fields ("Modes", webhook).

    `callAnalysisResult` is there only where analysis was asked for and told before; ASCII with escapes, so the
    bytes survive any receiver's charset.
    """
    body: dict[str, Any] = {
        "event": notice.value,
        "sessionId": call.session_id,
        "flowId": call.flow_id,
        "status": _STATUS[notice].value,
    }
    if notice is Notice.FAILED:
        body["failureReason"] = None if call.failure is None else call.failure.value
    if notice is Notice.COMPLETED:
        body["durationSeconds"] = call.duration_s
    if notice is not Notice.FAILED and call.request.call_analysis is not None and call.analysis is not None:
        body["callAnalysisResult"] = call.analysis.result.value
    body["metadata"] = call.request.metadata
    if notice is not Notice.FAILED:
        body["answeredAt"] = _time(call.answered_at)
    if notice is not Notice.ANSWERED:
        body["completedAt"] = _time(call.completed_at)
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def deliveries(call: Call, notices: Iterable[Notice], new_id: Callable[[], str], now: float) -> list[Delivery]:
    """The webhooks that these notices owe, due at once; none unless the call's mode is webhook.

    `new_id` makes the unique part of each `webhook-id`; `now` is Unix seconds.
    """
    request = call.request
    if request.mode is not Mode.WEBHOOK or request.webhook_url is None:
        return []
    return [
        Delivery(
            id=f"msg_{new_id()}",
            session_id=call.session_id,
            seq=_SEQ[notice],
            url=request.webhook_url,
            secret=request.webhook_auth,
            body=render(notice, call),
            created_at=now,
            next_at=now,
        )
        for notice in notices
    ]


def _time(wall: float | None) -> str | None:
    return None if wall is None else rfc3339(wall)
