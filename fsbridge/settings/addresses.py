"""Hosts, ports and URLs of the configuration: what passes here can be listened on or connected to. Pure.

A pattern alone lets through what the system refuses later, or takes for something else: port 70000 (which is 4464), an
empty part in a name (which the resolver answers with an error of its own kind), an address of five numbers.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST = 253


def _host(value: str) -> str:
    labels = value.split(".")
    if len(value) > _LONGEST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must be a host's name or an IPv4 address")
    if labels[-1].isdigit():
        _ip(value, 4)
    return value


def _node_host(value: str) -> str:
    return _ip(value, 6) if ":" in value else _host(value)


def _host_port(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    _port(port, lowest=0)
    if host.startswith("[") and host.endswith("]"):
        _ip(host[1:-1], 6)
    else:
        _host(host)
    return value


def host_and_port(value: str) -> tuple[str, int]:
    """Both parts of a `HostPort`."""
    host, _, port = value.rpartition(":")
    return host.strip("[]"), int(port)


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("must be a network such as 10.0.0.0/8, or one address") from error
    return value


def _url(value: str) -> str:
    """The host and port of a URL whose form has been checked."""
    host, colon, port = value.split("://", 1)[1].split("/", 1)[0].partition(":")
    _host(host)
    if colon:
        _port(port, lowest=1)
    return value


def _port(text: str, lowest: int) -> None:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and lowest <= int(text) <= 65_535):
        raise ValueError(f"the port must be a number from {lowest} to 65535")


def _ip(text: str, version: int) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        found = None
    if found is None or found.version != version or "%" in text:
        raise ValueError(f"{text!r} is no IPv{version} address")
    return text


Host = Annotated[str, AfterValidator(_host)]
"""A host's name or an IPv4 address."""
NodeHost = Annotated[str, AfterValidator(_node_host)]
"""The same, or an IPv6 address."""
HostPort = Annotated[str, AfterValidator(_host_port)]
"""Where to listen; port 0 lets the system choose."""
Network = Annotated[str, AfterValidator(_network)]
"""A network of IPv4 or IPv6 in CIDR notation, or one address."""
WorkerUrl = Annotated[
    str,
    Field(pattern=r"^wss?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$"),
    AfterValidator(_url),
]
WebUrl = Annotated[
    str,
    Field(pattern=r"^https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?$"),
    AfterValidator(_url),
]
