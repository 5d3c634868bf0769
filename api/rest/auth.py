"""Who is asking: API keys, kept as hashes, compared in constant time. Pure.

A key is ``fsb_`` and 32 random bytes; the configuration holds ``sha256:<hex>`` of it. With 256 bits of entropy a
plain hash is enough: there is nothing to guess, so nothing to slow down. A look-up compares with every known hash
and never stops early, so its time tells nothing about which key came close.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from api.contract.errors import BEARER_CHALLENGE, ApiError, ErrorCode
from fsbridge.settings.orgs import OrgSettings

KEY_PREFIX = "fsb_"
_KEY_MAX = 256


def new_key() -> str:
    """A fresh API key; whoever makes it shows it once and keeps only its hash."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What the configuration holds for the key: ``sha256:<64 hex digits>``."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


class Keyring:
    """Every organization's key hashes. Mutable nowhere: a changed configuration makes a new one."""

    def __init__(self, orgs: Iterable[OrgSettings]) -> None:
        self._entries = tuple((entry.encode(), org) for org in orgs for entry in org.api_keys)

    def find(self, key: str) -> OrgSettings | None:
        """The organization that the key belongs to."""
        digest = hash_key(key).encode()
        found: OrgSettings | None = None
        for entry, org in self._entries:
            if hmac.compare_digest(entry, digest):
                found = org
        return found

    def authenticate(self, header: str | None) -> OrgSettings:
        """The organization behind an ``Authorization`` header.

        Raises ApiError: AUTH_HEADER_MISSING without a header, INVALID_TOKEN for anything but a known bearer key.
        """
        if header is None or not header.strip():
            raise ApiError(
                ErrorCode.AUTH_HEADER_MISSING,
                "send the header 'Authorization: Bearer <api key>'",
                headers=(BEARER_CHALLENGE,),
            )
        scheme, _, key = header.strip().partition(" ")
        key = key.strip()
        org = self.find(key) if scheme.lower() == "bearer" and 0 < len(key) <= _KEY_MAX else None
        if org is None:
            raise ApiError(
                ErrorCode.INVALID_TOKEN,
                "the Authorization header holds no API key of this service; "
                "it must be 'Bearer <api key>', and the key may have been revoked",
                headers=(BEARER_CHALLENGE,),
            )
        return org


def require_permission(org: OrgSettings) -> None:
    """Raises ApiError PERMISSION_DENIED unless the organization may place outbound calls."""
    if not org.outbound_calling:
        raise ApiError(
            ErrorCode.PERMISSION_DENIED,
            "this organization lacks the outbound_calling permission; ask the operator of this service for it",
        )


def require_org(org: OrgSettings, asked: str) -> None:
    """Raises ApiError PERMISSION_DENIED unless the organization in the path is the key's own."""
    if asked != org.id:
        raise ApiError(
            ErrorCode.PERMISSION_DENIED, "orgId: this API key belongs to another organization; use that one's key"
        )
