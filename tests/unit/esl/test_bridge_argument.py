"""The argument of `bridge`: exact form, and nothing that a flow's text could add to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsbridge.esl.causes import CAUSES
from fsbridge.esl.dialstring import (
    FINAL_CAUSES,
    MAX_ENDPOINTS,
    DialStringError,
    Endpoint,
    GatewayEndpoint,
    MediaPatience,
    SipUriEndpoint,
    bridge_argument,
)
from tests.traces import loader
from tests.unit.esl.originate_reader import MARKUP, read
from tests.unit.esl.test_dialstring import ENDPOINTS, HOSTILE, near

pytestmark = pytest.mark.unit

FIRST, SECOND = GatewayEndpoint("carrier", "+15551234567"), GatewayEndpoint("spare", "15551234567")


def test_one_endpoint() -> None:
    assert bridge_argument((FIRST,), "+15550100100", 25) == (
        "{^^;originate_timeout=26;outbound_redirect_fatal=true;rtp_timeout_sec=120;rtp_hold_timeout_sec=1800;origination_caller_id_number=+15550100100;"
        "origination_caller_id_name=+15550100100}sofia/gateway/carrier/+15551234567"
    )


def test_gateways_are_tried_in_order_but_not_after_the_callee_has_said_no() -> None:
    argument = bridge_argument((FIRST, SECOND), "100", 30, MediaPatience(0, 0), {"fsbridge_node": "fs1"})
    assert argument == (
        "{^^;originate_timeout=31;outbound_redirect_fatal=true;fail_on_single_reject=USER_BUSY,NO_ANSWER,NO_USER_RESPONSE,CALL_REJECTED,"
        "UNALLOCATED_NUMBER,NUMBER_CHANGED,INVALID_NUMBER_FORMAT;"
        "origination_caller_id_number=100;origination_caller_id_name=100;fsbridge_node=fs1}"
        "sofia/gateway/carrier/+15551234567|sofia/gateway/spare/15551234567"
    )


def test_the_recorded_bridge_without_our_variables() -> None:
    """What stands behind the braces has the form that a real FreeSWITCH bridged."""
    argument = bridge_argument((GatewayEndpoint("loop", "1777"),), "100", 30)
    (recorded, _) = [raw for raw in loader.sent("flow_bridge_and_transfer") if b"execute-app-name: bridge" in raw]
    assert f"execute-app-arg: {argument.partition('}')[2]}\n".encode() in recorded


def test_a_carriers_own_troubles_lead_to_the_next_gateway() -> None:
    assert set(FINAL_CAUSES) <= set(CAUSES)
    assert not set(FINAL_CAUSES) & {"NORMAL_TEMPORARY_FAILURE", "GATEWAY_DOWN", "RECOVERY_ON_TIMER_EXPIRE"}
    # FreeSWITCH looks for the cause as a part of the text: none that should go on may be one.
    assert [name for name in CAUSES if name in ",".join(FINAL_CAUSES) and name not in FINAL_CAUSES] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoints": ()}, "endpoints: there must be 1 to 16"),
        ({"endpoints": (FIRST,) * (MAX_ENDPOINTS + 1)}, "endpoints"),
        ({"endpoints": (GatewayEndpoint("carrier", "1|2"),)}, "number"),
        ({"endpoints": (SipUriEndpoint("gateway", "sip:a@b"),)}, "mod_sofia's own word"),
        ({"timeout_s": 0}, "ring timeout"),
        ({"timeout_s": 601}, "ring timeout"),
        ({"timeout_s": 2.5}, "ring timeout: must be whole seconds"),
        ({"caller_id": "1;api_on_answer=x"}, "caller id"),
        ({"variables": {"api_on_answer": "x"}}, "variable"),
        ({"variables": {"execute_on_answer": "x"}}, "variable"),
        ({"variables": {"fsbridge_x": "a;b=c"}}, "fsbridge_x"),
        ({"variables": {"sip_h_X-Id": "${x}"}}, "sip_h_X-Id"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], words: str) -> None:
    given_: dict[str, Any] = {"endpoints": (FIRST,), "caller_id": "100", "timeout_s": 30}
    with pytest.raises(DialStringError, match=words.replace("|", r"\|")):
        bridge_argument(**(given_ | changes))


OWN = st.dictionaries(
    st.one_of(st.sampled_from(["fsbridge_node", "sip_h_X-Call", "api_on_answer", "origination_uuid"]), HOSTILE),
    near("fs1", "", "a.b-c_d+1"),
    max_size=3,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(ENDPOINTS, min_size=1, max_size=3), near("+15550100100", "anonymous"), st.integers(-1, 601), OWN)
@example([GatewayEndpoint("g", "1}{api_on_answer=x")], "100", 30, {})
@example([FIRST], "1}{x=y", 30, {})
@example([FIRST], "100", 30, {"fsbridge_x": "1}[y=z]"})
def test_no_text_gets_out(
    endpoints: list[Endpoint], caller_id: str, timeout_s: int, variables: Mapping[str, str]
) -> None:
    """Refused by name, or FreeSWITCH reads exactly these legs and these variables."""
    try:
        argument = bridge_argument(endpoints, caller_id, timeout_s, variables=variables)
    except DialStringError:
        return
    reading = read(f"originate {argument} &park()")
    expected = ["originate_timeout", "outbound_redirect_fatal", "rtp_timeout_sec", "rtp_hold_timeout_sec"]
    secure = any(isinstance(endpoint, SipUriEndpoint) and endpoint.secure for endpoint in endpoints)
    expected += ["sofia_suppress_url_encoding"] * secure + ["fail_on_single_reject"] * (len(endpoints) > 1)
    expected += ["origination_caller_id_number", "origination_caller_id_name"]
    expected += ["origination_privacy"] * (caller_id == "anonymous")
    assert [name for name, _ in reading.variables] == expected + list(variables)
    assert [f"{kind}/{data}" for kind, data in reading.legs] == [endpoint.render() for endpoint in endpoints]
    assert not reading.local_variables
    assert not reading.further_arguments
    values = {name: value for name, value in reading.variables if name != "fail_on_single_reject"}
    assert not MARKUP & set("".join(values.values()))
    assert not set(" ;'") & set(argument.partition("}")[0].removeprefix("{^^;").replace(";", "", len(values) + 1))
    assert " " not in argument
    assert argument.isascii()
