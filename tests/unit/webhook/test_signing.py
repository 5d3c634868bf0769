"""Signatures: known values, the library's own verifier, and every way in which a callback can be wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from fsbridge.clock import SystemClock
from fsbridge.webhook.signing import SignatureError, headers, standard_secret, verify, x_signature

pytestmark = pytest.mark.unit

BODY = b'{"event":"call.completed","metadata":"\xc3\xa9"}'
NOW = 1_700_000_000.7


def test_x_signature_is_hmac_of_the_raw_body() -> None:
    # RFC 4231, test case 2.
    assert x_signature("Jefe", b"what do ya want for nothing?") == (
        "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_standard_signature_covers_id_time_and_body() -> None:
    made = headers("msg_1", BODY, "s3cret", NOW)
    digest = hmac.new(b"s3cret", b"msg_1.1700000000." + BODY, hashlib.sha256).digest()
    assert made["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert (made["webhook-id"], made["webhook-timestamp"]) == ("msg_1", "1700000000")


@pytest.mark.parametrize("secret", [None, ""])
def test_without_secret_no_signature(secret: str | None) -> None:
    assert headers("msg_1", BODY, secret, NOW) == {"webhook-id": "msg_1", "webhook-timestamp": "1700000000"}


WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.mark.parametrize("secret", ["s3cret", "sch\u00fcssel", WHSEC, WHSEC.rstrip("="), "whsec_not base64!", "whsec_"])
def test_the_standard_library_verifies_with_the_documented_secret(secret: str) -> None:
    now = SystemClock().wall()
    Webhook(standard_secret(secret)).verify(BODY, headers("msg_1", BODY, secret, now))
    verify(headers("msg_1", BODY, secret, now), BODY, secret, now)


def test_a_whsec_secret_is_used_as_it_is() -> None:
    assert standard_secret(WHSEC) == WHSEC
    now = SystemClock().wall()
    Webhook(WHSEC).verify(BODY, headers("msg_1", BODY, WHSEC, now))


@given(st.text(min_size=1), st.text(), st.floats(0, 4e9))
def test_what_is_signed_verifies_and_nothing_else(secret: str, text: str, now: float) -> None:
    body = text.encode()
    made = headers("msg_1", body, secret, now)
    verify({name.upper(): value for name, value in made.items()}, body, secret, now)
    with pytest.raises(SignatureError, match="X-Signature"):
        verify(made, body + b" ", secret, now)
    with pytest.raises(SignatureError, match="X-Signature"):
        verify(made, body, secret + "x", now)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("webhook-id", "msg_2", "webhook-signature does not match"),
        ("webhook-timestamp", "1700000001", "webhook-signature does not match"),
        ("webhook-timestamp", "1699999000", "more than 300 s"),
        ("webhook-timestamp", "1700001000", "more than 300 s"),
        ("webhook-timestamp", "yesterday", "not a Unix time"),
        ("webhook-timestamp", "\u0661", "not a Unix time"),
        ("webhook-timestamp", "9" * 40, "not a Unix time"),
        ("webhook-signature", "v1,AAAA", "webhook-signature does not match"),
        ("webhook-signature", "\udcff", "webhook-signature does not match"),
        ("X-Signature", "sha256=00", "X-Signature does not match"),
        ("X-Signature", None, "missing header: x-signature"),
        ("webhook-id", None, "missing header: webhook-id"),
    ],
)
def test_whatever_is_changed_is_found(name: str, value: str | None, words: str) -> None:
    made: dict[str, str] = headers("msg_1", BODY, "s3cret", NOW)
    if value is None:
        del made[name]
    else:
        made[name] = value
    with pytest.raises(SignatureError, match=words):
        verify(made, BODY, "s3cret", NOW)


def test_several_signatures_side_by_side() -> None:
    made = headers("msg_1", BODY, "s3cret", NOW)
    made["webhook-signature"] = "v1,AAAA v2,x " + made["webhook-signature"]
    verify(made, BODY, "s3cret", NOW)


def test_a_body_that_is_not_utf8() -> None:
    body = b"\xff"
    made = {"webhook-id": "m", "webhook-timestamp": "1700000000", "webhook-signature": "v1,x"}
    with pytest.raises(SignatureError, match="not UTF-8"):
        verify(made | {"X-Signature": x_signature("s", body)}, body, "s", NOW)
