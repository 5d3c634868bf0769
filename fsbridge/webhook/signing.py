"""Signatures of webhooks, and their check for receivers. Pure.

Every callback carries ``webhook-id`` (the same in every retry) and ``webhook-timestamp`` (Unix seconds of this
attempt). With a `webhookAuth` it also carries two signatures:

* ``X-Signature: sha256=<hex>``, the HMAC-SHA256 of the raw body, keyed by the UTF-8 bytes of `webhookAuth`;
* ``webhook-signature: v1,<base64>`` of Standard Webhooks (https://www.standardwebhooks.com), the HMAC-SHA256 of
  ``<id>.<timestamp>.<body>``: it covers the time, so an old callback cannot be played again.

Standard Webhooks keys are bytes, written ``whsec_<base64>``. A `webhookAuth` of that form is used as it is, so
any Standard Webhooks library verifies with the same string. Any other `webhookAuth` is keyed by its UTF-8 bytes:
give such a library ``whsec_`` + base64(webhookAuth), or `standard_secret(webhookAuth)`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook

from fsbridge.errors import FsbridgeError

_PREFIX = "whsec_"
TOLERANCE_S = 300.0
"""How far a receiver lets the timestamp be from its own clock: Standard Webhooks' usual five minutes."""


class SignatureError(FsbridgeError):
    """A callback is not from us, has been changed, or is too old; the message says which."""


def headers(delivery_id: str, body: bytes, secret: str | None, now: float) -> dict[str, str]:
    """The headers that identify, date and (with a secret) sign one attempt; `now` is Unix seconds."""
    result = {"webhook-id": delivery_id, "webhook-timestamp": str(int(now))}
    if secret:
        result["X-Signature"] = x_signature(secret, body)
        result["webhook-signature"] = _standard(delivery_id, body, secret, int(now))
    return result


def x_signature(secret: str, body: bytes) -> str:
    """``sha256=<hex>`` of the raw body."""
    return "sha256=" + hmac.new(_utf8(secret), body, hashlib.sha256).hexdigest()


def standard_secret(secret: str) -> str:
    """The `webhookAuth` in the form that Standard Webhooks libraries take, ``whsec_<base64>``."""
    return _PREFIX + base64.b64encode(_key(secret)).decode("ascii")


def verify(received: Mapping[str, str], body: bytes, secret: str, now: float, tolerance_s: float = TOLERANCE_S) -> None:
    """For receivers: both signatures over the raw body, and the age. Raises SignatureError.

    Header names are matched in any case. `now` is the receiver's Unix time.
    """
    lower = {name.lower(): value for name, value in received.items()}
    missing = {"x-signature", "webhook-id", "webhook-timestamp", "webhook-signature"} - lower.keys()
    if missing:
        raise SignatureError(f"missing header: {', '.join(sorted(missing))}")
    if not _equal(lower["x-signature"], x_signature(secret, body)):
        raise SignatureError("X-Signature does not match the body: wrong secret, or the body was changed")
    stamp = lower["webhook-timestamp"]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise SignatureError("webhook-timestamp is not a Unix time")
    if abs(now - int(stamp)) > tolerance_s:
        raise SignatureError(f"webhook-timestamp is more than {tolerance_s:g} s from the receiver's clock")
    expected = _standard(lower["webhook-id"], body, secret, int(stamp))
    # Several signatures may stand side by side while a sender changes its key.
    if not any(_equal(candidate, expected) for candidate in lower["webhook-signature"].split(" ")):
        raise SignatureError("webhook-signature does not match: wrong secret, or id, time or body was changed")


def _standard(delivery_id: str, body: bytes, secret: str, timestamp: int) -> str:
    moment = datetime.fromtimestamp(timestamp, UTC)
    try:
        return Webhook(_key(secret)).sign(delivery_id, moment, body.decode("utf-8"))
    except UnicodeError as error:
        raise SignatureError("the body is not UTF-8") from error


def _key(secret: str) -> bytes:
    if secret.startswith(_PREFIX):
        try:
            encoded = secret.removeprefix(_PREFIX)
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if key:
            return key
    return _utf8(secret)


def _utf8(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("ascii"))
