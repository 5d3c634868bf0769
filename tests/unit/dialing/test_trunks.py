"""The trunk of a call, and the digits that it wants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.dialing.destinations import DestinationError, parse_destination
from fsbridge.dialing.trunks import NotDiallable, Route, choose
from fsbridge.esl.dialstring import GatewayEndpoint
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.settings.reading import parse
from fsbridge.settings.whole import Settings

pytestmark = pytest.mark.unit

ORG = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
NUMBER = Destination(DestinationKind.NUMBER, "+15551234567")
URI = Destination(DestinationKind.SIP_URI, "sip:alice@example.com")


def configured(*trunks: dict[str, Any], **org: Any) -> Settings:
    named = [{"name": f"trunk{number}", "gateways": [f"gw{number}"]} | trunk for number, trunk in enumerate(trunks)]
    return parse({"nodes": [{"name": "fs1"}], "trunks": named, "orgs": [{"id": ORG} | org]})


def route(settings: Settings, destination: Destination = NUMBER) -> Route:
    return choose(settings, settings.orgs[0], destination)


def test_without_a_word_an_organization_takes_the_first_trunk() -> None:
    assert route(configured({"gateways": ["a", "b"]}, {})) == Route("trunk0", ("a", "b"), "+15551234567", None)


def test_an_organization_takes_the_trunk_it_names() -> None:
    assert route(configured({}, {}, trunk="trunk1")) == Route("trunk1", ("gw1",), "+15551234567", None)


@pytest.mark.parametrize(
    ("trunk", "dialled"),
    [
        ({}, "+15551234567"),
        ({"strip_plus": True}, "15551234567"),
        ({"prefix": "00"}, "0015551234567"),
        ({"prefix": "9*", "strip_plus": True}, "9*15551234567"),
    ],
)
def test_a_number_is_dialled_as_the_trunk_wants_it(trunk: dict[str, Any], dialled: str) -> None:
    assert route(configured(trunk)).number == dialled


@pytest.mark.parametrize(
    ("trunk", "org", "caller_id"),
    [
        ({}, {}, None),
        ({"caller_id": "+15550100100"}, {}, "+15550100100"),
        ({}, {"caller_id": "+15550100200"}, "+15550100200"),
        ({"caller_id": "+15550100100"}, {"caller_id": "+15550100200"}, "+15550100200"),
    ],
)
def test_the_organizations_caller_id_goes_before_the_trunks(
    trunk: dict[str, Any], org: dict[str, Any], caller_id: str | None
) -> None:
    settings = configured(trunk, **org)
    assert route(settings).caller_id == caller_id
    assert route(settings, URI).caller_id == caller_id


def test_a_sip_uri_needs_no_digits_but_a_trunk_that_allows_it() -> None:
    assert route(configured({"prefix": "9"}), URI) == Route("trunk0", ("gw0",), "", None)
    with pytest.raises(NotDiallable, match=r"trunk0 dials no SIP URIs \(sip_uris = false\)") as raised:
        route(configured({"sip_uris": False}), URI)
    assert isinstance(raised.value, DestinationError)


@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(2_000_000_000, 9_999_999_999).map("+1{}".format) | st.just("+8823456789012"),
    prefix=st.text(alphabet="0123456789#*", max_size=15),
    strip_plus=st.booleans(),
)
def test_whatever_the_configuration_makes_of_a_number_can_be_dialled(
    number: str, prefix: str, strip_plus: bool
) -> None:
    made = route(configured({"prefix": prefix, "strip_plus": strip_plus}), parse_destination(number))
    rendered = GatewayEndpoint(made.gateways[0], made.number).render()
    assert rendered.endswith(number[1:])
    assert made.number.count("+") == (not prefix and not strip_plus)
