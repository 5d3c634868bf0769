"""Where webhooks may go. Pure: an address or a URL in, a refusal in words or nothing out.

Callers choose the URL, so without rules they could make this service speak to whatever it can reach inside the
carrier's network. A URL is checked twice: its form when the call is accepted (`check_url`), and every address
its name resolves to when the callback is sent (`refuse_address`, used by `webhook.pinned` on the very address
that it connects to, so a name that changes its mind in between gains nothing).
"""

from __future__ import annotations

import ipaddress
import re

from fsbridge.errors import FsbridgeError
from fsbridge.settings import WebhookSettings

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
    if len(url) > MAX_URL:
        raise WebhookUrlError(f"webhookUrl is longer than {MAX_URL} characters")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise WebhookUrlError(
            "webhookUrl is not an absolute URL such as https://example.com/hook "
            "(visible ASCII only, the rest percent-encoded; no backslash, no #fragment)"
        )
    scheme = parts["scheme"].lower()
    if scheme != "https" and not (scheme == "http" and settings.allow_http):
        raise WebhookUrlError("webhookUrl must begin with https://")
    if "@" in parts["authority"]:
        raise WebhookUrlError("webhookUrl must not hold a user name or password; use webhookAuth")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise WebhookUrlError("webhookUrl has no usable host name; write international names in their xn-- form")
    _check_port(authority["port"])
    _check_host(authority["host"], settings)


def host_of(url: str) -> str:
    """The host alone, for logs: paths and queries may hold tokens. Empty for what is no URL."""
    parts = _URL.fullmatch(url)
    return parts["authority"].rpartition("@")[2] if parts else ""


def refuse_address(address: str, allow_private: bool) -> str | None:
    """Why no callback may go to this IP address, or None if it may.

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


def _check_port(text: str | None) -> None:
    if text is None:
        return
    port = int(text)
    if not 0 < port < 65_536:
        raise WebhookUrlError(f"webhookUrl has port {text}; a port is 1 to 65535")
    # Below 1024 live mail, DNS, directories and databases' elders, which must not be spoken to in HTTP.
    if port < 1_024 and port not in (80, 443):
        raise WebhookUrlError(f"webhookUrl has port {port}; below 1024 only 80 and 443 are allowed")


def _check_host(host: str, settings: WebhookSettings) -> None:
    if host.startswith("["):
        _check_literal(host.strip("[]"), settings)
        return
    labels = host.removesuffix(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        # 2130706433, 0x7f.1 and 127.1 are 127.0.0.1 to a resolver; only the plain form is taken.
        _check_literal(host, settings)
        return
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise WebhookUrlError("webhookUrl has no usable host name")
    name = labels[-1].lower()
    if not settings.allow_private and (name in ("localhost", "localdomain", "internal", "local") or len(labels) == 1):
        raise WebhookUrlError(f"webhookUrl's host {host} is a name of a private network")


def _check_literal(address: str, settings: WebhookSettings) -> None:
    reason = refuse_address(address, settings.allow_private)
    if reason is not None:
        raise WebhookUrlError(f"webhookUrl's host {address} {reason}")
