"""The worker over real sockets: verdicts, refusals, faults that stay with their stream, drain and reload."""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest
import requests
import structlog
import torch
from websockets.frames import Frame, Opcode

from amd_model.detector import checkpoint
from amd_model.detector.network import AmdNet
from amd_model.detector.spec import ModelSpec
from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Mode, decode_event, encode_options
from amd_model.worker import stream, timetable
from amd_model.worker.server import AmdServer, ServeSettings

pytestmark = pytest.mark.model

SOON = encode_options(AmdOptions(total_timeout_ms=500))
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: audio.drachtio.org\r\n\r\n"
)


def until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        gevent.sleep(0.005)


class Tap:
    """A mod_audio_fork as small as it gets; every wait ends after five seconds. It speaks when it is told to."""

    def __init__(self, worker: Worker, path: str = "/amd", metadata: str | None = SOON, **connect: Any) -> None:
        self.sock = worker.connect(**connect)
        self.sock.sendall(HANDSHAKE.format(path=path).encode())
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            more = self.sock.recv(4096)
            if not more:
                break
            self.head += more
        self.status = int(self.head.split(b" ")[1])
        self.buffer = b""
        if self.status == 101 and metadata is not None:
            self.frame(1, metadata.encode())

    def frame(self, opcode: int, payload: bytes) -> None:
        self.sock.sendall(Frame(Opcode(opcode), payload).serialize(mask=True))

    def audio(self, ms: int) -> None:
        for _ in range(ms // 20):
            self.frame(2, bytes(320))

    def read(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload; (-1, b"") at the end of the stream."""
        while True:
            if len(self.buffer) >= 4 or (len(self.buffer) >= 2 and self.buffer[1] < 126):
                size, start = self.buffer[1], 2
                if size == 126:
                    size, start = struct.unpack("!H", self.buffer[2:4])[0], 4
                if len(self.buffer) >= start + size:
                    opcode, payload = self.buffer[0] & 15, self.buffer[start : start + size]
                    self.buffer = self.buffer[start + size :]
                    return opcode, payload
            more = self.sock.recv(4096)
            if not more:
                return -1, b""
            self.buffer += more

    def event(self) -> AmdEvent:
        opcode, payload = self.read()
        assert opcode == 1, (opcode, payload)
        body = json.loads(payload)
        assert body["type"] == "transcription"
        return decode_event(json.dumps(body["data"]))

    def close_code(self) -> int:
        opcode, payload = self.read()
        assert opcode == 8, (opcode, payload)
        return int(struct.unpack("!H", payload[:2])[0])


class Worker:
    """An AmdServer that runs beside the test, with weights the test can replace."""

    def __init__(
        self,
        weights: Path,
        shadow: checkpoint.LoadedModel | None = None,
        load_shadow: Callable[[], checkpoint.LoadedModel] | None = None,
        **settings: float,
    ) -> None:
        self.weights = weights
        self.server = AmdServer(
            checkpoint.load(weights),
            ServeSettings(port=0, **settings),  # type: ignore[arg-type]
            lambda: checkpoint.load(weights),
            shadow=shadow,
            load_shadow=load_shadow,
        )
        self.server.start()
        self.port = int(self.server.url.rsplit(":", 1)[1].split("/")[0])
        self.http = f"http://127.0.0.1:{self.port}"
        self.greenlet: gevent.Greenlet[[], None] = gevent.Greenlet(self.server.run)
        self.greenlet.start()
        self.sockets: list[socket.socket] = []

    def connect(self, receive_buffer: int = 0, source: str = "127.0.0.1") -> socket.socket:
        sock = socket.socket()
        self.sockets.append(sock)
        sock.settimeout(5.0)
        sock.bind((source, 0))
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(("127.0.0.1", self.port))
        return sock

    def health(self) -> dict[str, object]:
        body: dict[str, object] = requests.get(self.http + "/healthz", timeout=5).json()
        return body

    def counter(self, name: str, **labels: str) -> float:
        return self.server.metrics.registry.get_sample_value(name, labels) or 0.0

    def stop(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.greenlet.kill()
        self.server.close()


def save_model(path: Path, seed: int, version: str) -> None:
    torch.manual_seed(seed)
    checkpoint.save(path, AmdNet(ModelSpec()), version)


Start = Callable[..., Worker]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the worker; torch's threads would only fight over the cores that the test has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    weights = tmp_path / "m.safetensors"
    save_model(weights, 1, "one")
    workers = []

    def begin(capacity: int = 50, **settings: Any) -> Worker:
        worker = Worker(weights, capacity=capacity, **settings)
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.stop()


# --- verdicts ----------------------------------------------------------------------------------------------------


def test_a_verdict_comes_back_on_the_same_socket(start: Start) -> None:
    worker = start()
    tap = Tap(worker)
    assert b"Sec-WebSocket-Protocol: audio.drachtio.org\r\n" in tap.head
    tap.audio(600)
    event = tap.event()
    assert event.kind is EventKind.VERDICT
    assert event.at_ms <= 500
    assert event.model_version == "one"
    until(lambda: worker.health()["streams"] == 0)
    tap.audio(5_000)  # drained, unread
    tap.frame(9, b"still there?")
    assert tap.read() == (10, b"still there?")
    tap.frame(8, struct.pack("!H", 1000))
    assert tap.close_code() == 1000
    assert tap.read() == (-1, b"")


def test_frames_of_any_length_give_the_same_verdict(start: Start) -> None:
    worker = start()
    even, odd = Tap(worker), Tap(worker)
    audio = b"\x01\x10\xff\x20" * 2_000
    for at in range(0, len(audio), 320):
        even.frame(2, audio[at : at + 320])
    for at in range(0, len(audio), 777):
        odd.frame(2, audio[at : at + 777])
    assert even.event() == odd.event()


def test_usual_frames_and_others_mix(start: Start) -> None:
    """What comes in one piece, in halves, longer, fragmented or with a ping between gives the same verdict."""
    worker = start()
    sound = np.random.default_rng(5).integers(-9_000, 9_000, 8_000, dtype="<i2").tobytes()
    pieces = [sound[at : at + 320] for at in range(0, len(sound), 320)]
    usual, mixed = Tap(worker), Tap(worker)
    for piece in pieces:
        usual.frame(2, piece)
    for number, piece in enumerate(pieces):
        frame = Frame(Opcode.BINARY, piece).serialize(mask=True)
        match number % 5:
            case 0:
                mixed.sock.sendall(frame[:100])
                gevent.sleep(0)
                mixed.sock.sendall(frame[100:])
            case 1:
                mixed.sock.sendall(frame + Frame(Opcode.PONG, bytes(314)[:100]).serialize(mask=True))
            case 2:
                first = Frame(Opcode.BINARY, piece[:100], fin=False).serialize(mask=True)
                mixed.sock.sendall(first + Frame(Opcode.CONT, piece[100:]).serialize(mask=True))
            case 3:  # as long as a usual frame, and none
                halves = Frame(Opcode.BINARY, piece[:156]).serialize(mask=True)
                mixed.sock.sendall(halves + Frame(Opcode.BINARY, piece[156:]).serialize(mask=True))
            case _:
                mixed.sock.sendall(frame)
    assert usual.event() == mixed.event()


def test_options_come_as_the_first_text_and_only_then(start: Start) -> None:
    worker = start()
    patient = Tap(worker, metadata=encode_options(AmdOptions(total_timeout_ms=1_200, initial_silence_ms=20_000)))
    patient.frame(1, SOON.encode())
    patient.audio(1_300)
    assert patient.event().at_ms == 1_200


def test_bad_metadata_means_default_options_and_none_is_no_error(start: Start) -> None:
    worker = start()
    bad = ["not base64!", "e30x", '{"mode":"loud"}', '{"total_timeout_ms":"soon"}', "[1]"]
    taps = [Tap(worker, metadata=metadata) for metadata in bad] + [Tap(worker, path="/", metadata=None)]
    for tap in taps:
        tap.audio(11_000)
    assert {500 < tap.event().at_ms <= 10_000 for tap in taps} == {True}
    assert worker.counter("amd_bad_metadata_total") == len(bad)


def test_one_bad_option_costs_no_other_and_unknown_ones_cost_nothing(start: Start) -> None:
    """A newer controller's words: its deadline holds, whatever else it asks for."""
    worker = start()
    wanted = json.dumps({"mode": "words", "total_timeout_ms": 700, "initial_silence_ms": 20_000, "words": ["en"]})
    tap = Tap(worker, metadata=wanted)
    tap.audio(800)
    assert tap.event().at_ms == 700
    assert worker.counter("amd_bad_metadata_total") == 1
    fine = Tap(worker, metadata=json.dumps({"total_timeout_ms": 700, "initial_silence_ms": 20_000, "words": ["en"]}))
    fine.audio(800)
    assert fine.event().at_ms == 700
    assert worker.counter("amd_bad_metadata_total") == 1


def test_message_end_goes_on_after_a_machine(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = start()
    options = AmdOptions(mode=Mode.MESSAGE_END, total_timeout_ms=500, message_end_timeout_ms=1_000)
    tap = Tap(worker, metadata=encode_options(options))
    tap.audio(4_000)
    events = [tap.event()]
    while worker.health()["streams"]:
        gevent.sleep(0.005)
    tap.frame(9, b"end")
    for _ in range(5):
        opcode, payload = tap.read()
        if opcode == 10:
            break
        events.append(decode_event(json.dumps(json.loads(payload)["data"])))
    machine = events[0].result is not None and events[0].result.value == "answering_machine"
    assert [event.kind is EventKind.VERDICT for event in events] == [True, *([False] * (len(events) - 1))]
    assert (len(events) > 1) == machine


def test_a_stream_that_ends_early_gives_its_place_back(start: Start) -> None:
    worker = start(capacity=1)
    for ending in ("close", "eof", "reset"):
        tap = Tap(worker)
        assert tap.status == 101
        tap.audio(100)
        until(lambda: worker.health()["streams"] == 1)
        if ending == "close":
            tap.frame(8, struct.pack("!H", 1000))
            assert tap.close_code() == 1000
        elif ending == "reset":
            tap.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tap.sock.close()
        until(lambda: worker.health()["streams"] == 0)
    assert worker.counter("amd_streams_ended_total", how="closed") == 1
    assert worker.counter("amd_streams_ended_total", how="eof") == 2


# --- refusals ----------------------------------------------------------------------------------------------------


def test_a_full_worker_answers_503_at_once_and_takes_streams_again(start: Start) -> None:
    worker = start(capacity=2)
    taps = [Tap(worker), Tap(worker)]
    assert [tap.status for tap in taps] == [101, 101]
    begun = time.monotonic()
    refused = Tap(worker)
    assert refused.status == 503
    assert b"Retry-After: 1" in refused.head
    assert time.monotonic() - begun < 1.0
    health = worker.health()
    assert (health["accepting"], health["refusing"]) == (False, "full")
    taps[0].audio(600)
    taps[0].event()
    until(lambda: worker.health()["accepting"])
    assert worker.health()["refusing"] == ""
    assert Tap(worker).status == 101
    assert worker.counter("amd_streams_refused_total", reason="full") == 1


def test_an_overloaded_worker_refuses_new_streams_and_keeps_the_old(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timetable, "FEW_STREAMS", 1)
    worker = start()
    tap = Tap(worker)
    real = worker.server._sweep.turn

    def slow() -> int:
        """What a slot does is right, it only takes too long: as when somebody else has the core."""
        ticks = real()
        busy_until = time.monotonic() + 0.03
        while time.monotonic() < busy_until:
            pass
        return ticks

    with monkeypatch.context() as patch:
        patch.setattr(worker.server._sweep, "turn", slow)
        until(lambda: worker.health()["accepting"] is False)
        assert Tap(worker).status == 503
        tap.audio(600)
        assert tap.event().at_ms <= 500
    until(lambda: worker.health()["accepting"])
    assert worker.counter("amd_streams_refused_total", reason="overloaded") == 1


def test_sockets_are_bounded_too(start: Start) -> None:
    worker = start()
    worker.server.max_sockets = 1
    tap = Tap(worker)
    tap.audio(600)
    tap.event()
    assert Tap(worker).status == 503
    assert worker.counter("amd_streams_refused_total", reason="sockets") == 1


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 10_000, 431),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /amd HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 426),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"GET /healthz?verbose HTTP/1.0\r\n\r\n", 200),
        (b"GET http://worker.example:9201/healthz HTTP/1.1\r\nHost: worker.example:9201\r\n\r\n", 200),
        (HANDSHAKE.format(path="/amd").replace("HTTP/1.1", "HTTP/1.0").encode(), 505),
    ],
)
def test_what_is_no_upgrade_gets_its_http_answer(start: Start, request_bytes: bytes, status: int) -> None:
    worker = start()
    sock = worker.connect()
    sock.sendall(request_bytes)
    assert sock.recv(4096).startswith(f"HTTP/1.1 {status} ".encode())


