"""Calls and inputs for the lifecycle's tests."""

from __future__ import annotations

from typing import Any

from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Mode, Reason, Verdict
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.effects import Effect, Tell
from fsbridge.call.lifecycle.machine import step
from fsbridge.call.lifecycle.moves import Limits
from fsbridge.model.call import Call
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId
from fsbridge.model.moment import Moment
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import HangupInfo
from fsbridge.model.request import CallRequest

CHANNEL = "c3b6e586-88c7-4d60-884a-e2d5411a7757"
LIMITS = Limits()


def a_call(analysis: set[Verdict] | None = None, mode: Mode = Mode.FAST, **changes: Any) -> Call:
    request = CallRequest(
        destination=Destination(DestinationKind.NUMBER, "+15550100001"),
        caller_id="+15550100100",
        call_analysis=frozenset(analysis) if analysis is not None else None,
        amd=AmdOptions(mode=mode) if analysis is not None else None,
    )
    fields: dict[str, Any] = {
        "session_id": SessionId("11111111-1111-4111-8111-111111111111"),
        "org_id": OrgId("22222222-2222-4222-8222-222222222222"),
        "flow_id": FlowId("33333333-3333-4333-8333-333333333333"),
        "request": request,
        "channel": ChannelUuid(CHANNEL),
        "job": JobUuid("44444444-4444-4444-8444-444444444444"),
        "node": "fs1",
        "trunk": "main",
        "created_at": 1_000.0,
    }
    return Call(**(fields | changes))


def verdict(result: Verdict, **changes: Any) -> i.AmdHeard:
    fields: dict[str, Any] = {"at_ms": 1200, "result": result, "confidence": 0.9, "reason": Reason.SHORT_GREETING}
    return i.AmdHeard(AmdEvent(EventKind.VERDICT, **(fields | changes)))


def an_end(cause: str = "NORMAL_CLEARING", q850: int | None = 16, **changes: Any) -> i.End:
    """An end by the cause's name; `talk_s`, `alerted`, `ago_s`, and HangupInfo's fields by theirs."""
    own = {name: changes.pop(name) for name in ("talk_s", "alerted", "ago_s") if name in changes}
    return i.End(HangupInfo(cause, q850, **changes), **own)


def hung_up(cause: str = "NORMAL_CLEARING", q850: int | None = 16, **changes: Any) -> i.HungUp:
    return i.HungUp(an_end(cause, q850, **changes))


def play(call: Call, *events: i.Input, at: float = 0.0, limits: Limits = LIMITS) -> tuple[Call, list[Effect]]:
    """Feed the events, a tenth of a second apart; returns the call and all effects in order."""
    effects: list[Effect] = []
    for number, event in enumerate(events):
        moment = at + number / 10
        call, made = step(call, event, Moment(moment, 1_000.0 + moment), limits)
        effects += made
    return call, effects


def notices(effects: list[Effect]) -> list[Notice]:
    return [effect.notice for effect in effects if isinstance(effect, Tell)]
