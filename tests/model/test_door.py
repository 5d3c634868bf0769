"""The worker's door over real sockets: who says nothing keeps nobody out, before its upgrade or after it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from amd_model.worker import door, stream, visitors
from tests.model.test_server import HANDSHAKE, Start, Tap, Worker, save_model, until

pytestmark = pytest.mark.model

ELSEWHERE = "127.0.0.2"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    weights = tmp_path / "m.safetensors"
    save_model(weights, 1, "one")
    workers = []

    def begin(capacity: int = 50, **settings: float) -> Worker:
        worker = Worker(weights, capacity=capacity, **settings)
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.stop()


def answered(sock: socket.socket) -> bytes:
    """The first bytes of the answer; none when it was closed without one."""
    try:
        return sock.recv(4_096)
    except ConnectionResetError:
        return b""


# --- before the upgrade ------------------------------------------------------------------------------------------


def test_too_many_handshakes_are_answered_without_being_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_HANDSHAKES", 2)
    monkeypatch.setattr(visitors, "SLOW_S", 60.0)
    worker = start()
    silent = [worker.connect(), worker.connect(source=ELSEWHERE)]
    until(lambda: worker.server._door.handshakes == 2)
    assert answered(worker.connect()).startswith(b"HTTP/1.1 503 ")
    assert worker.counter("amd_streams_refused_total", reason="handshakes") == 1
    for sock in silent:
        sock.close()
    until(lambda: worker.server._door.handshakes == 0)
    assert Tap(worker).status == 101


def test_silent_connections_of_one_address_keep_no_other_out(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "SLOW_S", 60.0)
    worker = start(handshakes_per_address=8)
    silent = [worker.connect(source=ELSEWHERE) for _ in range(40)]
    until(lambda: worker.counter("amd_streams_refused_total", reason="address") == 32)
    assert worker.server._door.handshakes == 8
    assert [answered(sock)[:12] for sock in silent[8:]] == [b"HTTP/1.1 503"] * 32
    assert Tap(worker).status == 101
    assert worker.health()["accepting"] is True


@pytest.mark.parametrize("said", [b"", b"GET /amd HTTP/1.1\r\n"])
def test_who_is_slow_goes_when_another_of_its_address_comes(
    start: Start, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(visitors, "SLOW_S", 0.05)
    monkeypatch.setattr(door, "FIRST_BYTE_S", 60.0)
    worker = start(handshakes_per_address=1)
    slow = worker.connect()
    slow.sendall(said)
    until(lambda: worker.server._door.handshakes == 1)
    until(lambda: Tap(worker).status == 101)
    assert answered(slow) == b""
    assert worker.counter("amd_streams_ended_total", how="handshake") == 1


def test_streams_are_no_visitors(start: Start) -> None:
    worker = start(handshakes_per_address=1)
    taps = [Tap(worker) for _ in range(30)]
    assert {tap.status for tap in taps} == {101}


def test_a_node_that_opens_hundreds_at_once_is_let_in(start: Start) -> None:
    worker = start(capacity=400)
    socks = [worker.connect() for _ in range(300)]
    for sock in socks:  # all of them stand in the door before the first one speaks
        sock.sendall(HANDSHAKE.format(path="/amd").encode())
    assert {answered(sock)[:12] for sock in socks} == {b"HTTP/1.1 101"}


def test_who_says_nothing_at_all_is_sent_away(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_BYTE_S", 0.1)
    worker = start()
    sock = worker.connect()
    begun = time.monotonic()
    assert answered(sock) == b""
    assert time.monotonic() - begun < door.HANDSHAKE_S
    until(lambda: worker.counter("amd_streams_ended_total", how="handshake") == 1)


def test_a_slow_handshake_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HANDSHAKE_S", 0.1)
    worker = start()
    sock = worker.connect()
    sock.sendall(b"GET /amd HTTP/1.1\r\n")
    assert answered(sock) == b""
    until(lambda: worker.counter("amd_streams_ended_total", how="handshake") == 1)


def test_a_flood_of_connections_leaves_the_streams_their_turn(start: Start) -> None:
    """Accepting never waits while connections do: it has to let others work all the same."""
    worker = start()
    tap = Tap(worker)
    for _ in range(600):
        worker.connect(source=ELSEWHERE).close()
    tap.audio(600)
    assert tap.event().at_ms <= 500


# --- after it ----------------------------------------------------------------------------------------------------


def test_a_stream_without_audio_is_no_tap(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MUTE_S", 0.2)
    worker = start()
    mute, speaking = Tap(worker), Tap(worker)
    speaking.audio(60)
    assert mute.close_code() == 1008
    assert worker.counter("amd_streams_ended_total", how="mute") == 1
    assert worker.health()["streams"] == 1
    speaking.audio(600)
    assert speaking.event().at_ms <= 500


def test_pings_are_no_audio(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MUTE_S", 0.2)
    worker = start()
    tap = Tap(worker)
    tap.frame(9, b"here")
    assert tap.read() == (10, b"here")
    assert tap.close_code() == 1008


def test_silent_streams_fill_no_worker(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MUTE_S", 60.0)
    monkeypatch.setattr(stream, "MUTE_YIELDS_S", 0.1)
    worker = start(capacity=10)
    speaking = Tap(worker, metadata=None)
    speaking.audio(100)
    silent = [Tap(worker) for _ in range(9)]
    assert {tap.status for tap in silent} == {101}
    until(lambda: worker.health()["accepting"])
    newcomers = [Tap(worker, metadata=None) for _ in range(3)]
    assert {tap.status for tap in newcomers} == {101}
    for tap in newcomers:
        tap.audio(100)
    assert [tap.close_code() for tap in silent[:3]] == [1013] * 3, "the longest silent goes first"
    assert worker.counter("amd_streams_ended_total", how="yielded") == 3
    assert worker.health()["streams"] == 10
    speaking.frame(9, b"still here?")
    assert speaking.read() == (10, b"still here?")


def test_a_worker_full_of_talk_is_full(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "QUIET_YIELDS_S", 60.0)
    monkeypatch.setattr(stream, "MUTE_YIELDS_S", 0.0)
    worker = start(capacity=2)
    for _ in range(2):
        Tap(worker, metadata=None).audio(100)
    until(lambda: worker.counter("amd_ticks_total") == 2)
    assert worker.health()["refusing"] == "full"
    assert Tap(worker).status == 503


def test_a_stream_that_has_gone_quiet_yields(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "QUIET_YIELDS_S", 0.2)
    worker = start(capacity=1)
    quiet = Tap(worker, metadata=None)
    quiet.audio(300)
    until(lambda: Tap(worker).status == 101)
    assert quiet.close_code() == 1013
