"""Hosts, ports and URLs: what the configuration takes can be asked of the system without a surprise."""

from __future__ import annotations

import contextlib
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fsbridge.settings.addresses import Host, HostPort, NodeHost, WebUrl, WorkerUrl
from fsbridge.settings.service import ServiceSettings

pytestmark = pytest.mark.unit

KINDS: dict[str, Any] = {
    "host": TypeAdapter(Host),
    "node": TypeAdapter(NodeHost),
    "listen": TypeAdapter(HostPort),
    "worker": TypeAdapter(WorkerUrl),
    "web": TypeAdapter(WebUrl),
}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("host", "127.0.0.1"),
        ("host", "fs-1.example.com"),
        ("host", "compose_service"),
        ("node", "::1"),
        ("node", "fs1"),
        ("listen", "0.0.0.0:65535"),
        ("listen", "[::]:0"),
        ("listen", "localhost:8080"),
        ("worker", "ws://10.0.0.7:9201/amd"),
        ("worker", "wss://amd.example.com"),
        ("web", "https://files.example.com:8443/rec"),
    ],
)
def test_taken(kind: str, value: str) -> None:
    assert KINDS[kind].validate_python(value) == value


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("host", "a..b", "a host's name"),
        ("host", "", "a host's name"),
        ("host", "a" * 64, "a host's name"),
        ("host", ".".join(["a" * 60] * 5), "a host's name"),
        ("host", "-a", "a host's name"),
        ("host", "a\n", "a host's name"),
        ("host", "ä", "a host's name"),
        ("host", "1.2.3.4.5", "no IPv4 address"),
        ("host", "300.1.1.1", "no IPv4 address"),
        ("host", "::1", "a host's name"),
        ("node", "1:2", "no IPv6 address"),
        ("node", "fe80::1%eth0", "no IPv6 address"),
        ("listen", "8080", "HOST:PORT"),
        ("listen", "127.0.0.1:70000", "from 0 to 65535"),
        ("listen", "127.0.0.1:", "from 0 to 65535"),
        ("listen", "127.0.0.1:٣", "from 0 to 65535"),
        ("listen", "[:::]:80", "no IPv6 address"),
        ("listen", "[127.0.0.1]:80", "no IPv6 address"),
        ("listen", "::1:80", "a host's name"),
        ("worker", "ws://a:99999/amd", "from 1 to 65535"),
        ("worker", "ws://a:0/amd", "from 1 to 65535"),
        ("worker", "ws://a..b/amd", "a host's name"),
        ("worker", "http://a/amd", "pattern"),
        ("web", "https://a:65536/", "from 1 to 65535"),
        ("web", "https://1.2.3/", "no IPv4 address"),
    ],
)
def test_refused_in_words(kind: str, value: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        KINDS[kind].validate_python(value)


_texts = st.text("aZ09.-_:[]%\n é", max_size=20) | st.from_regex(r"[a-z0-9.:-]{0,30}", fullmatch=True)


@given(st.sampled_from(["host", "node"]), _texts)
def test_whatever_host_is_taken_the_resolver_answers_in_its_own_words(kind: str, text: str) -> None:
    try:
        host = KINDS[kind].validate_python(text)
    except ValidationError:
        return
    host.encode("idna")
    with contextlib.suppress(socket.gaierror):
        socket.getaddrinfo(host, 1, flags=socket.AI_NUMERICHOST)


@given(st.text("a:0123456789[]", max_size=12))
def test_whatever_can_be_listened_on_has_a_port_of_its_own(text: str) -> None:
    try:
        settings = ServiceSettings(listen=text)
    except ValidationError:
        return
    assert 0 <= settings.address[1] <= 65_535
    assert int(text.rpartition(":")[2]) == settings.address[1]


@given(st.from_regex(r"wss?://[a0.]{1,4}(:[0-9]{1,5})?(/a)?", fullmatch=True))
def test_whatever_worker_is_taken_has_a_port_that_can_be_read(text: str) -> None:
    try:
        url = KINDS["worker"].validate_python(text)
    except ValidationError:
        return
    assert urlsplit(url).port is None or 1 <= (urlsplit(url).port or 0) <= 65_535
