"""The HTTP exchange of a `request` step: the customer's system is asked, within bounds. Shell.

The address rules are the webhooks' (`egress.guard`, `egress.pinned`): no private addresses unless the configuration
opens them, no redirects, no proxies, no cookies. One deadline covers everything: the wait for a free place, every
try, the pauses between them, the answer's body. Reasons are in words that may be logged and shown: they never hold
the URL's path or query, a header's value or a body.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from types import MappingProxyType
from typing import Any

import gevent
import orjson
import requests
from urllib3.exceptions import HTTPError

from fsbridge.clock import Clock
from fsbridge.egress.guard import refuse_url
from fsbridge.egress.names import Resolve
from fsbridge.egress.pinned import AddressRefused, Network, in_words, patience_asked
from fsbridge.egress.places import Places
from fsbridge.model.ids import new_uuid
from fsbridge.settings.flows import FlowSettings

Json = Any

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MAX_BODY = 262_144
"""Bytes of a request's body and of an answer's, each."""
READ_BYTES = 65_536
MAX_DEPTH = 20
"""How deep an answer may be nested; `flow.document.template` bounds a document's data alike."""
MAX_HEADERS = 32
CONNECT_S = 5.0
"""How long one try may take to connect, so that a dead address leaves time for the next try."""
PAUSES_S = (0.25, 8.0)
"""The pause before the first retry, doubled for each more, and its bound; an answer's Retry-After goes before it."""
SHOWN = ("Content-Type", "ETag", "Location", "Retry-After", "X-Request-Id")
"""The headers of an answer that a flow is told, in lower case."""
MAX_HEADER = 500

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VALUE = re.compile(r"(?:[!-~](?:[ -~]{0,4094}[!-~])?)?")
_OURS = frozenset(
    {
        *("host", "connection", "content-length", "transfer-encoding", "accept-encoding", "te", "trailer", "upgrade"),
        *("expect", "keep-alive", "proxy-authorization", "proxy-connection"),
    }
)
"""Headers that say how the exchange is done; set by a flow they could smuggle a second request."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is asked. `body` None sends none; `retries` are tries after the first; `timeout_s` bounds it all.

    `who` asks: an organization, whose share of the places it takes.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: Json = None
    timeout_s: float = 10.0
    retries: int = 0
    who: str = ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What was answered, whatever the status: `body` is the JSON, or the text of another type, None for none.

    The status is an answer in itself: of a body that did not come whole, or cannot be used, only `note` is left.
    """

    status: int
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    note: str = ""


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """There is no answer that a flow could use."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Again:
    """A try that may be repeated: what it came to, and how long the answer asks to wait."""

    came_to: HttpResponse | HttpFailure
    wait_s: float | None = None


class Outside:
    """Makes exchanges for all flows; raises ConfigError for an unusable `requests_ca_file`."""

    def __init__(self, settings: FlowSettings, clock: Clock, resolver: Resolve | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._places = Places(settings.max_requests, clock)
        self._network = Network(
            settings.requests_ca_file, settings.requests_allow_private, resolver, "flows.requests_ca_file"
        )

    def fetch(self, request: HttpRequest) -> HttpResponse | HttpFailure:
        """Do the exchange; blocks the calling greenlet at most `timeout_s`, or `flows.request_timeout_s` if less.

        Tries again after a failed connection, 429 and 5xx; the last answer is what counts.
        """
        patience_s = min(request.timeout_s, self._settings.request_timeout_s)
        until = self._clock.monotonic() + patience_s
        prepared = self._prepare(request)
        if isinstance(prepared, HttpFailure):
            return prepared
        headers, body = prepared
        with self._places.place(request.who, patience_s) as held:
            if not held:
                return HttpFailure("too many other requests are under way (flows.max_requests)")
            return self._tries(request, headers, body, until, patience_s)

    def _prepare(self, request: HttpRequest) -> tuple[dict[str, str], bytes | None] | HttpFailure:
        """The headers and the body as they are sent, or why nothing is."""
        if request.method not in METHODS:
            return HttpFailure(f"the method must be one of {', '.join(METHODS)}")
        schemes = ("https", "http") if self._settings.requests_allow_http else ("https",)
        reason = refuse_url(request.url, schemes, self._settings.requests_allow_private)
        if reason is not None:
            return HttpFailure(f"the URL {reason}")
        if len(request.headers) > MAX_HEADERS:
            return HttpFailure(f"there are more than {MAX_HEADERS} headers")
        for name, value in request.headers.items():
            if _TOKEN.fullmatch(name) is None or name.lower() in _OURS:
                return HttpFailure(f"header {name[:64]!r} may not be set")
            if _VALUE.fullmatch(value) is None:
                return HttpFailure(f"header {name}: its value must be printable ASCII, 4096 characters at most")
        given = {name.lower() for name in request.headers}
        headers = {"User-Agent": "fsbridge", "Accept": "application/json"}
        body = None
        if request.body is not None:
            try:
                body = orjson.dumps(request.body)
            except orjson.JSONEncodeError as error:
                return HttpFailure(f"the body cannot be sent as JSON: {error}")
            if len(body) > MAX_BODY:
                return HttpFailure(f"the body is larger than {MAX_BODY // 1024} kB")
            headers["Content-Type"] = "application/json"
        if request.method in ("POST", "PATCH"):
            # The same for every try, so that the other side can tell a repetition from a second order.
            headers["Idempotency-Key"] = new_uuid()
        headers = {name: value for name, value in headers.items() if name.lower() not in given}
        # A connection is used once, so that the address is looked up and judged for every try.
        return {**headers, **request.headers, "Accept-Encoding": "identity", "Connection": "close"}, body

    def _tries(
        self, request: HttpRequest, headers: dict[str, str], body: bytes | None, until: float, patience_s: float
    ) -> HttpResponse | HttpFailure:
        pause_s = PAUSES_S[0]
        for left in range(request.retries, -1, -1):
            found = self._try(request, headers, body, until, patience_s)
            if not isinstance(found, _Again):
                return found
            wait_s = found.wait_s if found.wait_s is not None else pause_s
            if not left or self._clock.monotonic() + wait_s >= until:
                return found.came_to
            gevent.sleep(wait_s)
            pause_s = min(pause_s * 2, PAUSES_S[1])
        raise AssertionError("the last try returns")

    def _try(
        self, request: HttpRequest, headers: dict[str, str], body: bytes | None, until: float, patience_s: float
    ) -> HttpResponse | HttpFailure | _Again:
        left_s = until - self._clock.monotonic()
        if left_s <= 0:
            return HttpFailure(f"no complete answer within {patience_s:g} s")
        deadline = gevent.Timeout(left_s)
        try:
            with deadline:
                return self._exchange(request, headers, body, left_s, deadline)
        except gevent.Timeout as timeout:
            if timeout is not deadline:
                raise
            return HttpFailure(f"no complete answer within {patience_s:g} s")
        except AddressRefused as error:
            return HttpFailure(f"address refused: {error}")
        except (requests.RequestException, HTTPError, OSError) as error:
            return _Again(HttpFailure(in_words(error)))

    def _exchange(
        self,
        request: HttpRequest,
        headers: dict[str, str],
        body: bytes | None,
        left_s: float,
        deadline: gevent.Timeout,
    ) -> HttpResponse | HttpFailure | _Again:
        with (
            self._network.session(request.who) as session,
            session.request(
                request.method,
                request.url,
                data=body,
                headers=headers,
                timeout=(min(CONNECT_S, left_s), left_s),
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            status = response.status_code
            found = _read(status, response.headers, _body(response, deadline))
            if status != 429 and status < 500:
                return found
            asked = response.headers.get("Retry-After", "")
            return _Again(found, patience_asked(asked, self._clock.wall(), self._settings.request_timeout_s))


def _body(response: requests.Response, deadline: gevent.Timeout) -> bytes | str:
    """The answer's body, or why it did not come whole: the status stands, whatever becomes of the rest."""
    body = bytearray()
    try:
        # To the very end: only the read after the last byte tells that a body is shorter than it said.
        while len(body) <= MAX_BODY and (part := response.raw.read(READ_BYTES, decode_content=False)):
            body += part
        return bytes(body)
    except gevent.Timeout as timeout:
        if timeout is not deadline:
            raise
        return "the body did not end in time"
    except (HTTPError, HTTPException, OSError):
        return "the body broke off"


