"""The trunk of a call, and the digits that it wants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.dialing.destinations import DestinationError, parse_destination
from fsbridge.dialing.trunks import NotDiallable, Route, choose, media_patience
from fsbridge.esl.dialstring import GatewayEndpoint, MediaPatience
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.settings.dialing import DialingSettings
from fsbridge.settings.reading import parse
from fsbridge.settings.whole import Settings

pytestmark = pytest.mark.unit

ORG = "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"
NUMBER = Destination(DestinationKind.NUMBER, "+15551234567")
OWN = "+15550100100"
URI = Destination(DestinationKind.SIP_URI, "sip:alice@example.com")


def configured(*trunks: dict[str, Any], **org: Any) -> Settings:
    named = [{"name": f"trunk{number}", "gateways": [f"gw{number}"]} | trunk for number, trunk in enumerate(trunks)]
    return parse({"nodes": [{"name": "fs1"}], "trunks": named, "orgs": [{"id": ORG, "caller_id": OWN} | org]})


def route(settings: Settings, destination: Destination = NUMBER) -> Route:
    return choose(settings, settings.orgs[0], destination)


def test_without_a_word_an_organization_takes_the_first_trunk() -> None:
    assert route(configured({"gateways": ["a"]}, {})) == Route("trunk0", ("a",), "+15551234567", OWN)


def test_an_organization_takes_the_trunk_it_names() -> None:
    assert route(configured({}, {}, trunk="trunk1")) == Route("trunk1", ("gw1",), "+15551234567", OWN)


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
        ({}, {"caller_id": None, "outbound_calling": False}, None),
        ({"caller_id": "+15550100300"}, {"caller_id": None}, "+15550100300"),
        ({"caller_id": "anonymous"}, {"caller_id": None}, "anonymous"),
        ({}, {"caller_id": "+15550100200"}, "+15550100200"),
        ({"caller_id": "+15550100300"}, {"caller_id": "+15550100200"}, "+15550100200"),
    ],
)
def test_the_organizations_caller_id_goes_before_the_trunks(
    trunk: dict[str, Any], org: dict[str, Any], caller_id: str | None
) -> None:
    settings = configured(trunk, **org)
    assert route(settings).caller_id == caller_id
    assert route(settings, URI).caller_id == caller_id


def test_a_sip_uri_needs_no_digits_but_a_trunk_that_allows_it() -> None:
    assert route(configured({"prefix": "9"}), URI) == Route("trunk0", ("gw0",), "", OWN)
    with pytest.raises(NotDiallable, match=r"trunk0 dials no SIP URIs \(sip_uris = false\)") as raised:
        route(configured({"sip_uris": False}), URI)
    assert isinstance(raised.value, DestinationError)


@pytest.mark.parametrize("uri", ["sips:alice@example.com", "sip:alice@example.com;transport=tls"])
def test_tls_is_not_replaced_by_something_in_clear(uri: str) -> None:
    destination = parse_destination(uri)
    with pytest.raises(NotDiallable, match=r"asks for TLS, which trunk trunk0 has not \(tls = false\)"):
        route(configured({}), destination)
    assert route(configured({"tls": True}), destination).trunk == "trunk0"
    assert route(configured({}), parse_destination("sip:alice@example.com;transport=tcp")).trunk == "trunk0"


def test_how_long_a_leg_may_be_silent_is_the_configurations() -> None:
    assert media_patience(configured({})) == MediaPatience(120, 1_800)
    own = configured({}).model_copy(update={"dialing": DialingSettings(media_timeout_s=0, media_hold_timeout_s=60)})
    assert media_patience(own) == MediaPatience(0, 60)


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
    assert "#" not in rendered
    assert made.number.count("+") == (not prefix and not strip_plus)
