"""HTTP connections that go only to addresses which have just been checked.

The name is resolved at the moment of connecting, every address it gives is judged by `egress.guard`, and the
socket connects to one of those very addresses: there is no second look-up that could answer differently (DNS
rebinding). Host header, SNI and certificate check keep the name. One refused address refuses the name. Proxies
are not used. For `webhook.delivery` and `egress.outside`.
"""

from __future__ import annotations

import http
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from fsbridge.egress.guard import refuse_address
from fsbridge.egress.names import Names, Resolve
from fsbridge.errors import ConfigError, FsbridgeError

MAX_INTERIM = 16
"""Interim answers (100, 103, …) that are read over; a receiver that sends more has nothing else to say."""

_Connect = Callable[[HTTPConnection], socket.socket]


class AddressRefused(FsbridgeError):
    """The name leads to an address that may not be spoken to."""


class Network:
    """What all exchanges share: the trusted certificates (loaded once: that takes 10 ms) and the address rules.

    `ca_file` adds certificates to the usual public ones. Raises ConfigError, naming `key`, if it cannot be read.
    Names are looked up by `resolver`, the system's by default.
    """

    def __init__(
        self,
        ca_file: Path | None,
        allow_private: bool,
        resolver: Resolve | None = None,
        key: str = "webhooks.ca_file",
    ) -> None:
        self._context = create_urllib3_context()
        self._context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        if ca_file is not None:
            try:
                self._context.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError((f"{key}: {ca_file}: {error}",)) from error
        self._allow_private = allow_private
        self._resolver_of = Names().resolver if resolver is None else lambda share: resolver

    def session(self, share: str = "") -> requests.Session:
        """A session without proxies and netrc whose connections are pinned; use it for one exchange.

        `share` names who it is for, an organization: name servers that do not answer are its own trouble then.
        """
        adapter = _Adapter(partial(self._connect, self._resolver_of(share)), self._context)
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _connect(self, resolver: Resolve, conn: HTTPConnection) -> socket.socket:
        port = conn.port or conn.default_port
        try:
            addresses = resolver(conn.host, port)
        except (socket.gaierror, UnicodeError) as error:
            failure = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
            raise NameResolutionError(conn.host, conn, failure) from error
        for address in addresses:
            reason = refuse_address(address, self._allow_private)
            if reason is not None:
                raise AddressRefused(f"{conn.host} resolves to {address}, which {reason}")
        last: OSError = OSError("the name has no address")
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(conn.timeout)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect((address, port))
            except OSError as error:
                sock.close()
                last = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        if isinstance(last, TimeoutError):
            raise ConnectTimeoutError(conn, "timed out") from last
        raise NewConnectionError(conn, str(last)) from last


class _Adapter(HTTPAdapter):
    def __init__(self, connect: _Connect, context: ssl.SSLContext) -> None:
        self._connect = connect
        self._context = context
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        self.poolmanager = _Manager(self._connect, self._context)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        # The certificates are in the context already; requests would load its bundle again for every connection.
        conn.cert_reqs = "CERT_REQUIRED"


class _FinalResponse(http.client.HTTPResponse):
    """Reads over every interim answer (1xx) to the one that counts; `http.client` knows 100 alone."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status >= 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {MAX_INTERIM} interim answers")


class _Plain(HTTPConnection):
    response_class = _FinalResponse

    def __init__(self, connect: _Connect, **kwargs: Any) -> None:
        self._connect_pinned = connect
        super().__init__(**kwargs)

    def _new_conn(self) -> socket.socket:
        return self._connect_pinned(self)


class _Tls(HTTPSConnection):
    response_class = _FinalResponse

    def __init__(self, connect: _Connect, **kwargs: Any) -> None:
        self._connect_pinned = connect
        super().__init__(**kwargs)

    def _new_conn(self) -> socket.socket:
        return self._connect_pinned(self)


class _Manager(PoolManager):
    """Makes pools of one connection each, which is opened by `connect`."""

    def __init__(self, connect: _Connect, context: ssl.SSLContext) -> None:
        super().__init__(num_pools=1, maxsize=1, ssl_context=context)
        self._connect = connect

    def _new_pool(self, scheme: str, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = super()._new_pool(scheme, *args, **kwargs)
        kind: type[_Tls | _Plain] = _Tls if scheme == "https" else _Plain
        pool.ConnectionCls = partial(kind, self._connect)  # type: ignore[assignment]
        return pool


def patience_asked(retry_after: str, now: float, most: float) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date), 0 to `most`; None: unreadable.

    `now` is wall-clock time.
    """
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), most)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    wait = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    return min(max(wait, 0.0), most)


def in_words(error: BaseException) -> str:
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
