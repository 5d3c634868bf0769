"""Whose a node's channels are, by recorded lists and by what their variables say."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.call.lifecycle.belonging import (
    LEFT,
    MAX_PAUSE_S,
    ORG,
    SESSION,
    UNSET,
    Listed,
    Owner,
    Pursuit,
    counted,
    listed,
    owner,
)
from fsbridge.esl.commands import Api
from fsbridge.esl.dialstring import GatewayEndpoint, OriginatePlan, originate
from fsbridge.esl.events import read_dump
from fsbridge.model.ids import ChannelUuid, FlowId, OrgId, SessionId
from tests.traces import loader

pytestmark = pytest.mark.unit

CHANNEL = ChannelUuid("d85c71b1-eeb7-49ab-b547-0ac40d3bd566")
CALL = SessionId("11111111-1111-4111-8111-111111111111")
OWNED_BY = OrgId("22222222-2222-4222-8222-222222222222")


def replies(name: str, command: str) -> list[str]:
    """What a recorded node printed for a command."""
    frames = [raw for raw in loader.received(name) if b"auth/request" not in raw and b"text/event" not in raw]
    pairs = zip(loader.sent(name), frames, strict=False)
    return [raw.partition(b"\n\n")[2].decode() for asked, raw in pairs if asked == Api(command).encode()]


def test_recorded_lists() -> None:
    rows = [listed(text) for text in replies("node_queries", "show channels as json")]
    assert [] in rows
    full = max((row for row in rows if row), key=len)
    assert {(row.inbound, row.application) for row in full} >= {(False, "park")}
    for text in replies("node_queries", "show channels count as json"):
        assert counted(text) is not None


def test_recorded_variables_that_are_not_there() -> None:
    (said,) = replies("call_limit_on_answer", "uuid_getvar 5b0c1a70-3d52-4c40-9b59-000000000001 nothing")
    assert said == UNSET


@pytest.mark.parametrize("reply", ["", "-ERR no", "[]", "7", '{"rows": 5}', '{"rows": [{}]}', '{"rows": [[]]}'])
def test_a_list_that_is_not_understood(reply: str) -> None:
    assert listed(reply) is None
    assert counted(reply) is None


def test_rows_without_a_channels_uuid_are_left_out() -> None:
    """Whatever stands there goes into a command later."""
    rows = [
        {"uuid": "x; system", "direction": "inbound"},
        {"uuid": CHANNEL, "direction": "inbound", "application": "park"},
    ]
    assert listed(orjson.dumps({"row_count": 2, "rows": rows}).decode()) == [Listed(CHANNEL, True, "park")]


@given(st.text())
def test_no_reply_raises(reply: str) -> None:
    listed(reply)
    counted(reply)


def headers(**variables: str) -> dict[str, str]:
    return {f"variable_{name}": value for name, value in variables.items()}


def test_a_channel_is_known_by_what_its_originate_gave_it() -> None:
    plan = OriginatePlan(
        CHANNEL, GatewayEndpoint("a", "1"), "100", CALL, OWNED_BY, FlowId("33333333-3333-4333-8333-333333333333"), "fs1"
    )
    given_to = dict(part.split("=", 1) for part in originate(plan).split("{^^;")[1].split("}")[0].split(";"))
    assert owner(headers(**given_to)) == Owner(CALL, OWNED_BY)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {SESSION: CALL},
        {ORG: OWNED_BY},
        {SESSION: "abc", ORG: OWNED_BY},
        {SESSION: CALL, ORG: "'; system"},
        {SESSION: CALL, ORG: OWNED_BY, LEFT: "true"},
    ],
)
def test_other_peoples_channels_and_those_given_away_have_no_owner_here(variables: dict[str, str]) -> None:
    assert owner(headers(**variables)) is None


def test_a_recorded_channel_of_somebody_else_has_no_owner_here() -> None:
    dumps = [read_dump(raw.partition(b"\n\n")[2].decode()) for raw in loader.received("node_queries")]
    others = [dump for dump in dumps if dump and "variable_uuid" in dump]
    assert others
    assert {owner(dump) for dump in others} == {None}


def test_a_pursuit_never_ends_and_pauses_for_longer_and_longer() -> None:
    pursuit, times = Pursuit(100.0), []
    for _ in range(12):
        pursuit = pursuit.again(pursuit.next_at)
        times.append(pursuit.next_at)
    pauses = [after - before for before, after in zip([100.0, *times], times, strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, *([MAX_PAUSE_S] * 6)]