def test_health_and_metrics(start: Start) -> None:
    worker = start(capacity=7)
    tap = Tap(worker)
    health = worker.health()
    assert (health["streams"], health["capacity"], health["model"], health["accepting"]) == (1, 7, "one", True)
    assert 0 <= float(str(health["lag_ms"])) < 5_000
    tap.audio(600)
    tap.event()
    text = requests.get(worker.http + "/metrics", timeout=5).text
    assert "amd_streams_accepted_total 1.0" in text
    assert 'amd_streams{state="verdict"} 1.0' in text
    assert "amd_verdicts_total{" in text
    assert "amd_ticks_total 5.0" in text


# --- faults stay with their stream -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (Frame(Opcode.BINARY, b"x").serialize(mask=False), 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x82\xff" + struct.pack("!Q", 1 << 40) + b"mask", 1009),
        (Frame(Opcode.TEXT, b"\xff").serialize(mask=True), 1007),
    ],
)
def test_a_broken_frame_ends_its_stream_only(start: Start, data: bytes, code: int) -> None:
    worker = start()
    good, bad = Tap(worker), Tap(worker)
    good.audio(200)
    bad.sock.sendall(data)
    assert bad.close_code() == code
    assert bad.read() == (-1, b"")
    good.audio(400)
    assert good.event().kind is EventKind.VERDICT
    assert worker.counter("amd_streams_ended_total", how="fault") == 1


