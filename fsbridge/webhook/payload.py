"""What a webhook says: the bodies of the REST contract, and the deliveries that a change of a call causes. Pure.

A body is rendered once, when the thing it tells of happens, and kept: a retry hours later sends the same bytes
under the same `webhook-id`. `variables` never appear; `metadata` is echoed byte for byte as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fsbridge.clock import rfc3339
from fsbridge.model.call import Call
from fsbridge.model.json import Json, json_object
from fsbridge.model.notice import Notice
from fsbridge.model.request import Mode
from fsbridge.model.status import Status
from fsbridge.store.base import LAST_SEQ, NEXT_SEQ, Delivery

_STATUS = {Notice.ANSWERED: Status.ANSWERED, Notice.FAILED: Status.FAILED, Notice.COMPLETED: Status.COMPLETED}
"""A notice states the status it tells of, not the one the call has moved on to by the time of rendering."""

_SEQ = {Notice.ANSWERED: 1, Notice.FAILED: LAST_SEQ, Notice.COMPLETED: LAST_SEQ}
"""Order within a call. Fixed per notice, so that a change kept twice is told once; a flow's own events lie between."""

EVENT = "call.event"
MAX_EVENT_BYTES = 65_536
"""Of a flow's own event: its data may be made of answers to requests, and it is kept until it is delivered."""


def render(notice: Notice, call: Call) -> bytes:
    """The JSON body of one callback, exactly the contract's fields ("Modes", webhook).

    `callAnalysisResult` is there only where analysis was asked for and told before, `flowResult` only where the flow
    ended with one. What is ours is ASCII with escapes, so that it survives any receiver's charset; `metadata` is UTF-8.
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
        if call.flow_result is not None:
            body["flowResult"] = call.flow_result
    if notice is not Notice.FAILED and call.request.call_analysis is not None and call.analysis is not None:
        body["callAnalysisResult"] = call.analysis.result.value
    body["metadata"] = call.request.metadata
    if notice is not Notice.FAILED:
        body["answeredAt"] = _time(call.answered_at)
    if notice is not Notice.ANSWERED:
        body["completedAt"] = _time(call.completed_at)
    return json_object(body)


def deliveries(call: Call, notices: Iterable[Notice], new_id: Callable[[], str], now: float) -> list[Delivery]:
    """The webhooks that these notices owe, due at once; none unless the call's mode is webhook.

    `new_id` makes the unique part of each `webhook-id`; `now` is Unix seconds.
    """
    url = call.request.webhook_url
    if call.request.mode is not Mode.WEBHOOK or url is None:
        return []
    return [_delivery(call, url, new_id(), _SEQ[notice], render(notice, call), now) for notice in notices]


def event_delivery(call: Call, name: str, data: Json, event_id: str, now: float) -> Delivery | None:
    """What a flow tells on its way: ``call.event`` with a name of the flow's own and any data, due at once.

    In every mode, wherever the call came with a `webhookUrl`; None where it did not, and where the body would be
    larger than `MAX_EVENT_BYTES`. The store puts it behind what the call owes already and before the call's end.
    `event_id` is the unique part of the `webhook-id`: the same one again is the same event. `now` is Unix seconds.
    """
    url = call.request.webhook_url
    if url is None:
        return None
    body = {
        "event": EVENT,
        "sessionId": call.session_id,
        "flowId": call.flow_id,
        "status": call.status.value,
        "name": name,
        "data": data,
        "metadata": call.request.metadata,
        "at": rfc3339(now),
    }
    told = json_object(body)
    return _delivery(call, url, event_id, NEXT_SEQ, told, now) if len(told) <= MAX_EVENT_BYTES else None


def _delivery(call: Call, url: str, unique: str, seq: int, body: bytes, now: float) -> Delivery:
    return Delivery(
        id=f"msg_{unique}",
        session_id=call.session_id,
        org_id=call.org_id,
        seq=seq,
        url=url,
        secret=call.request.webhook_auth,
        body=body,
        created_at=now,
        next_at=now,
    )


def _time(wall: float | None) -> str | None:
    return None if wall is None else rfc3339(wall)
