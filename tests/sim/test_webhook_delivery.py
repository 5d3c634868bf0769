"""One attempt against real receivers: statuses, deadlines, TLS, and names that lead where they must not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import gevent
import pytest
from gevent.server import StreamServer

from fsbridge.clock import SystemClock
from fsbridge.egress.pinned import MAX_INTERIM
from fsbridge.errors import ConfigError
from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.webhook.delivery import Courier, Delivered, Gone, Result, Retry
from fsbridge.webhook.patience import RETRY_AFTER_MAX_S
from tests.unit.webhook.helpers import OPEN, Answer, FixedClock, Got, Receiver, a_delivery, certificate, receiver, reply

pytestmark = pytest.mark.sim


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def attempt(url: str, settings: WebhookSettings = OPEN) -> Result:
    return Courier(settings, SystemClock()).attempt(a_delivery(url))


def reason(result: Result) -> str:
    assert isinstance(result, Retry)
    return result.reason


def test_what_arrives(hook: Receiver) -> None:
    assert attempt(hook.url + "/a/b") == Delivered(200)
    (got,) = hook.got
    assert got.path == "/a/b"
    assert got.body == b'{"event":"call.answered"}'
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == hook.url.removeprefix("http://")
    assert got.headers["user-agent"].startswith("fsbridge/")
    assert got.headers["webhook-id"] == "msg_1"
    assert got.headers["x-signature"].startswith("sha256=")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("200 OK", Delivered(200)),
        ("204 No Content", Delivered(204)),
        ("410 Gone", Gone()),
        ("400 Bad Request", Retry("status 400")),
        ("404 Not Found", Retry("status 404")),
        ("500 Oops", Retry("status 500")),
    ],
)
def test_statuses(hook: Receiver, status: str, expected: Result) -> None:
    hook.script.append(reply(status))
    assert attempt(hook.url) == expected


def test_redirects_are_not_followed(hook: Receiver) -> None:
    hook.script.append(reply("307 Elsewhere", Location=hook.url + "/other"))
    assert "redirects are not followed" in reason(attempt(hook.url))
    assert len(hook.got) == 1


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        ("429 Slow Down", "7", 7.0),
        ("503 Busy", "999999999999", RETRY_AFTER_MAX_S),
        ("503 Busy", formatdate(1_090, usegmt=True), 90.0),
        ("503 Busy", formatdate(900, usegmt=True), 0.0),
        ("503 Busy", "soon", None),
        ("500 Oops", "7", None),
    ],
)
def test_retry_after(hook: Receiver, status: str, header: str, seconds: float | None) -> None:
    hook.script.append(reply(status, Retry_After=header))
    result = Courier(OPEN, FixedClock(1_000.0)).attempt(a_delivery(hook.url))
    assert result == Retry(f"status {status[:3]}", seconds)


def test_the_environments_proxy_and_netrc_are_not_used(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert attempt(hook.url) == Delivered(200)
    assert "authorization" not in hook.got[0].headers


def test_a_silent_receiver_is_given_up_in_time() -> None:
    server = StreamServer(("127.0.0.1", 0), lambda sock, _: gevent.sleep(10))
    server.start()
    settings = OPEN.model_copy(update={"connect_timeout_s": 0.3, "read_timeout_s": 0.2})
    began = time.monotonic()
    try:
        assert reason(attempt(f"http://127.0.0.1:{server.server_port}", settings)) == "no answer in time"
    finally:
        server.stop(timeout=0)
    assert time.monotonic() - began < 2


def test_a_receiver_that_drips_does_not_stretch_the_deadline() -> None:
    def drip(sock: socket.socket, _: object) -> None:
        try:
            sock.sendall(b"HTTP/1.1 200 OK\r\n")
            for n in range(200):
                sock.sendall(f"X-{n}: y\r\n".encode())
                gevent.sleep(0.05)
        except OSError:
            pass  # the client has gone, as it should

    server = StreamServer(("127.0.0.1", 0), drip)
    server.start()
    settings = OPEN.model_copy(update={"connect_timeout_s": 0.2, "read_timeout_s": 0.2})
    began = time.monotonic()
    try:
        assert reason(attempt(f"http://127.0.0.1:{server.server_port}", settings)).startswith("no complete answer")
    finally:
        server.stop(timeout=0)
    assert time.monotonic() - began < 2


def test_an_endless_answer_is_cut(hook: Receiver) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        for _ in range(2_000):
            sent.append(1)
            yield b"x" * 10_000

    hook.script.append(("200 OK", [], endless()))
    assert attempt(hook.url) == Delivered(200)
    assert len(sent) < 2_000


# --- judged by the status alone --------------------------------------------------------------------------


@contextmanager
def saying(*parts: bytes, then: float = 0.0) -> Iterator[str]:
    """A receiver that reads the request, sends these bytes and closes after `then` seconds; its URL."""

    def answer(sock: socket.socket, _: object) -> None:
        sock.recv(65_536)
        try:
            for part in parts:
                sock.sendall(part)
                gevent.sleep(0.01)
            gevent.sleep(then)
        except OSError:
            pass  # the client has heard enough

    server = StreamServer(("127.0.0.1", 0), answer)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.stop(timeout=0)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "interim",
    [
        [b"HTTP/1.1 100 Continue\r\n\r\n"],
        [b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"],
        [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103\r\nLink: x\r\nLink: y\r\n\r\n", b"HTTP/1.1 100\r\n\r\n"],
        [b"HTTP/1.1 199 Something\r\n\r\n"] * MAX_INTERIM,
    ],
)
def test_interim_answers_are_read_over(interim: list[bytes]) -> None:
    with saying(*interim, OK + b"Content-Length: 0\r\n\r\n") as url:
        assert attempt(url) == Delivered(200)
    with saying(b"".join(interim) + b"HTTP/1.1 410 Gone\r\n\r\n") as url:
        assert attempt(url) == Gone()


def test_interim_answers_without_end_are_no_answer() -> None:
    with saying(b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MAX_INTERIM + 1) + OK + b"\r\n") as url:
        assert reason(attempt(url)).startswith("connection failed")


def test_another_protocol_is_no_delivery() -> None:
    with saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n") as url:
        assert attempt(url) == Retry("status 101")


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 500\r\n\r\nbroken off",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nno chunk",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nbro",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Content-Length: none\r\n\r\n",
        b"Content-Length: -5\r\n\r\nx",
        b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nnot",
        b"Content-Encoding: nonsense\r\n\r\nbody",
        b"Set-Cookie: \xff=\x00; expires=never\r\n\r\n",
    ],
)
def test_a_broken_body_does_not_undo_the_status(rest: bytes) -> None:
    with saying(OK + rest) as url:
        assert attempt(url) == Delivered(200)
    with saying(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n" + rest) as url:
        assert attempt(url) == Retry("status 503", 7.0)


@pytest.mark.parametrize("rest", [b"Content-Length: 500\r\n\r\nslow", b"Transfer-Encoding: chunked\r\n\r\n", b"\r\n"])
def test_a_body_that_never_comes_does_not_undo_the_status(rest: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsbridge.webhook.delivery.BODY_S", 0.1)
    with saying(OK + rest, then=30.0) as url:
        assert attempt(url) == Delivered(200)


def test_a_status_that_came_late_leaves_the_body_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of the whole attempt passes while the body is read: the answer has come before it."""
    monkeypatch.setattr("fsbridge.webhook.delivery.BODY_S", 1.0)
    settings = OPEN.model_copy(update={"connect_timeout_s": 0.2, "read_timeout_s": 0.2})
    with saying(OK + b"Content-Length: 9\r\n\r\n", then=0.6) as url:
        assert attempt(url, settings) == Delivered(200)


