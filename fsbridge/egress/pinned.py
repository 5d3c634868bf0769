"""HTTP connections that go only to addresses which have just been checked.

The name is resolved at the moment of connecting, every address it gives is judged by `egress.guard`, and the
socket connects to one of those very addresses: there is no second look-up that could answer differently (DNS
rebinding). Host header, SNI and certificate check keep the name. One refused address refuses the name. Proxies
are not used. For `webhook.delivery` and `egress.outside`.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from fsbridge.egress.guard import refuse_address
from fsbridge.errors import ConfigError, FsbridgeError

Resolve = Callable[[str, int], Sequence[str]]
"""A host and port to its IP addresses; raises socket.gaierror. May wait, must not block the hub."""


class AddressRefused(FsbridgeError):
    """The name leads to an address that may not be spoken to."""


def resolve(host: str, port: int) -> list[str]:
    """The system's resolver (gevent's, which does not block the hub), in its order of preference."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Network:
    """What all exchanges share: the trusted certificates (loaded once: that takes 10 ms) and the address rules.

    `ca_file` adds certificates to the usual public ones. Raises ConfigError, naming `key`, if it cannot be read.
    """

    def __init__(
        self,
        ca_file: Path | None,
        allow_private: bool,
        resolver: Resolve = resolve,
        key: str = "webhooks.ca_file",
    ) -> None:
        self._context = create_urllib3_context()
        self._context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        if ca_file is not None:
            try:
                self._context.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError((f"{key}: {ca_file}: {error}",)) from error
        self._pools = _pools(allow_private, resolver)

    def session(self) -> requests.Session:
        """A session without proxies and netrc whose connections are pinned; use it for one exchange."""
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", _Adapter(self._context, self._pools))
        session.mount("http://", _Adapter(self._context, self._pools))
        return session


class _Adapter(HTTPAdapter):
    def __init__(self, context: ssl.SSLContext, pools: dict[str, type[HTTPConnectionPool]]) -> None:
        self._context = context
        self._pools = pools
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        manager = PoolManager(num_pools=1, maxsize=1, ssl_context=self._context)
        manager.pool_classes_by_scheme = self._pools
        self.poolmanager = manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        # The certificates are in the context already; requests would load its bundle again for every connection.
        conn.cert_reqs = "CERT_REQUIRED"


def _pools(allow_private: bool, resolver: Resolve) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, allow_private, resolver)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, allow_private, resolver)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _connect(conn: HTTPConnection, allow_private: bool, resolver: Resolve) -> socket.socket:
    port = conn.port or conn.default_port
    try:
        addresses = resolver(conn.host, port)
    except (socket.gaierror, UnicodeError) as error:
        failure = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(conn.host, conn, failure) from error
    for address in addresses:
        reason = refuse_address(address, allow_private)
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
