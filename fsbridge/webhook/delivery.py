"""One attempt to deliver one webhook, and what came of it. Decides nothing about later attempts.

2xx is delivered, 410 is a wish never to hear of this call again, everything else, redirects among them, is to be
tried again. The whole attempt has one deadline, whatever the receiver does to stretch it. Reasons are in words
that may be logged: they never hold the URL's path or query, the body or the secret.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version

import gevent
import requests
from urllib3.exceptions import HTTPError

from fsbridge.clock import Clock
from fsbridge.settings import WebhookSettings
from fsbridge.store.base import Delivery
from fsbridge.webhook import signing
from fsbridge.webhook.guard import WebhookUrlError, check_url
from fsbridge.webhook.pinned import AddressRefused, Network, Resolve, resolve

RETRY_AFTER_MAX_S = 3_600.0
"""A receiver may ask for this much patience; more would let it hold a call's webhooks back for ever."""
RESPONSE_CAP = 16_384
"""Bytes of the answer that are read (and thrown away) for politeness; the status is all that counts."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""

    status: int


@dataclass(frozen=True, slots=True)
class Gone:
    """410: the receiver wants nothing more of this call."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not delivered; `retry_after_s` is what the receiver asked for, bounded."""

    reason: str
    retry_after_s: float | None = None


Result = Delivered | Gone | Retry


class Courier:
    """Makes attempts; may be used by many greenlets at once. Raises ConfigError for an unusable `ca_file`."""

    def __init__(self, settings: WebhookSettings, clock: Clock, resolver: Resolve = resolve) -> None:
        self._settings = settings
        self._clock = clock
        self._network = Network(settings.ca_file, settings.allow_private, resolver)
        self._agent = f"fsbridge/{_version()}"

    def attempt(self, delivery: Delivery) -> Result:
        """Send it once; waits at most the connect and read timeouts together."""
        settings = self._settings
        try:
            check_url(delivery.url, settings)  # the rules may have become stricter since it was accepted
        except WebhookUrlError as error:
            return Retry(str(error))
        patience = gevent.Timeout(settings.connect_timeout_s + settings.read_timeout_s)
        try:
            with patience:
                return self._send(delivery)
        except gevent.Timeout as timeout:
            if timeout is not patience:
                raise
            return Retry(f"no complete answer within {patience.seconds:g} s")
        except AddressRefused as error:
            return Retry(f"address refused: {error}")
        except (requests.RequestException, HTTPError, OSError) as error:
            return Retry(_in_words(error))

    def _send(self, delivery: Delivery) -> Result:
        settings, now = self._settings, self._clock.wall()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": self._agent,
            "Accept-Encoding": "identity",
            # A connection is used once, so that the address is looked up and judged for every attempt.
            "Connection": "close",
            **signing.headers(delivery.id, delivery.body, delivery.secret, now),
        }
        with requests.Session() as session:
            session.trust_env = False  # no proxies, no netrc
            session.mount("https://", self._network.adapter())
            session.mount("http://", self._network.adapter())
            with session.post(
                delivery.url,
                data=delivery.body,
                headers=headers,
                timeout=(settings.connect_timeout_s, settings.read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                response.raw.read(RESPONSE_CAP, decode_content=False)
                return self._judge(response.status_code, response.headers.get("Retry-After"))

    def _judge(self, status: int, retry_after: str | None) -> Result:
        if 200 <= status < 300:
            return Delivered(status)
        if status == 410:
            return Gone()
        if 300 <= status < 400:
            return Retry(f"status {status}: redirects are not followed; give the final address as webhookUrl")
        wait = self._seconds(retry_after) if status in (429, 503) and retry_after else None
        return Retry(f"status {status}", wait)

    def _seconds(self, retry_after: str) -> float | None:
        """Retry-After (RFC 9110, 10.2.3): seconds or a date."""
        text = retry_after.strip()
        if text.isascii() and text.isdigit():
            return min(float(text[:9]), RETRY_AFTER_MAX_S)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - self._clock.wall()
        return min(max(wait, 0.0), RETRY_AFTER_MAX_S)


def _in_words(error: BaseException) -> str:
    """What went wrong, without the URL that requests puts into its messages."""
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.ReadTimeout):
        return "no answer in time"
    deepest = None
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'closed'}"
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            deepest = cause.strerror
    return f"connection failed: {deepest or type(error).__name__}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    ahead: list[BaseException] = [error]
    while ahead:
        current = ahead.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        for found in (*current.args, getattr(current, "reason", None), current.__cause__, current.__context__):
            if isinstance(found, BaseException):
                ahead.append(found)


def _version() -> str:
    try:
        return version("fsbridge")
    except PackageNotFoundError:
        return "dev"
