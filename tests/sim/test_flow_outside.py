"""A request step's exchange with real servers: what arrives, what comes back, and every way to get none."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.pool import Group
from gevent.server import StreamServer
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.clock import SystemClock
from fsbridge.egress.outside import MAX_BODY, MAX_DEPTH, HttpFailure, HttpRequest, HttpResponse, Outside
from fsbridge.errors import ConfigError
from fsbridge.settings.flows import FlowSettings
from tests.unit.webhook.helpers import Answer, Got, Receiver, certificate, receiver, reply

pytestmark = pytest.mark.sim

OPEN = FlowSettings(requests_allow_private=True, requests_allow_http=True)
JSON = "application/json"


@pytest.fixture
def crm() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def fetch(url: str, settings: FlowSettings = OPEN, **changes: Any) -> HttpResponse | HttpFailure:
    fields: dict[str, Any] = {"method": "GET", "timeout_s": 3.0}
    return Outside(settings, SystemClock()).fetch(HttpRequest(url=url, **(fields | changes)))


def response(found: HttpResponse | HttpFailure) -> HttpResponse:
    assert isinstance(found, HttpResponse), found
    return found


def unusable(found: HttpResponse | HttpFailure) -> str:
    """Why there is no body, though there is an answer."""
    assert response(found).status == 200
    assert response(found).body is None
    return response(found).note


def reason(found: HttpResponse | HttpFailure) -> str:
    assert isinstance(found, HttpFailure), found
    return found.reason


def answer(value: Any, status: str = "200 OK", **headers: str) -> Answer:
    return reply(status, json.dumps(value).encode(), Content_Type=JSON, **headers)


# --- what goes out -------------------------------------------------------------------------------------


def test_what_arrives(crm: Receiver) -> None:
    crm.script.append(answer({"ok": [1, None, "ü"]}))
    headers = {"Authorization": "Bearer s3cret", "X-Empty": ""}
    found = fetch(crm.url + "/orders/7", method="POST", headers=headers, body={"id": 7, "name": "Ada"})
    assert response(found).status == 200
    assert response(found).body == {"ok": [1, None, "ü"]}
    (got,) = crm.got
    assert got.path == "/orders/7"
    assert json.loads(got.body) == {"id": 7, "name": "Ada"}
    assert got.headers["content-type"] == JSON
    assert got.headers["authorization"] == "Bearer s3cret"
    assert got.headers["accept"] == JSON
    assert got.headers["user-agent"].startswith("fsbridge")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(crm: Receiver, method: str) -> None:
    def echoed(got: Got) -> Answer:
        return answer({"bytes": len(got.body), "key": "idempotency-key" in got.headers})

    crm.script.append(echoed)
    expected = {"bytes": 0, "key": method in ("POST", "PATCH")}
    assert response(fetch(crm.url, method=method)).body == expected


def test_a_flows_own_headers_go_before_ours(crm: Receiver) -> None:
    own = {"content-type": "application/vnd.api+json", "idempotency-key": "mine", "accept": "text/plain"}
    response(fetch(crm.url, method="POST", body=1, headers=own))
    (got,) = crm.got
    assert {name: got.headers[name] for name in own} == own


def test_no_cookie_is_kept(crm: Receiver) -> None:
    crm.script.append(answer(1, Set_Cookie="session=1; Path=/"))
    outside = Outside(OPEN, SystemClock())
    for _ in range(2):
        response(outside.fetch(HttpRequest("GET", crm.url)))
    assert all("cookie" not in got.headers for got in crm.got)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "TRACE"}, "method must be one of"),
        ({"method": "get"}, "method must be one of"),
        ({"headers": {"Host": "evil"}}, "'Host' may not be set"),
        ({"headers": {"transfer-encoding": "chunked"}}, "may not be set"),
        ({"headers": {"a b": "1"}}, "may not be set"),
        ({"headers": {"X\r\nY": "1"}}, "may not be set"),
        ({"headers": {"X-A": "1\r\nY: 2"}}, "printable ASCII"),
        ({"headers": {"X-A": "ü"}}, "printable ASCII"),
        ({"headers": {"X-A": "x" * 4_097}}, "printable ASCII"),
        ({"headers": {f"X-{n}": "1" for n in range(33)}}, "more than 32 headers"),
        ({"body": {"x": object()}}, "cannot be sent as JSON"),
        ({"body": 2**70}, "cannot be sent as JSON"),
        ({"body": "x" * MAX_BODY}, "body is larger than 256 kB"),
    ],
)
def test_what_is_not_sent(crm: Receiver, changes: dict[str, Any], words: str) -> None:
    assert words in reason(fetch(crm.url, **changes))
    assert crm.got == []


# --- what comes back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["201 Made", "204 Nothing", "301 Moved", "400 Bad", "404 None", "409 Conflict"])
def test_every_status_is_an_answer(crm: Receiver, status: str) -> None:
    crm.script.append(reply(status, Location=crm.url + "/other"))
    found = response(fetch(crm.url))
    assert (found.status, found.body) == (int(status[:3]), None)
    assert found.headers["location"] == crm.url + "/other"
    assert len(crm.got) == 1  # redirects are told, not followed


@pytest.mark.parametrize(
    ("kind", "sent", "body"),
    [
        (JSON, b"[1, 2]", [1, 2]),
        ("application/problem+json; charset=utf-8", b'{"a": 1}', {"a": 1}),
        ("text/plain", b"123", "123"),
        ("text/html", b"\xff<p>", "\ufffd<p>"),
        (JSON, b"", None),
        (JSON, b'\xef\xbb\xbf{"a": "\xc3\xbc"}', {"a": "ü"}),
    ],
)
def test_bodies(crm: Receiver, kind: str, sent: bytes, body: Any) -> None:
    crm.script.append(reply("200 OK", sent, Content_Type=kind))
    assert response(fetch(crm.url)).body == body


@pytest.mark.parametrize("sent", [b"{", b"{'a': 1}", b"NaN", b"\xff", b'"\\ud800"', b"[" * 5_000 + b"]" * 5_000])
def test_what_says_that_it_is_json_and_is_not(crm: Receiver, sent: bytes) -> None:
    crm.script.append(reply("200 OK", sent, Content_Type=JSON))
    assert unusable(fetch(crm.url)) == "the body says that it is JSON but is not"


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.booleans())
def test_nesting_is_bounded(depth: int, objects: bool) -> None:
    opening, closing = ('{"a":', "}") if objects else ("[", "]")
    text = opening * depth + "1" + closing * depth
    with receiver() as crm:
        crm.script.append(reply("200 OK", text.encode(), Content_Type=JSON))
        found = fetch(crm.url)
    if depth <= MAX_DEPTH:
        assert response(found).body == json.loads(text)
    else:
        assert "nested deeper than" in unusable(found)


def test_a_large_answer(crm: Receiver) -> None:
    crm.script += [reply("200 OK", b"x" * MAX_BODY), reply("200 OK", b"x" * (MAX_BODY + 1))]
    assert len(response(fetch(crm.url)).body) == MAX_BODY
    assert "larger than 256 kB" in unusable(fetch(crm.url))


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    def pour(sock: socket.socket, _: Any) -> None:
        sock.recv(4_096)
        try:
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                sock.sendall(b"x" * 65_536)
        except OSError:
            pass

    with served(pour) as url:
        assert "larger than 256 kB" in unusable(fetch(url))


def test_a_compressed_answer_is_not_unpacked(crm: Receiver) -> None:
    crm.script.append(reply("200 OK", b"\x1f\x8b", Content_Encoding="gzip", Content_Type=JSON))
    assert "compressed" in unusable(fetch(crm.url))


def test_few_headers_are_told_and_short(crm: Receiver) -> None:
    crm.script.append(answer(1, X_Other="1", X_Request_Id="r" * 900, ETag='"v1"'))
    headers = response(fetch(crm.url)).headers
    assert headers == {"content-type": JSON, "x-request-id": "r" * 500, "etag": '"v1"'}


# --- trying again --------------------------------------------------------------------------------------


def test_a_post_is_repeated_under_one_key(crm: Receiver) -> None:
    crm.script += [reply("503 Busy", Retry_After="0"), reply("429 Slow", Retry_After="0"), answer("done")]
    assert response(fetch(crm.url, method="POST", body={}, retries=2)).body == "done"
    keys = {got.headers["idempotency-key"] for got in crm.got}
    assert len(crm.got) == 3
    assert len(keys) == 1


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "429 Slow"])
def test_the_last_answer_counts(crm: Receiver, status: str) -> None:
    crm.script += [reply(status, b"first", Retry_After="0"), reply(status, b"second")]
    found = response(fetch(crm.url, retries=1))
    assert (found.status, found.body) == (int(status[:3]), "second")


@pytest.mark.parametrize("status", ["400 Bad", "404 None", "301 Moved"])
def test_what_will_not_change_is_not_repeated(crm: Receiver, status: str) -> None:
    crm.script.append(reply(status))
    response(fetch(crm.url, retries=5))
    assert len(crm.got) == 1


def test_a_patience_that_outlasts_the_deadline_is_not_waited_for(crm: Receiver) -> None:
    crm.script.append(reply("503 Busy", b"later", Retry_After="3600"))
    began = time.monotonic()
    assert response(fetch(crm.url, retries=3)).status == 503
    assert time.monotonic() - began < 2
    assert len(crm.got) == 1


def test_a_dead_server_that_comes_back(crm: Receiver) -> None:
    asked = []

    def moves(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2" if len(asked) == 1 else "127.0.0.1"]

    port = crm.url.rpartition(":")[2]
    outside = Outside(OPEN, SystemClock(), moves)
    crm.script.append(answer("here"))
    found = outside.fetch(HttpRequest("GET", f"http://crm.example.com:{port}/", timeout_s=3, retries=1))
    assert response(found).body == "here"
    assert len(asked) == 2  # the address is looked up for every try


def test_nobody_listens(crm: Receiver) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/private?token=t0p", retries=1)
    assert reason(found) == "connection failed: Connection refused"


# --- deadlines -----------------------------------------------------------------------------------------


def drip(sock: socket.socket, _: Any) -> None:
    """An answer that never ends, a byte at a time: no single read takes long."""
    sock.recv(4_096)
    try:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            sock.sendall(b"x")
            gevent.sleep(0.01)
    except OSError:
        pass


def say_nothing(sock: socket.socket, _: Any) -> None:
    sock.recv(4_096)
    sock.recv(1)


def served(handle: Callable[[socket.socket, Any], None]) -> _Served:
    return _Served(handle)


class _Served:
    def __init__(self, handle: Callable[[socket.socket, Any], None]) -> None:
        self._server = StreamServer(("127.0.0.1", 0), handle)

    def __enter__(self) -> str:
        self._server.start()
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.stop(timeout=0.1)


def saying(*parts: bytes) -> Callable[[socket.socket, Any], None]:
    """Answers so, and closes."""

    def handle(sock: socket.socket, _: Any) -> None:
        sock.recv(65_536)
        for part in parts:
            sock.sendall(part)

    return handle


@pytest.mark.parametrize(
    ("handle", "told"),
    [(drip, "the body did not end in time"), (say_nothing, "no complete answer within 0.3 s")],
)
def test_one_deadline_for_everything(handle: Callable[[socket.socket, Any], None], told: str) -> None:
    began = time.monotonic()
    with served(handle) as url:
        found = fetch(url, timeout_s=0.3, retries=5)
    assert (found.note if isinstance(found, HttpResponse) else found.reason) == told
    assert 0.25 < time.monotonic() - began < 1.5


def test_the_configuration_bounds_a_documents_patience() -> None:
    hurried = OPEN.model_copy(update={"request_timeout_s": 0.2})
    with served(say_nothing) as url:
        assert reason(fetch(url, hurried, timeout_s=60.0)) == "no complete answer within 0.2 s"


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
@pytest.mark.parametrize("status", [200, 201, 404])
def test_the_status_is_an_answer_whatever_becomes_of_the_body(status: int, body: bytes) -> None:
    asked = 0

    def handle(sock: socket.socket, address: Any) -> None:
        nonlocal asked
        asked += 1
        saying(f"HTTP/1.1 {status} So\r\nContent-Type: {JSON}\r\n".encode() + body)(sock, address)

    with served(handle) as url:
        found = response(fetch(url, method="POST", retries=3))
    assert (found.status, found.body, found.note) == (status, None, "the body broke off")
    assert asked == 1  # it has been done: not once more


def test_interim_answers_are_read_over() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    with served(saying(early, b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")) as url:
        found = response(fetch(url))
    assert (found.status, found.body) == (201, "ok")


def test_somebody_elses_timeout_passes_through() -> None:
    with served(drip) as url, pytest.raises(gevent.Timeout), gevent.Timeout(0.1):
        fetch(url)


def test_only_so_many_at_once() -> None:
    outside = Outside(OPEN.model_copy(update={"max_requests": 1}), SystemClock())
    with served(drip) as url:
        first = gevent.Greenlet.spawn(outside.fetch, HttpRequest("GET", url, timeout_s=1.0))
        gevent.sleep(0)
        assert "too many other requests" in reason(outside.fetch(HttpRequest("GET", url, timeout_s=0.1)))
        assert response(first.get(timeout=3)).note
        # The place was given back.
        assert response(outside.fetch(HttpRequest("GET", url, timeout_s=0.1))).note


def test_one_organization_that_asks_a_tarpit_leaves_places_to_the_others(crm: Receiver) -> None:
    outside = Outside(OPEN.model_copy(update={"max_requests": 10}), SystemClock())
    crm.script.append(answer("here"))
    with served(say_nothing) as url:
        stuck = Group()
        for _ in range(20):
            stuck.spawn(outside.fetch, HttpRequest("GET", url, timeout_s=5.0, who="mine"))
        gevent.sleep(0)
        assert response(outside.fetch(HttpRequest("GET", crm.url, timeout_s=2.0, who="other"))).body == "here"
        stuck.kill()


# --- where it may go -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("https://user:pw@example.com/", "user name or password"),
        ("https://127.0.0.1/", "loopback"),
        ("https://169.254.169.254/latest", "link-local"),
        ("https://intranet/", "private network"),
        ("no url", "not an absolute URL"),
    ],
)
def test_urls_that_are_refused_unseen(url: str, words: str) -> None:
    assert words in reason(fetch(url, FlowSettings()))


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_a_name_that_leads_inside(address: str) -> None:
    outside = Outside(FlowSettings(), SystemClock(), lambda host, port: ["93.184.216.34", address])
    assert "address refused: crm.example.com resolves to" in reason(
        outside.fetch(HttpRequest("GET", "https://crm.example.com/", timeout_s=1, retries=3))
    )


def test_tls_and_certificates(tmp_path: Path) -> None:
    files = certificate(tmp_path, "crm.example.com")
    with receiver(tls=files) as crm:
        url = f"https://crm.example.com:{crm.url.rpartition(':')[2]}/"
        here = lambda host, port: ["127.0.0.1"]  # noqa: E731
        request = HttpRequest("GET", url, timeout_s=3)
        trusting = OPEN.model_copy(update={"requests_ca_file": files[0]})
        assert response(Outside(trusting, SystemClock(), here).fetch(request)).status == 200
        assert "certificate refused" in reason(Outside(OPEN, SystemClock(), here).fetch(request))


def test_a_certificate_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"flows\.requests_ca_file"):
        Outside(OPEN.model_copy(update={"requests_ca_file": tmp_path / "none"}), SystemClock())


def test_reasons_tell_no_secret(crm: Receiver) -> None:
    crm.script.append(reply("200 OK", b"{", Content_Type=JSON))
    told = unusable(fetch(crm.url + "/t0p?k=t0p", method="POST", headers={"X-Key": "t0p"}, body="t0p"))
    assert "t0p" not in told