def test_faults_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused = attempt(f"http://127.0.0.1:{port}/t0ken")
    assert reason(refused) == "connection failed: Connection refused"
    unknown = attempt("http://nowhere.invalid/t0ken")
    assert reason(unknown).startswith("connection failed: ")
    assert "t0ken" not in reason(unknown)


def test_not_http_at_all() -> None:
    server = StreamServer(("127.0.0.1", 0), lambda sock, _: sock.sendall(b"220 smtp ready\r\n\r\n"))
    server.start()
    try:
        assert reason(attempt(f"http://127.0.0.1:{server.server_port}")).startswith("connection failed")
    finally:
        server.stop(timeout=0)


def test_a_timeout_of_somebody_else_passes_through(hook: Receiver) -> None:
    def slow(_: Got) -> Answer:
        gevent.sleep(5)
        return reply("200 OK")

    hook.script.append(slow)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        attempt(hook.url)


# --- addresses -----------------------------------------------------------------------------------------


def test_a_private_address_is_refused_at_delivery(hook: Receiver) -> None:
    strict = WebhookSettings(allow_http=True)
    port = int(hook.url.rpartition(":")[2])
    courier = Courier(strict, SystemClock(), lambda host, port: ["127.0.0.1"])
    result = courier.attempt(a_delivery(f"http://innocent.example.com:{port}/"))
    assert reason(result) == "address refused: innocent.example.com resolves to 127.0.0.1, which is a loopback address"
    assert hook.got == []


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    strict = WebhookSettings(allow_http=True)
    courier = Courier(strict, SystemClock(), lambda host, port: ["8.8.8.8", "169.254.169.254"])
    result = courier.attempt(a_delivery("http://innocent.example.com/"))
    assert "169.254.169.254" in reason(result)