def _read(status: int, headers: Mapping[str, str], body: bytes | str) -> HttpResponse:
    """An answer as a flow may use it."""
    shown = {name.lower(): headers[name][:MAX_HEADER] for name in SHOWN if name in headers}
    if isinstance(body, str):
        return HttpResponse(status, None, shown, body)
    if len(body) > MAX_BODY:
        return HttpResponse(status, None, shown, f"the body is larger than {MAX_BODY // 1024} kB")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        return HttpResponse(status, None, shown, "the body is compressed, which was not asked for")
    if not body:
        return HttpResponse(status, None, shown)
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return HttpResponse(status, body.decode("utf-8", "replace"), shown)
    try:
        # RFC 8259, 8.1: a parser may ignore the mark that some systems write all the same.
        value = orjson.loads(body.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError:
        return HttpResponse(status, None, shown, "the body says that it is JSON but is not")
    if _deeper(value, MAX_DEPTH):
        return HttpResponse(status, None, shown, f"the body's JSON is nested deeper than {MAX_DEPTH}")
    return HttpResponse(status, value, shown)


def _deeper(value: Json, depth: int) -> bool:
    """Whether lists and objects stand more than `depth` deep in each other."""
    level = [value]
    for _ in range(depth):
        inner = [each for each in level if isinstance(each, (dict, list))]
        level = [found for each in inner for found in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return False
    return any(isinstance(each, (dict, list)) for each in level)
