"""How many events a second one core takes from a node: our client beside the greenswitch it is built on.

    python -m tests.bench.bench_esl

A second process plays FreeSWITCH: it greets, takes the password and sends one recorded call's events over and over,
as fast as they are read. Timed is from before the log-in until the last event was in the handler, which only counts;
not from the first event in the handler, since greenswitch reads far ahead before its handlers run. Our node
subscribes to JSON, which greenswitch does not read, so it gets the plain form of the same call; the plain form
through our client stands beside it. Each figure is the best of a few runs: the machine's other work only slows.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from greenswitch import InboundESL

from fsbridge.clock import SystemClock
from fsbridge.esl.client import EslClient
from fsbridge.supervise import Supervisor
from tests.traces import loader

ROOT = Path(__file__).resolve().parents[2]
RUNS = 3
PATIENCE_S = 120.0
RECORDED = {"json": "answered_gateway_json", "plain": "answered_gateway"}

Receive = Callable[[int, Callable[[object], None]], Callable[[], None]]
"""Connect to a port and hand each event to a handler; returns what closes the connection."""


def events(form: str) -> list[bytes]:
    """The events of a recorded call, as frames."""
    kind = f"Content-Type: text/event-{form}".encode()
    return [raw for raw in loader.received(RECORDED[form]) if kind in raw.partition(b"\n\n")[0]]


def peer(form: str, repeats: int) -> None:
    """The second process: one connection, one log-in, then events until all are sent and the reader goes."""
    burst = b"".join(events(form))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        sock, _ = listener.accept()
        with sock:
            sock.sendall(b"Content-Type: auth/request\n\n")
            sock.recv(1_000)
            sock.sendall(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
            for _ in range(repeats):
                sock.sendall(burst)
            while sock.recv(1_000):
                pass


def with_ours(port: int, handler: Callable[[object], None]) -> Callable[[], None]:
    """Our client."""
    supervisor = Supervisor()
    client = EslClient("127.0.0.1", port, "ClueCon", supervisor, on_event=handler)
    client.connect()

    def close() -> None:
        # The peer answers no more: without the goodbye, which would be waited for.
        supervisor.stop()

    return close


def with_greenswitch(port: int, handler: Callable[[object], None]) -> Callable[[], None]:
    """greenswitch as it comes, with a handler for every event."""
    client = InboundESL("127.0.0.1", port, "ClueCon")
    client.register_handle("*", handler)
    client.connect()

    def close() -> None:
        client.connected = client._run = False
        client.sock.shutdown(socket.SHUT_RDWR)
        client._receive_events_greenlet.join(timeout=5)
        client._process_events_greenlet.join(timeout=5)
        client.sock.close()

    return close


def rate(receive: Receive, form: str, repeats: int) -> float:
    """Events a second, one run."""
    total = len(events(form)) * repeats
    command = [sys.executable, "-m", "tests.bench.bench_esl", "peer", form, str(repeats)]
    clock = SystemClock()
    done = gevent.event.Event()
    ended = 0.0
    seen = 0

    def count(_: object) -> None:
        nonlocal seen, ended
        seen += 1
        if seen == total:
            ended = clock.monotonic()
            done.set()

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        began = clock.monotonic()
        close = receive(port, count)
        try:
            if not done.wait(PATIENCE_S):
                raise SystemExit(f"only {seen} of {total} events in {PATIENCE_S:.0f} s")
        finally:
            close()
            process.terminate()
    return total / (ended - began)


def main(scale: int = 1_000) -> list[dict[str, Any]]:
    """The figures; `scale` is how often the recorded call is played (about 50 events each time)."""
    stock = max(rate(with_greenswitch, "plain", scale // 4) for _ in range(RUNS))
    found: list[dict[str, Any]] = []
    for form in ("json", "plain"):
        ours = max(rate(with_ours, form, scale) for _ in range(RUNS))
        found.append(
            {
                "name": f"event socket, {form} events",
                "value": round(ours),
                "unit": "events/s",
                "peer": "greenswitch, plain events",
                "peerValue": round(stock),
                "ratio": round(ours / stock, 2),
            }
        )
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(sys.argv[2], int(sys.argv[3]))
    else:
        from gevent import monkey

        monkey.patch_all()
        for figure in main():
            print(figure)
