"""Where webhooks may go: forms of URLs and addresses."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from fsbridge.egress.guard import WebhookUrlError, check_url, host_of, refuse_address, refuse_url
from fsbridge.settings.webhooks import WebhookSettings
from tests.unit.webhook.helpers import OPEN

pytestmark = pytest.mark.unit

STRICT = WebhookSettings()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "HTTPS://Example.COM/hook?x=1&y=%20",
        "https://example.com:8443/hook",
        "https://example.com:443?x",
        "https://xn--bcher-kva.example/a",
        "https://a_b.example.com./x",
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]:8443/x",
    ],
)
def test_good_urls(url: str) -> None:
    check_url(url, STRICT)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not an absolute URL"),
        ("example.com/hook", "not an absolute URL"),
        ("https:example.com", "not an absolute URL"),
        ("https:///x", "no usable host"),
        ("http://example.com/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("https://user:pw@example.com/", "user name"),
        ("https://example.com@10.0.0.1/", "user name"),
        ("https://exa mple.com/", "no usable host"),
        ("https://example.com/a b", "not an absolute URL"),
        ("https://example.com/a\r\nX: y", "not an absolute URL"),
        ("https://example.com\\@10.0.0.1/", "not an absolute URL"),
        ("https://example.com/#x", "no #fragment"),
        ("https://bücher.example/", "xn--"),
        ("https://example.com/ü", "percent-encoded"),
        ("https://example..com/", "no usable host"),
        ("https://-a.example.com/", "no usable host"),
        ("https://" + "a." * 130 + "com/", "no usable host"),
        ("https://example.com:0/", "1 to 65535"),
        ("https://example.com:65536/", "1 to 65535"),
        ("https://example.com:25/", "below 1024"),
        ("https://example.com:x/", "no usable host"),
        ("https://example.com/" + "a" * 2_048, "longer than 2048"),
        ("https://127.0.0.1/", "loopback"),
        ("https://10.0.0.1:8443/", "private"),
        ("https://169.254.169.254/latest/meta-data", "link-local"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:10.0.0.1]/", "private"),
        ("https://[::1/", "no usable host"),
        ("https://[1:2]/", "not an IP address"),
        ("https://2130706433/", "not an IP address"),
        ("https://0x7f.1/", "not an IP address"),
        ("https://0x7f000001/", "not an IP address"),
        ("https://127.1/", "not an IP address"),
        ("https://0177.0.0.1/", "not an IP address"),
        ("https://localhost/", "private network"),
        ("https://metadata.google.internal/", "private network"),
        ("https://intranet/", "private network"),
    ],
)
def test_bad_urls(url: str, words: str) -> None:
    with pytest.raises(WebhookUrlError, match=words):
        check_url(url, STRICT)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/x", "http://localhost:8080", "https://intranet/", "http://10.1.2.3/"]
)
def test_what_a_configuration_may_open(url: str) -> None:
    check_url(url, OPEN)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://0.0.0.0/", "http://224.0.0.1/", "http://[fe80::1]/"]
)
def test_what_no_configuration_opens(url: str) -> None:
    with pytest.raises(WebhookUrlError):
        check_url(url, OPEN)


@given(st.text(st.characters(max_codepoint=0x250), max_size=60).map(lambda text: "https://" + text))
def test_an_accepted_url_has_one_reading_only(url: str) -> None:
    """Two parsers that disagree about the host are how such rules are got round."""
    try:
        check_url(url, STRICT)
    except WebhookUrlError:
        return
    ours = host_of(url).rpartition(":")[0] or host_of(url)
    others = {urlsplit(url).hostname, parse_url(url).host}
    assert {str(host).strip("[]").lower() for host in others} == {ours.strip("[]").lower()}


CLOSED = [
    *("127.0.0.1", "127.8.8.8", "10.1.1.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"),
    *("0.0.0.0", "0.1.2.3", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1"),
    *("::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:0"),
    *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1"),
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]


@pytest.mark.parametrize("address", CLOSED)
def test_closed_addresses(address: str) -> None:
    assert refuse_address(address, allow_private=False) is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_open_addresses(address: str) -> None:
    assert refuse_address(address, allow_private=False) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "fd12::1", "100.64.0.1", "::ffff:127.0.0.1"])
def test_private_addresses_open_by_configuration(address: str) -> None:
    assert refuse_address(address, allow_private=True) is None


def test_no_address_at_all() -> None:
    assert refuse_address("example.com", allow_private=True) == "is not an IP address"


@given(st.ip_addresses(v=4))
def test_no_disguise_of_an_ipv4_address_is_judged_more_mildly(address: ipaddress.IPv4Address) -> None:
    plain = refuse_address(str(address), allow_private=False)
    number = int(address)
    mapped = ipaddress.IPv6Address((0xFFFF << 32) | number)
    nat64 = ipaddress.IPv6Address((0x64FF9B << 96) | number)
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (number << 80))
    for disguise in (mapped, nat64, sixtofour):
        assert (refuse_address(str(disguise), allow_private=False) is None) == (plain is None)


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://a.example:8443/t0ken?x", "a.example:8443"), ("https://u:p@a.example/", "a.example"), ("rubbish", "")],
)
def test_host_for_logs(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "schemes", "private", "words"),
    [
        ("wss://bot.example/talk", ("wss",), False, None),
        ("WSS://bot.example/talk", ("wss",), False, None),
        ("ws://bot.example/talk", ("wss",), False, "must begin with wss://"),
        ("ws://10.0.0.9:8080/", ("wss", "ws"), True, None),
        ("ws://10.0.0.9:8080/", ("wss", "ws"), False, "has the host 10.0.0.9, which is a private address"),
        ("wss://bot:key@bot.example/", ("wss",), False, "user name or password"),
        ("bot.example", ("wss",), False, "is not an absolute URL such as wss://example.com/hook"),
    ],
)
def test_other_purposes_have_schemes_of_their_own(
    url: str, schemes: tuple[str, ...], private: bool, words: str | None
) -> None:
    reason = refuse_url(url, schemes, private)
    assert (reason is None) if words is None else (reason is not None and words in reason)
