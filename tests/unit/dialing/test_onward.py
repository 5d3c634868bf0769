"""What a flow may bridge to, by which gateway, and as whom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.dialing.onward import DialError, Wish, dial_out
from fsbridge.settings.reading import parse
from tests.unit.esl.originate_reader import Reading, read

pytestmark = pytest.mark.unit

CONFIGURED = parse(
    {
        "nodes": [{"name": "fs1"}],
        "orgs": [
            {"id": "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10", "trunk": "main", "caller_id": "+15550100100"},
            {"id": "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a11", "trunk": "main", "outbound_calling": False},
        ],
        "trunks": [
            {"name": "closed", "gateways": ["c"], "sip_uris": False},
            {"name": "main", "gateways": ["a"]},
            {"name": "prefixed", "gateways": ["p"], "prefix": "9", "caller_id": "anonymous"},
            {"name": "secure", "gateways": ["s"], "tls": True},
        ],
        "dialing": {"media_timeout_s": 60, "media_hold_timeout_s": 600},
    }
)


def bridged(to: str, ring_s: float = 30, *, org: int = 0, profile: str = "external", **wish: Any) -> Reading:
    """What FreeSWITCH would make of the argument."""
    argument = dial_out(CONFIGURED, CONFIGURED.orgs[org], Wish(to, ring_s, **wish), profile)
    return read(f"originate {argument} &park()")


def test_a_number_by_the_gateway_of_the_organizations_trunk() -> None:
    reading = bridged("+15551234567")
    assert reading.legs == [("sofia", "gateway/a/+15551234567")]
    assert dict(reading.variables) == {
        "originate_timeout": "31",
        "outbound_redirect_fatal": "true",
        "rtp_timeout_sec": "60",
        "rtp_hold_timeout_sec": "600",
        "origination_caller_id_number": "+15550100100",
        "origination_caller_id_name": "+15550100100",
    }


def test_by_the_trunk_that_the_step_names() -> None:
    assert bridged("+15551234567", trunk="prefixed").legs == [("sofia", "gateway/p/915551234567")]


def test_a_sip_uri_from_the_nodes_profile() -> None:
    reading = bridged("SIP:alice@Example.com", profile="inside")
    assert reading.legs == [("sofia", "inside/sip:alice@example.com")]


def test_sips_by_a_trunk_with_tls_and_by_no_other() -> None:
    reading = bridged("sips:alice@example.com", trunk="secure")
    assert reading.legs == [("sofia", "external/sips:alice@example.com")]
    assert dict(reading.variables)["sofia_suppress_url_encoding"] == "true"
    for uri in ("sips:alice@example.com", "sip:alice@example.com;transport=TLS"):
        with pytest.raises(DialError, match=r"asks for TLS, which trunk main has not \(tls = false\)"):
            bridged(uri)


@pytest.mark.parametrize(
    ("org", "wish", "number"),
    [
        (0, {}, "+15550100100"),
        (0, {"caller_id": "+4930123456"}, "+4930123456"),
        (0, {"trunk": "prefixed"}, "+15550100100"),
        (1, {"trunk": "prefixed"}, "anonymous"),
        (1, {"caller_id": "100"}, "100"),
    ],
)
def test_as_whom_it_is_bridged(org: int, wish: dict[str, str], number: str) -> None:
    """The step's, the organization's, the trunk's: never the far end's own number, and never 0000000000."""
    assert dict(bridged("+15551234567", org=org, **wish).variables)["origination_caller_id_number"] == number


def test_from_nobody_it_is_not_bridged() -> None:
    with pytest.raises(DialError, match="by trunk main: neither the step, the organization nor it has a caller id"):
        bridged("+15551234567", org=1)


@pytest.mark.parametrize(("ring_s", "told"), [(0.3, 2), (2.0, 3), (2.01, 4), (300, 301), (900, 601)])
def test_it_rings_for_at_least_as_long_as_the_step_says(ring_s: float, told: int) -> None:
    assert dict(bridged("+15551234567", ring_s).variables)["originate_timeout"] == str(told)


@pytest.mark.parametrize(
    ("text", "wish", "words"),
    [
        ("", {}, "bridge to '': must be an E.164 number"),
        ("5551234567", {}, "must be an E.164 number"),
        ("+1555", {}, "not a possible number"),
        ("sip:a@b;x=y", {}, "not a SIP URI that can be dialled"),
        ("sip:a@b", {"trunk": "closed"}, "trunk closed dials no SIP URIs"),
        ("+15551234567", {"trunk": "no"}, "there is no trunk named 'no'; trunks are closed, main, prefixed, secure"),
        ("+15551234567", {"caller_id": "1;x=y"}, "caller id: '1;x=y' is not allowed in a dial string"),
    ],
)
def test_what_cannot_be_dialled_is_said_in_words(text: str, wish: dict[str, str], words: str) -> None:
    with pytest.raises(DialError, match=words):
        bridged(text, **wish)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=30),
        st.text(max_size=8).map("+1555123{}".format),
        st.text(alphabet="ab1.:;=@[]{}|,&' %23", max_size=20).map("sip:{}".format),
    ),
    st.sampled_from([None, "main", "secure"]),
    st.none() | st.just("100") | st.text(max_size=8),
)
def test_whatever_a_flow_says_is_refused_or_bridges_to_one_leg(
    text: str, trunk: str | None, caller_id: str | None
) -> None:
    try:
        reading = bridged(text, trunk=trunk, caller_id=caller_id)
    except DialError:
        return
    assert len(reading.legs) == 1
    assert {name.partition("_")[0] for name, _ in reading.variables} <= {
        *("originate", "outbound", "rtp", "origination", "sofia")
    }
