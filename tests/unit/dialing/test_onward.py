"""What a flow may bridge to, and by which gateways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.dialing.onward import DialError, dial_out
from fsbridge.esl.dialstring import Endpoint, GatewayEndpoint, SipUriEndpoint, bridge_argument
from fsbridge.settings.reading import parse

pytestmark = pytest.mark.unit

CONFIGURED = parse(
    {
        "nodes": [{"name": "fs1"}],
        "orgs": [{"id": "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10", "trunk": "main"}],
        "trunks": [
            {"name": "closed", "gateways": ["c"], "sip_uris": False},
            {"name": "main", "gateways": ["a", "b"]},
            {"name": "prefixed", "gateways": ["p"], "prefix": "9"},
        ],
    }
)


def dialled(text: str, trunk: str | None = None, profile: str = "external") -> tuple[Endpoint, ...]:
    return dial_out(CONFIGURED, CONFIGURED.orgs[0], text, trunk, profile)


def test_a_number_by_every_gateway_of_the_organizations_trunk() -> None:
    number = "+15551234567"
    assert dialled(number) == (GatewayEndpoint("a", number), GatewayEndpoint("b", number))


def test_by_the_trunk_that_the_step_names() -> None:
    assert dialled("+15551234567", "prefixed") == (GatewayEndpoint("p", "915551234567"),)


def test_a_sip_uri_from_the_nodes_profile() -> None:
    assert dialled("SIP:alice@Example.com", profile="inside") == (SipUriEndpoint("inside", "sip:alice@example.com"),)


@pytest.mark.parametrize(
    ("text", "trunk", "words"),
    [
        ("", None, "bridge to '': must be an E.164 number"),
        ("5551234567", None, "must be an E.164 number"),
        ("+1555", None, "not a possible number"),
        ("sip:a@b;x=y", None, "not a SIP URI that can be dialled"),
        ("sip:a@b", "closed", "trunk closed dials no SIP URIs"),
        ("+15551234567", "nowhere", "there is no trunk named 'nowhere'; trunks are closed, main, prefixed"),
    ],
)
def test_what_cannot_be_dialled_is_said_in_words(text: str, trunk: str | None, words: str) -> None:
    with pytest.raises(DialError, match=words):
        dialled(text, trunk)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=30),
        st.text(max_size=8).map("+1555123{}".format),
        st.text(alphabet="ab1.:;=@[]{}|,&' ", max_size=20).map("sip:{}".format),
    )
)
def test_whatever_a_flow_says_is_refused_or_can_be_bridged(text: str) -> None:
    try:
        endpoints = dialled(text)
    except DialError:
        return
    assert bridge_argument(endpoints, None, 30).startswith("{^^;originate_timeout=30")
