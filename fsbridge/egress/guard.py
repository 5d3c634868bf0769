"""Where webhooks, requests of flows and voice bots may go. Pure: an address or a URL in, a refusal in words out.

Callers choose the URL, so without rules they could make this service speak to whatever it can reach inside the
carrier's network. A webhookUrl is checked twice: its form when the call is accepted (`check_url`), and every address
its name resolves to when the callback is sent (`refuse_address`, used by `egress.pinned` on the very address
that it connects to, so a name that changes its mind in between gains nothing). `refuse_url` is the check of the form
for all other purposes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from fsbridge.errors import FsbridgeError
from fsbridge.settings.webhooks import WebhookSettings

MAX_URL = 2_048

# One grammar, narrower than RFC 3986: what it accepts, every URL parser splits in the same way.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\\]*)(?P<rest>(?:[/?][!$-\[\]-~]*)?)", re.ASCII
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebhookUrlError(FsbridgeError):
    """A webhookUrl that cannot be used; the message says why, for the caller."""


def check_url(url: str, settings: WebhookSettings) -> None:
    """The form of a webhookUrl, at acceptance; resolves no name. Raises WebhookUrlError."""
    reason = refuse_url(url, ("https", "http") if settings.allow_http else ("https",), settings.allow_private)
    if reason is not None:
        raise WebhookUrlError(f"webhookUrl {reason}")


def refuse_url(url: str, schemes: Sequence[str], allow_private: bool) -> str | None:
    """Why a URL's form is refused, as the end of a sentence about it; None for a good one. Resolves no name.

    The first of `schemes` is the one that is recommended.
    """
    if len(url) > MAX_URL:
        return f"is longer than {MAX_URL} characters"
    parts = _URL.fullmatch(url)
    if parts is None:
        return (
            f"is not an absolute URL such as {schemes[0]}://example.com/hook "
            "(visible ASCII only, the rest percent-encoded; no backslash, no #fragment)"
        )
    if parts["scheme"].lower() not in schemes:
        return f"must begin with {schemes[0]}://"
    if "@" in parts["authority"]:
        return "must not hold a user name or password; secrets have a place of their own"
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        return "has no usable host name; write international names in their xn-- form"
    return _refuse_port(authority["port"]) or _refuse_host(authority["host"], allow_private)


def host_of(url: str) -> str:
    """The host alone, for logs: paths and queries may hold tokens. Empty for what is no URL."""
    parts = _URL.fullmatch(url)
    return parts["authority"].rpartition("@")[2] if parts else ""


def refuse_address(address: str, allow_private: bool) -> str | None:
    """Why nothing may be sent to this IP address, or None if it may.

    `allow_private` opens private, loopback and carrier-NAT ranges. Link-local addresses (where clouds keep their
    instance metadata), multicast, unspecified and reserved ones stay closed. Addresses that carry an IPv4 address
    inside (mapped, NAT64, 6to4) are judged by that one too.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "is not an IP address"  # also fe80::1%eth0: a scope means link-local
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return _refuse(inner, allow_private)
        if ip.teredo is not None:
            return "is a Teredo address"
    return _refuse(ip, allow_private)


def _refuse(ip: Address, allow_private: bool) -> str | None:
    if ip.is_unspecified or ip in _THIS_NETWORK:
        return "is the unspecified address"
    if ip.is_multicast:
        return "is a multicast address"
    if ip.is_link_local or (isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local):
        return "is a link-local address"
    if ip.is_loopback:
        return None if allow_private else "is a loopback address"
    if ip.is_reserved:
        return "is a reserved address"
    if not ip.is_global or ip in _NAT64_LOCAL:
        return None if allow_private else "is a private address"
    return None


def _refuse_port(text: str | None) -> str | None:
    if text is None:
        return None
    port = int(text)
    if not 0 < port < 65_536:
        return f"has port {text}; a port is 1 to 65535"
    # Below 1024 live mail, DNS, directories and databases' elders, which must not be spoken to in HTTP.
    if port < 1_024 and port not in (80, 443):
        return f"has port {text}; below 1024 only 80 and 443 are allowed"
    return None


def _refuse_host(host: str, allow_private: bool) -> str | None:
    if host.startswith("["):
        return _refuse_literal(host.strip("[]"), allow_private)
    labels = host.removesuffix(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        # 2130706433, 0x7f.1 and 127.1 are 127.0.0.1 to a resolver; only the plain form is taken.
        return _refuse_literal(host, allow_private)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return "has no usable host name"
    name = labels[-1].lower()
    if not allow_private and (name in ("localhost", "localdomain", "internal", "local") or len(labels) == 1):
        return f"has the host {host}, a name of a private network"
    return None


def _refuse_literal(address: str, allow_private: bool) -> str | None:
    reason = refuse_address(address, allow_private)
    return f"has the host {address}, which {reason}" if reason is not None else None
