"""One attempt to deliver one webhook, and what came of it. Decides nothing about later attempts.

2xx is delivered, 410 is a wish never to hear of this call again, everything else, redirects among them, is to be
tried again. The status alone counts: an answer's body may be broken, endless or never come. The whole attempt has
one deadline, whatever the receiver does to stretch it. Reasons are in words that may be logged: they never hold the
URL's path or query, the body or the secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version

import gevent
import requests
from urllib3.exceptions import HTTPError

from fsbridge.clock import Clock
from fsbridge.egress.guard import WebhookUrlError, check_url
from fsbridge.egress.names import Resolve
from fsbridge.egress.pinned import AddressRefused, Network, in_words, patience_asked
from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.store.base import Delivery
from fsbridge.webhook import signing
from fsbridge.webhook.patience import RETRY_AFTER_MAX_S

RESPONSE_CAP = 16_384
"""Bytes of the answer that are read (and thrown away) for politeness: a receiver may not like to be cut short."""
BODY_S = 0.5
"""How long they are waited for; meanwhile the webhook holds its place."""


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

    def __init__(self, settings: WebhookSettings, clock: Clock, resolver: Resolve | None = None) -> None:
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
                return self._send(delivery, patience)
        except gevent.Timeout as timeout:
            if timeout is not patience:
                raise
            return Retry(f"no complete answer within {patience.seconds:g} s")
        except AddressRefused as error:
            return Retry(f"address refused: {error}")
        except (requests.RequestException, HTTPError, OSError) as error:
            return Retry(in_words(error))

    def _send(self, delivery: Delivery, patience: gevent.Timeout) -> Result:
        settings, now = self._settings, self._clock.wall()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": self._agent,
            "Accept-Encoding": "identity",
            # A connection is used once, so that the address is looked up and judged for every attempt.
            "Connection": "close",
            **signing.headers(delivery.id, delivery.body, delivery.secret, now),
        }
        with (
            self._network.session(delivery.org_id) as session,
            session.post(
                delivery.url,
                data=delivery.body,
                headers=headers,
                timeout=(settings.connect_timeout_s, settings.read_timeout_s),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            result = self._judge(response.status_code, response.headers.get("Retry-After"))
            patience.close()  # the answer has come in time; its body has a bound of its own
            _read_over(response)
            return result

    def _judge(self, status: int, retry_after: str | None) -> Result:
        if 200 <= status < 300:
            return Delivered(status)
        if status == 410:
            return Gone()
        if 300 <= status < 400:
            return Retry(f"status {status}: redirects are not followed; give the final address as webhookUrl")
        wait = None
        if status in (429, 503) and retry_after:
            wait = patience_asked(retry_after, self._clock.wall(), RETRY_AFTER_MAX_S)
        return Retry(f"status {status}", wait)


def _read_over(response: requests.Response) -> None:
    """Take the answer's body and whatever is wrong with it."""
    enough = gevent.Timeout(BODY_S)
    try:
        with enough:
            response.raw.read(RESPONSE_CAP, decode_content=False)
    except gevent.Timeout as timeout:
        if timeout is not enough:
            raise
    except (HTTPError, HTTPException, OSError):
        pass


def _version() -> str:
    try:
        return version("fsbridge")
    except PackageNotFoundError:
        return "dev"
