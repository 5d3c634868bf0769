"""What may be dialled, and that nothing which is taken here is refused, or misread, further on."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fsbridge.dialing.destinations import DestinationError, parse_destination
from fsbridge.esl.dialstring import GatewayEndpoint, SipUriEndpoint
from fsbridge.model.destination import Destination, DestinationKind
from tests.unit.esl.originate_reader import MARKUP

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("+15551234567", "+15551234567"),
        ("+15550100001", "+15550100001"),
        ("+442079460000", "+442079460000"),
        ("+80012345678", "+80012345678"),
        # A national trunk prefix that was left in; Italy's leading zero is part of the number.
        ("+4402079460000", "+442079460000"),
        ("+390669812345", "+390669812345"),
    ],
)
def test_numbers_that_are_dialled(text: str, canonical: str) -> None:
    assert parse_destination(text) == Destination(DestinationKind.NUMBER, canonical)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be an E.164 number"),
        ("+", "must be an E.164 number"),
        ("15551234567", "must be an E.164 number"),
        ("+0123456789", "must be an E.164 number"),
        ("+1 555 123 4567", "must be an E.164 number"),
        ("+1-555-123-4567", "must be an E.164 number"),
        ("+15551234567\n", "must be an E.164 number"),
        ("+15551234567,1", "must be an E.164 number"),
        ("+1555123456\u0667", "must be an E.164 number"),
        ("\uff0b15551234567", "must be an E.164 number"),
        ("+1234567890123456", "must be an E.164 number"),
        ("tel:+15551234567", "must be an E.164 number"),
        ("alice@example.com", "must be an E.164 number"),
        ("+999123456", "is no phone number"),
        ("+12", "is no phone number"),
        ("+1555123456789", "is not a possible number"),
        ("+155512345", "is not a possible number"),
        # Possible only from the next house: the area code is missing.
        ("+15551234", "is not a possible number"),
        ("+4930", "is not a possible number"),
    ],
)
def test_what_is_no_number(text: str, why: str) -> None:
    with pytest.raises(DestinationError, match=why):
        parse_destination(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("sip:alice@example.com", "sip:alice@example.com"),
        ("SIP:Alice@EXAMPLE.com", "sip:Alice@example.com"),
        ("sips:alice@example.com:05061;transport=tls", "sips:alice@example.com:5061;transport=tls"),
        ("sip:example.com", "sip:example.com"),
        ("sip:+15551234567@10.0.0.1:5060", "sip:+15551234567@10.0.0.1:5060"),
        ("sip:a@[2001:DB8::1]:5060;transport=udp", "sip:a@[2001:db8::1]:5060;transport=udp"),
        ("sip:a@1.example", "sip:a@1.example"),
        ("sip:a@localhost", "sip:a@localhost"),
        ("sip:alice@example.com;Transport=TCP", "sip:alice@example.com;transport=tcp"),
        ("SIPS:alice@example.com;TRANSPORT=TLS", "sips:alice@example.com;transport=tls"),
        ("sip:*72@example.com", "sip:*72@example.com"),
        ("sip:99%23@example.com", "sip:99%23@example.com"),
        ("sip:alice%40home@example.com", "sip:alice%40home@example.com"),
        # What needs no escape has none, and an escape is in capitals: one destination is one text.
        ("sip:%61%2B%2a%7e@example.com", "sip:a+*~@example.com"),
        ("sip:jos%c3%a9@example.com", "sip:jos%C3%A9@example.com"),
    ],
)
def test_sip_uris_that_are_dialled(text: str, canonical: str) -> None:
    assert parse_destination(text) == Destination(DestinationKind.SIP_URI, canonical)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sip:", "is not a SIP URI"),
        ("sip:alice:secret@example.com", "is not a SIP URI"),
        ("sip:alice@example.com?Subject=x", "is not a SIP URI"),
        ("sip:alice@example.com;transport=ws", "is not a SIP URI"),
        ("sip:alice@example.com\n", "is not a SIP URI"),
        ("sip:a,b@example.com", "is not a SIP URI"),
        ("sip:*72#@example.com", "is not a SIP URI"),
        ("sip:a%20b@example.com", "is not a SIP URI"),
        ("sip:a%2Cb@example.com", "is not a SIP URI"),
        ("sip:a%24%7Bsystem%7D@example.com", "is not a SIP URI"),
        ("sip:a%0Aapi%20x@example.com", "is not a SIP URI"),
        ("sip:a%00@example.com", "is not a SIP URI"),
        ("sip:a%2523@example.com", "is not a SIP URI"),
        ("sip:a%ff@example.com", "is not a SIP URI"),
        ("sip:a%C2%85@example.com", "is not a SIP URI"),
        ("sip:a%E2%80%A8@example.com", "is not a SIP URI"),
        ("sip:a%2@example.com", "is not a SIP URI"),
        ("sip:a@ex%41mple.com", "is not a SIP URI"),
        ("sips:a@example.com;transport=tcp", "goes over TLS"),
        ("sips:a@example.com;transport=udp", "goes over TLS"),
        ("sip:${system(id)}@example.com", "is not a SIP URI"),
        ("\u017fip:alice@example.com", "must be an E.164 number|is not a SIP URI"),
        ("sip:alice@example.com:0", "has a port"),
        ("sip:alice@example.com:65536", "has a port"),
        ("sip:alice@a..b", "has a host"),
        ("sip:alice@a-.b", "has a host"),
        ("sip:alice@" + "a" * 64 + ".b", "has a host"),
        ("sip:alice@999.1.1.1", "has a host"),
        ("sip:alice@1.2.3", "has a host"),
        ("sip:alice@5", "has a host"),
        ("sip:alice@[....]", "has a host"),
        ("sip:alice@[1.2.3.4]", "has a host"),
        ("sip:alice@[::1::]", "has a host"),
    ],
)
def test_what_is_no_sip_uri_for_us(text: str, why: str) -> None:
    with pytest.raises(DestinationError, match=why):
        parse_destination(text)


def dial(destination: Destination) -> str:
    """What would follow the variables of the originate string. Raises DialStringError."""
    if destination.kind is DestinationKind.NUMBER:
        return GatewayEndpoint("carrier", destination.value).render()
    return SipUriEndpoint("external", destination.value).render()


LABEL = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)
HOST = st.one_of(
    st.lists(LABEL, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
URI = st.builds(
    "{}:{}{}{}{}".format,
    st.sampled_from(["sip", "sips", "SIP", "Sips"]),
    st.just("")
    | st.from_regex(r"([A-Za-z0-9+_.~*-]|%[0-9A-Fa-f]{2}|%[Cc]3%[89AaBb][0-9A-Fa-f]){1,9}@", fullmatch=True),
    HOST,
    st.just("") | st.integers(0, 70_000).map(":{}".format),
    st.sampled_from(["", ";transport=udp", ";transport=tcp", ";transport=tls", ";TRANSPORT=Tcp", ";lr"]),
)
NUMBER = st.from_regex(r"\+[1-9][0-9]{5,14}", fullmatch=True) | st.integers(0, 9_999_999).map("+1555{:07}".format)
HOSTILE = st.text(alphabet="+15sip:@.;=,|&{}[]'\\ \n$()^<>", max_size=24)


def test_one_trunk_prefix_is_taken_off_and_two_are_refused() -> None:
    assert parse_destination("+4402079460000").value == "+442079460000"
    with pytest.raises(DestinationError, match="more than one trunk prefix"):
        parse_destination("+200000000000")


@settings(max_examples=500, deadline=None)
@example(text="+200000000000")
@given(text=URI | NUMBER | HOSTILE | st.text(max_size=30))
def test_what_is_taken_here_is_taken_by_the_dial_string_and_is_canonical(text: str) -> None:
    try:
        destination = parse_destination(text)
    except DestinationError:
        return
    assert parse_destination(destination.value) == destination
    dialled = dial(destination)
    assert dialled.endswith(destination.value)
    assert not (MARKUP - {"[", "]", "%"}) & set(dialled)
    # Even for somebody who undoes the escapes of the user, nothing in it is live.
    undone = unquote(destination.value.partition(":")[2].rpartition("@")[0], errors="strict")
    assert not MARKUP & set(undone)
    assert undone.isprintable()


GOOD_URI = st.builds(
    "{}:{}{}{}{}".format,
    st.sampled_from(["sip", "sip", "sips"]),
    st.just("") | st.from_regex(r"([A-Za-z0-9+_.~*-]|%(23|28|29|40)|%C3%[89AB][0-9A-F]){1,9}@", fullmatch=True),
    st.sampled_from(["a.example", "10.0.0.1", "[2001:db8::1]"]),
    st.just("") | st.integers(1, 65_535).map(":{}".format),
    st.sampled_from(["", ";transport=udp", ";transport=tcp", ";transport=tls"]),
)


@settings(deadline=None)
@given(text=GOOD_URI)
def test_a_canonical_uri_stays_as_it_is(text: str) -> None:
    """So the property above is not an empty one."""
    assume(not (text.startswith("sips:") and text.endswith(("udp", "tcp"))))
    assume(unquote(text).isprintable())  # beyond ASCII this draws Latin letters, and a soft hyphen
    assert parse_destination(text) == Destination(DestinationKind.SIP_URI, text)