def test_a_flood_delays_nobody_else(start: Start) -> None:
    worker = start()
    flood, good = Tap(worker, metadata=encode_options(AmdOptions(total_timeout_ms=59_000))), Tap(worker)
    flood.sock.setblocking(False)
    data = Frame(Opcode.BINARY, bytes(32_000)).serialize(mask=True)
    for _ in range(60):
        good.frame(2, bytes(320)) if _ < 30 else None
        try:
            flood.sock.send(data)
        except BlockingIOError:
            gevent.sleep(0.001)
    begun = time.monotonic()
    assert good.event().kind is EventKind.VERDICT
    assert time.monotonic() - begun < 2.0


def test_a_half_open_stream_is_let_go(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "IDLE_S", 0.3)
    worker = start()
    tap = Tap(worker)
    assert tap.close_code() == 1001
    assert worker.health()["streams"] == 0
    assert worker.counter("amd_streams_ended_total", how="idle") == 1


def test_a_stream_without_an_end_loses_its_place(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ANALYSIS_S", 0.2)
    worker = start()
    tap = Tap(worker, metadata=None)
    tap.audio(100)
    for _ in range(200):
        try:
            tap.frame(10, b"")  # never silent, no more audio
        except OSError:
            break
        gevent.sleep(0.005)
        if worker.health()["streams"] == 0:
            break
    assert tap.close_code() == 1008


def test_a_peer_that_reads_nothing_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_OUTGOING_BYTES", 1_000)
    worker = start()
    tap = Tap(worker, metadata=encode_options(AmdOptions(total_timeout_ms=59_000)), receive_buffer=2_048)
    ping = Frame(Opcode.PING, bytes(125)).serialize(mask=True) * 100
    tap.sock.setblocking(False)
    deadline = time.monotonic() + 20.0
    while worker.health()["streams"] and time.monotonic() < deadline:
        try:
            tap.sock.send(ping)
        except BlockingIOError:
            gevent.sleep(0.001)
        except OSError:
            break
    until(lambda: worker.health()["streams"] == 0)
    assert worker.counter("amd_streams_ended_total", how="stuck") == 1


# --- drain and reload --------------------------------------------------------------------------------------------


def test_draining_finishes_what_is_under_way(start: Start) -> None:
    worker = start(drain_s=10)
    busy, idle = Tap(worker), Tap(worker)
    idle.audio(600)
    idle.event()
    worker.server.drain()
    assert worker.health()["draining"] is True
    assert requests.get(worker.http + "/healthz", timeout=5).status_code == 503
    assert Tap(worker).status == 503
    assert idle.close_code() == 1001
    assert not worker.greenlet.ready()
    busy.audio(600)
    assert busy.event().kind is EventKind.VERDICT
    assert busy.close_code() == 1001
    worker.greenlet.get(timeout=5)


def test_draining_has_a_deadline(start: Start) -> None:
    worker = start(drain_s=0.2)
    tap = Tap(worker)
    worker.server.drain()
    worker.greenlet.get(timeout=5)
    assert tap.close_code() == 1001
    assert worker.counter("amd_streams_ended_total", how="shutdown") == 1


def test_a_second_interrupt_does_not_wait_for_streams(start: Start) -> None:
    worker = start(drain_s=60)
    tap = Tap(worker)
    worker.server.interrupt()
    assert worker.health()["draining"] is True
    assert not worker.greenlet.ready()
    worker.server.interrupt()
    assert tap.close_code() == 1001
    tap.sock.close()
    worker.greenlet.get(timeout=5)


def test_the_end_of_the_parents_pipe_drains(start: Start) -> None:
    worker = start()
    read, write = os.pipe()
    worker.server.drain_at_end_of(read)
    gevent.sleep(0)
    assert worker.health()["draining"] is False
    os.close(write)
    worker.greenlet.get(timeout=5)
    os.close(read)


def test_a_new_model_serves_new_streams_and_the_old_one_finishes(start: Start) -> None:
    worker = start()
    before = Tap(worker)
    before.audio(200)
    save_model(worker.weights, 2, "two")
    assert worker.server.reload()
    after = Tap(worker)
    for tap, version in ((before, "one"), (after, "two")):
        tap.audio(600)
        assert tap.event().model_version == version
    assert worker.health()["model"] == "two"
    assert worker.counter("amd_reloads_total", outcome="done") == 1


def test_bad_weights_are_refused_and_the_old_ones_kept(start: Start) -> None:
    worker = start()
    worker.weights.write_bytes(worker.weights.read_bytes()[:-7] + b"garbage")
    assert not worker.server.reload()
    worker.weights.unlink()
    assert not worker.server.reload()
    tap = Tap(worker)
    tap.audio(600)
    assert tap.event().model_version == "one"
    assert worker.counter("amd_reloads_total", outcome="refused") == 2


def test_many_streams_at_once_get_a_verdict_each(start: Start) -> None:
    worker = start(capacity=60)
    taps = [Tap(worker) for _ in range(60)]
    for _, tap in itertools.product(range(6), taps):
        tap.audio(100)
    assert {tap.event().kind for tap in taps} == {EventKind.VERDICT}
    assert worker.counter("amd_ticks_total") <= 60 * 5


def test_a_shadow_is_counted_and_its_disagreements_logged(start: Start, tmp_path: Path) -> None:
    save_model(tmp_path / "shadow.safetensors", 4, "shadow")
    worker = start(shadow=checkpoint.load(tmp_path / "shadow.safetensors"))
    with structlog.testing.capture_logs() as logs:
        taps = [Tap(worker, path=f"/amd/call-{seed}?token=secret") for seed in range(12)]
        for seed, tap in enumerate(taps):
            for _ in range(30):
                tap.frame(2, np.random.default_rng(seed).integers(-9_000, 9_000, 160, dtype="<i2").tobytes())
        results = [tap.event().model_version for tap in taps]
    assert set(results) == {"one"}
    disagreed = [line for line in logs if line["event"] == "amd_shadow_disagrees"]
    counted = {word: worker.counter("amd_shadow_total", agree=word) for word in ("yes", "no")}
    assert counted["yes"] + counted["no"] == len(taps)
    assert len(disagreed) == counted["no"]
    assert all(line["stream"].startswith("/amd/call-") and "secret" not in str(line) for line in disagreed)


def test_a_shadow_is_reloaded_too_and_a_bad_one_harms_nobody(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "shadow.safetensors"
    save_model(path, 4, "shadow")
    worker = start(shadow=checkpoint.load(path), load_shadow=lambda: checkpoint.load(path))

    def shadow() -> str:
        """The version that a new stream's shadow has, seen to be asked."""
        compared = [worker.counter("amd_shadow_total", agree=word) for word in ("yes", "no")]
        tap = Tap(worker)
        tap.audio(600)
        tap.event()
        until(
            lambda: sum(worker.counter("amd_shadow_total", agree=word) for word in ("yes", "no")) == sum(compared) + 1
        )
        version: str = worker.server._shadow.version if worker.server._shadow else ""
        return version

    assert shadow() == "shadow"
    save_model(path, 5, "later")
    assert worker.server.reload()
    assert shadow() == "later"
    path.write_bytes(b"garbage")
    save_model(worker.weights, 2, "two")
    assert not worker.server.reload()
    assert (worker.health()["model"], shadow()) == ("two", "later")
    worker.weights.unlink()
    assert not worker.server.reload()
    save_model(path, 6, "last")
    assert not worker.server.reload()
    assert (worker.health()["model"], shadow()) == ("two", "last")
    assert worker.counter("amd_reloads_total", outcome="refused") == 4


def test_a_port_in_use_is_an_error(start: Start, tmp_path: Path) -> None:
    worker = start()
    model = checkpoint.load(worker.weights)
    second = AmdServer(model, ServeSettings(port=worker.port, capacity=1), lambda: model)
    with pytest.raises(OSError, match="in use"):
        second.start()