def test_a_name_is_looked_up_once_and_that_very_address_is_used(hook: Receiver) -> None:
    """DNS rebinding: a resolver whose second answer would differ is never asked a second time."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    port = int(hook.url.rpartition(":")[2])
    result = Courier(OPEN, SystemClock(), rebinding).attempt(a_delivery(f"http://hook.example.com:{port}/"))
    assert result == Delivered(200)
    assert asked == ["hook.example.com"]
    assert hook.got[0].headers["host"] == f"hook.example.com:{port}"


def test_the_next_address_is_tried_when_one_does_not_answer(hook: Receiver) -> None:
    port = int(hook.url.rpartition(":")[2])
    courier = Courier(OPEN, SystemClock(), lambda host, port: ["127.0.0.2", "::1", "127.0.0.1"])
    assert courier.attempt(a_delivery(f"http://hook.example.com:{port}/")) == Delivered(200)


def test_an_address_that_never_answers_costs_the_connect_timeout_only() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:  # fill the queue of connections that nobody accepts
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        settings = OPEN.model_copy(update={"connect_timeout_s": 0.2, "read_timeout_s": 5.0})
        began = time.monotonic()
        result = reason(attempt(f"http://127.0.0.1:{port}/", settings))
        for sock in waiting:
            sock.close()
    assert result == "no connection in time"
    assert time.monotonic() - began < 2


def test_a_name_that_no_resolver_takes() -> None:
    courier = Courier(OPEN, SystemClock(), lambda host, port: ["x" for _ in ("a" * 70).encode("idna")])
    assert reason(courier.attempt(a_delivery("http://hook.example.com/"))).startswith("connection failed")


def test_a_name_without_addresses() -> None:
    courier = Courier(OPEN, SystemClock(), lambda host, port: [])
    assert reason(courier.attempt(a_delivery("http://hook.example.com/"))).startswith("connection failed")


def test_rules_that_became_stricter_hold_for_what_was_accepted_before(hook: Receiver) -> None:
    assert reason(attempt(hook.url, WebhookSettings())) == "webhookUrl must begin with https://"


# --- TLS -----------------------------------------------------------------------------------------------


def test_tls_with_our_own_authority_keeps_name_and_address_apart(tmp_path: Path) -> None:
    files = certificate(tmp_path, "hook.example.com")
    settings = WebhookSettings(allow_private=True, ca_file=files[0], connect_timeout_s=2, read_timeout_s=2)
    with receiver(files) as hook:
        port = int(hook.url.rpartition(":")[2])
        courier = Courier(settings, SystemClock(), lambda host, port: ["127.0.0.1"])
        assert courier.attempt(a_delivery(f"https://hook.example.com:{port}/x")) == Delivered(200)
        other = courier.attempt(a_delivery(f"https://other.example.com:{port}/x"))
    assert "certificate refused" in reason(other)
    assert "other.example.com" in reason(other)
    assert len(hook.got) == 1


def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    settings = WebhookSettings(allow_private=True, connect_timeout_s=2, read_timeout_s=2)
    with receiver(certificate(tmp_path, "hook.example.com")) as hook:
        port = int(hook.url.rpartition(":")[2])
        courier = Courier(settings, SystemClock(), lambda host, port: ["127.0.0.1"])
        assert "certificate refused" in reason(courier.attempt(a_delivery(f"https://hook.example.com:{port}/")))
    assert hook.got == []


def test_no_tls_at_the_other_end(hook: Receiver) -> None:
    result = attempt(hook.url.replace("http://", "https://"))
    assert reason(result).startswith("TLS failed")


def test_an_unusable_ca_file_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pem", tmp_path / "text.pem"):
        (tmp_path / "text.pem").write_text("no certificate")
        with pytest.raises(ConfigError, match=r"webhooks\.ca_file"):
            Courier(WebhookSettings(ca_file=path), SystemClock())
