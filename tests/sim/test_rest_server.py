"""The HTTP server on a real socket: framing, limits, slow peers and the drain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.event
import pytest
from gevent import socket

from api.contract.routes import Route
from api.http.connection import ConnectionLimits
from api.http.edge import Limits, Request, Response, WsgiApp, build_wsgi
from api.http.server import ApiServer, Place, ServeError
from fsbridge.clock import SystemClock
from fsbridge.settings.service import ServiceSettings
from fsbridge.supervise import Supervisor

pytestmark = pytest.mark.sim

PATIENT = ConnectionLimits(first_s=10, silence_s=10, header_s=10, linger_s=0.3, linger_bytes=8_192)
IMPATIENT = ConnectionLimits(first_s=0.3, silence_s=0.3, header_s=0.2, linger_s=0.1, linger_bytes=8_192)


def _place(**settings: Any) -> Place:
    return Place.main(ServiceSettings(**{"listen": "127.0.0.1:0", **settings}))


class Site:
    """A server with an echo, a handler that waits for a gate, and one that breaks."""

    def __init__(self, limits: ConnectionLimits = PATIENT, body_s: float = 10, **settings: Any) -> None:
        self.body_limits = Limits(body_bytes=1_000, body_seconds=body_s)
        self.failures: list[str] = []
        self.gate = gevent.event.Event()
        self.waiting = 0
        self.supervisor = Supervisor(lambda name, error: self.failures.append(f"{name}: {error}"))
        self.server = ApiServer(self.app(), _place(**settings), self.supervisor, limits)
        self.server.start()

    def app(self) -> WsgiApp:
        def echo(request: Request) -> Response:
            return Response(200, request.body(), "text/plain")

        def hold(request: Request) -> Response:
            self.waiting += 1
            self.gate.wait()
            return Response(200, b"{}")

        def large(request: Request) -> Response:
            return Response(200, b"x" * 30_000_000)

        def unread(request: Request) -> Response:
            return Response(200, b"early")

        routes: list[tuple[str, str, Callable[[Request], Response]]] = [
            ("POST", "/echo", echo),
            ("GET", "/hold", hold),
            ("GET", "/large", large),
            ("POST", "/unread", unread),
        ]
        table = [(Route(method, path, path), handler) for method, path, handler in routes]
        return build_wsgi(table, SystemClock(), self.body_limits)

    @contextmanager
    def connect(self) -> Iterator[Peer]:
        sock = socket.create_connection(("127.0.0.1", self.server.port), timeout=5)
        try:
            yield Peer(sock)
        finally:
            sock.close()

    def ask(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        with self.connect() as peer:
            peer.send(raw)
            return peer.read()

    def close(self) -> None:
        self.gate.set()
        self.server.stop(1.0)
        self.supervisor.stop()


class Peer:
    """The client's end, byte by byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self) -> tuple[int, dict[str, str], bytes]:
        """One response with a Content-Length; status 0 if the connection has ended."""
        line = self.file.readline()
        if not line:
            return 0, {}, b""
        headers = {}
        while (header := self.file.readline().strip()) != b"":
            name, _, value = header.partition(b":")
            headers[name.decode().lower()] = value.strip().decode()
        return int(line.split()[1]), headers, self.file.read(int(headers["content-length"]))

    def closed_already(self) -> bool:
        """Whether the server has ended the connection by now."""
        self.sock.setblocking(False)
        try:
            return self.sock.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def closed(self) -> bool:
        """Wait for the server to end the connection."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def impatient() -> Iterator[Site]:
    site = Site(IMPATIENT, body_s=0.2)
    yield site
    site.close()


def _until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    with gevent.Timeout(seconds):
        while not condition():
            gevent.sleep(0.002)


def _post(path: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode() + body


def _chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def test_keep_alive_pipelining_and_chunks(site: Site) -> None:
    with site.connect() as peer:
        peer.send(_post("/echo", "Content-Length: 3", body=b"one") * 2)
        peer.send(_post("/echo", "Transfer-Encoding: chunked", body=_chunked(b"ab", b"c" * 20)))
        assert [peer.read()[2] for _ in range(3)] == [b"one", b"one", b"ab" + b"c" * 20]
        for byte in _post("/echo", "Content-Length: 2", body=b"hi"):
            peer.send(bytes([byte]))
        assert peer.read()[2] == b"hi"


def test_a_whole_url_asks_for_its_path(site: Site) -> None:
    status, _, body = site.ask(b"POST http://x:1/echo HTTP/1.1\r\nHost: y\r\nContent-Length: 2\r\n\r\nhi")
    assert (status, body) == (200, b"hi")
    status, _, body = site.ask(b"GET https://x/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, json.loads(body)["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("head", ["", "Host: a b\r\n", "Host: x\r\nHost: x\r\n"])
def test_a_request_without_its_host_is_400(site: Site, head: str) -> None:
    status, headers, body = site.ask(f"POST /echo HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n".encode())
    error = json.loads(body)["error"]
    assert (status, error["code"], headers["connection"]) == (400, "INVALID_REQUEST", "close")
    assert "host" in error["message"].lower()


def test_connection_close_is_obeyed(site: Site) -> None:
    for raw in (
        _post("/echo", "Connection: close", "Content-Length: 0"),
        b"POST /echo HTTP/1.0\r\n\r\n",
    ):
        with site.connect() as peer:
            peer.send(raw)
            assert peer.read()[0] == 200
            assert peer.closed()


def test_nodelay_is_set_on_connections(site: Site) -> None:
    with site.connect() as peer:
        peer.send(_post("/echo", "Content-Length: 0"))
        peer.read()
        (handler,) = site.server._server.handlers  # type: ignore[union-attr]
        assert handler.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        b"GET\n\n",
        b"GET /hold\r\n\r\n",
        b"GET /hold HTTP/0.9\r\n\r\n",
        b"GET /hold HTTP/2.0\r\n\r\n",
        b"G\x00T /hold HTTP/1.1\r\n\r\n",
        b"GET  /hold HTTP/1.1\r\n\r\n",
        _post("/echo", "Content-Length: 3", "Content-Length: 4", body=b"abcd"),
        _post("/echo", "Content-Length: 3", "Transfer-Encoding: chunked", body=_chunked(b"x")),
        _post("/echo", "Content-Length: -3"),
        _post("/echo", "Content-Length: 0x3", body=b"abc"),
        _post("/echo", "Transfer-Encoding: identity, chunked", body=_chunked(b"x")),
        _post("/echo", "Transfer-Encoding : chunked", body=_chunked(b"x")),
        _post("/echo", *["A: b"] * 200),
        _post("/echo", "A: " + "b" * 40_000),
        _post("/echo", "Transfer-Encoding: chunked", body=b"zz\r\nabc\r\n0\r\n\r\n"),
        _post("/echo", "Transfer-Encoding: chunked", body=b"-1\r\n"),
        _post("/echo", "Transfer-Encoding: chunked", body=b"11111111111111111\r\n"),
        _post("/echo", "Transfer-Encoding: chunked", body=b"2\r\nabc\r\n0\r\n\r\n"),
    ],
)
def test_malformed_requests_are_400_in_json_and_end_the_connection(site: Site, raw: bytes) -> None:
    with site.connect() as peer:
        peer.send(raw)
        status, headers, body = peer.read()
        assert status == 400
        assert headers["connection"] == "close"
        assert json.loads(body)["error"]["code"] == "INVALID_REQUEST"
        assert peer.closed()


def test_a_long_request_line_is_414(site: Site) -> None:
    status, _, body = site.ask(b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n")
    assert status == 414
    assert json.loads(body)["error"]["code"] == "INVALID_REQUEST"


def test_bodies_over_the_limit_are_413_before_they_are_read(site: Site) -> None:
    for raw in (
        _post("/echo", "Content-Length: 5000", body=b"x" * 5_000),
        _post("/echo", "Content-Length: 99999999999"),
        _post("/echo", "Content-Length: 5000", "Expect: 100-continue"),
        _post("/echo", "Transfer-Encoding: chunked", body=_chunked(b"x" * 600, b"x" * 600)),
    ):
        with site.connect() as peer:
            peer.send(raw)
            status, headers, body = peer.read()
            assert status == 413
            assert headers["connection"] == "close"
            assert json.loads(body)["error"]["code"] == "INVALID_REQUEST"


def test_expect_continue_is_answered_when_the_body_is_wanted(site: Site) -> None:
    with site.connect() as peer:
        peer.send(_post("/echo", "Content-Length: 2", "Expect: 100-continue"))
        assert peer.file.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert peer.file.readline() == b"\r\n"
        peer.send(b"ok")
        assert peer.read()[2] == b"ok"


def test_a_body_that_stalls_is_408(impatient: Site) -> None:
    with impatient.connect() as peer:
        peer.send(_post("/echo", "Content-Length: 10", body=b"abc"))
        status, headers, body = peer.read()
        assert (status, headers["connection"]) == (408, "close")
        assert "body: did not arrive whole" in json.loads(body)["error"]["message"]
        assert peer.closed()


def test_a_body_that_ends_early_harms_nobody(site: Site) -> None:
    with site.connect() as peer:
        peer.send(_post("/echo", "Content-Length: 10", body=b"abc"))
        peer.sock.shutdown(socket.SHUT_WR)
        assert peer.read()[0] == 400
        assert peer.closed()


def test_headers_that_drip_are_cut(impatient: Site) -> None:
    with impatient.connect() as peer:
        peer.send(b"GET /hold HTTP/1.1\r\nA: ")
        status, _, body = peer.read()
        assert status == 408
        assert "headers" in json.loads(body)["error"]["message"]
        assert peer.closed()


def test_silent_connections_are_closed(impatient: Site) -> None:
    with impatient.connect() as peer:
        assert peer.closed()
    _until(lambda: impatient.server.connections == 0)


def test_a_peer_that_does_not_read_is_dropped(impatient: Site) -> None:
    with impatient.connect() as peer:
        peer.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        _until(lambda: impatient.server.connections == 1)
        _until(lambda: impatient.server.connections == 0)


def test_an_unread_body_does_not_become_the_next_request(site: Site) -> None:
    inner = _post("/echo", "Content-Length: 4", body=b"evil")
    with site.connect() as peer:
        peer.send(_post("/unread", f"Content-Length: {len(inner)}", body=inner))
        peer.send(_post("/echo", "Content-Length: 4", body=b"next"))
        assert [peer.read()[2] for _ in range(2)] == [b"early", b"next"]
    for raw in (
        _post("/unread", "Content-Length: 1000000", body=b"x" * 9_000),
        _post("/unread", "Content-Length: 100", body=b"x"),
        _post("/unread", "Transfer-Encoding: chunked", body=b"zz"),
    ):
        with site.connect() as peer:
            peer.send(raw)
            assert peer.read()[2] == b"early"
            assert peer.closed()


def test_an_upgrade_is_not_taken(site: Site) -> None:
    raw = _post("/echo", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 2", body=b"okXX")
    assert site.ask(raw)[2] == b"ok"


def test_connections_beyond_the_pool_wait_their_turn() -> None:
    site = Site(max_connections=10)
    try:
        holders = [
            gevent.Greenlet.spawn(site.ask, b"GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for _ in range(14)
        ]
        _until(lambda: site.waiting == 10)
        assert site.server.connections == 10
        site.gate.set()
        assert [holder.get(timeout=5)[0] for holder in holders] == [200] * 14
    finally:
        site.close()


def test_silent_connections_make_room_for_whoever_asks() -> None:
    site = Site(max_connections=10)
    silent = [socket.create_connection(("127.0.0.1", site.server.port), timeout=5) for _ in range(12)]
    try:
        _until(lambda: site.server.connections == 10)
        for _ in range(20):
            assert site.ask(_post("/echo", "Connection: close", "Content-Length: 2", body=b"hi"))[2] == b"hi"
        ended = [peer for peer in silent if Peer(peer).closed_already()]
        assert ended, "whoever has been silent longest has gone"
        assert silent[0] in ended
    finally:
        for peer in silent:
            peer.close()
        site.close()


def test_an_address_has_its_number_of_connections_and_a_proxy_any() -> None:
    site, proxied = Site(max_connections_per_address=3, proxies=()), Site(max_connections_per_address=3)
    try:
        for each, places in ((site, 3), (proxied, 6)):
            raw = b"GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            holders = [gevent.Greenlet.spawn(each.ask, raw) for _ in range(6)]
            _until(lambda each=each, places=places: each.waiting == places)  # type: ignore[misc]
            refused = [holder.get(timeout=5) for holder in holders if holder.ready()]
            _until(lambda holders=holders, places=places: sum(h.ready() for h in holders) == 6 - places)  # type: ignore[misc]
            refused = [holder.get(timeout=5) for holder in holders if holder.ready()]
            each.gate.set()
            assert sorted(holder.get(timeout=5)[0] for holder in holders) == [200] * places + [429] * (6 - places)
            for status, headers, body in refused:
                assert (status, json.loads(body)["error"]["code"]) == (429, "RATE_LIMIT_EXCEEDED")
                assert int(headers["retry-after"]) >= 1
    finally:
        site.close()
        proxied.close()


def test_an_address_that_has_silent_connections_is_not_refused() -> None:
    site = Site(max_connections_per_address=3, proxies=())
    silent = [socket.create_connection(("127.0.0.1", site.server.port), timeout=5) for _ in range(3)]
    try:
        _until(lambda: site.server.connections == 3)
        assert site.ask(_post("/echo", "Connection: close", "Content-Length: 2", body=b"hi"))[2] == b"hi"
        assert Peer(silent[0]).closed()
    finally:
        for peer in silent:
            peer.close()
        site.close()


def test_a_first_request_is_waited_for_less_than_a_further_one() -> None:
    site = Site(ConnectionLimits(first_s=0.2, silence_s=30))
    try:
        with site.connect() as known, site.connect() as new:
            known.send(_post("/echo", "Content-Length: 2", body=b"hi"))
            known.read()
            assert new.closed()
            assert site.server.connections == 1
            known.send(_post("/echo", "Content-Length: 2", body=b"yo"))
            assert known.read()[2] == b"yo"
    finally:
        site.close()


def test_stop_lets_requests_finish_and_closes_idle_connections(site: Site) -> None:
    with site.connect() as idle, site.connect() as busy:
        idle.send(_post("/echo", "Content-Length: 0"))
        idle.read()
        busy.send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        _until(lambda: site.waiting == 1)
        stopping = gevent.Greenlet.spawn(site.server.stop, 5.0)
        assert idle.closed()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", site.server.port), timeout=1)
        assert not stopping.ready()
        site.gate.set()
        assert busy.read()[0] == 200
        assert busy.closed()
        stopping.get(timeout=5)
    assert site.server.connections == 0
    assert site.failures == []


def test_stop_cuts_what_lasts_too_long_with_503(site: Site) -> None:
    with site.connect() as peer:
        peer.send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n")
        _until(lambda: site.waiting == 1)
        site.server.stop(0.05)
        status, _, body = peer.read()
        assert (status, json.loads(body)["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert peer.closed()


def test_a_fault_outside_every_handler_is_500_in_json() -> None:
    def broken(environ: Any, start_response: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    supervisor = Supervisor()
    server = ApiServer(broken, _place(), supervisor)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
            peer = Peer(sock)
            peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            status, _, body = peer.read()
            assert (status, json.loads(body)["error"]["code"]) == (500, "INTERNAL_ERROR")
            assert b"secret" not in body
            assert peer.closed()
    finally:
        server.stop(0.1)
        supervisor.stop()


def test_a_server_that_ends_by_itself_is_reported(site: Site) -> None:
    site.server._server.close()  # type: ignore[union-attr]
    _until(lambda: site.failures != [])
    assert "ended by itself" in site.failures[0]


def test_an_address_in_use_is_told(site: Site) -> None:
    taken = _place(listen=f"127.0.0.1:{site.server.port}")
    second = ApiServer(site.app(), taken, site.supervisor)
    with pytest.raises(ServeError, match=r"cannot listen on 127.0.0.1:\d+: .*service.listen"):
        second.start()
    with pytest.raises(ServeError, match="not been started"):
        _ = second.port
    assert second.connections == 0
    second.stop(0.0)


def test_ipv6() -> None:
    try:
        site = Site(listen="[::1]:0")
    except ServeError:
        pytest.skip("this machine has no IPv6 loopback")
    with socket.create_connection(("::1", site.server.port), timeout=5) as sock:
        peer = Peer(sock)
        peer.send(_post("/echo", "Content-Length: 2", body=b"v6"))
        assert peer.read()[2] == b"v6"
    site.close()
