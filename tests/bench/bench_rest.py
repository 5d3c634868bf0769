"""Requests a second through the REST side, beside a bare Bottle hello on the same server; a held request's memory.

    python -m tests.bench.bench_rest

Each server is a process of its own; this one is the caller, over keep-alive connections with one request in flight
each. The call service behind is the tests' in-memory one, so the figures are HTTP, keys, validation and rendering,
without the store. The peer is what Bottle on gevent.pywsgi can do at all (TCP_NODELAY set, no log, no checks).
"""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import bottle
import gevent
import structlog
from gevent import pywsgi, socket
from gevent.pool import Group

from api.http.server import ApiServer, Place, _listen
from api.rest.app import build_app
from fsbridge.clock import SystemClock
from fsbridge.supervise import Supervisor
from tests.unit.api.support import FLOW, KEY, ORG, MemoryCalls, make_settings

CONNECTIONS = 32
SECONDS = 3.0
ROUNDS = 3
HELD = 1_000

Row = dict[str, Any]
_BODY = json.dumps(
    {
        "destinationNumber": "+12025550123",
        "callAnalysis": ["live_person"],
        "variables": {"name": "Ada", "amount": 12.5},
        "metadata": {"ticket": 4711},
    }
).encode()
_HEAD = f"HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"


# --- the servers (child processes) -----------------------------------------------------------------------------------


def serve_rest() -> None:
    """Our REST side until the parent goes; prints its port, then on each line read its memory in kB."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = make_settings(sync_timeout_s=60, requests_per_second=100_000)
    server = ApiServer(build_app(settings, MemoryCalls(), SystemClock()), Place.main(settings.service), Supervisor())
    server.start()
    _report(server.port)


def serve_hello() -> None:
    """A bare Bottle application on gevent.pywsgi."""
    app = bottle.Bottle()
    app.route("/hello", callback=lambda: {"hello": "world"})
    server = pywsgi.WSGIServer(_listen("127.0.0.1", 0), app, log=None)
    server.start()
    _report(server.server_port)


def _report(port: int | None) -> None:
    pool = gevent.get_hub().threadpool
    print(port, flush=True)
    while pool.apply(sys.stdin.readline):
        with open("/proc/self/status", encoding="ascii") as status:
            resident = next(line.split()[1] for line in status if line.startswith("VmRSS"))
        print(resident, flush=True)


class Server:
    """One of the servers above as a process; `resident_kb` asks it for its memory."""

    def __init__(self, name: str) -> None:
        code = "from gevent import monkey; monkey.patch_all()\n"
        code += f"from tests.bench import bench_rest; bench_rest.{name}()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._line())

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def resident_kb(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a bench server has ended; its error is above")
        return line


# --- the caller ------------------------------------------------------------------------------------------------------


def rate(port: int, request: bytes, status: bytes, seconds: float = SECONDS) -> float:
    """Requests a second over `CONNECTIONS` connections. Every answer's status is checked."""
    deadline = time.monotonic() + seconds
    counts: list[int] = []

    def one() -> None:
        count = 0
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.monotonic() < deadline:
                sock.sendall(request)
                answer = _answer(sock)
                if not answer.startswith(b"HTTP/1.1 " + status):
                    raise SystemExit(f"unexpected answer: {answer[:300]!r}")
                count += 1
        counts.append(count)

    began = time.monotonic()
    _together(one, CONNECTIONS)
    return sum(counts) / (time.monotonic() - began)


def held_kb(server: Server) -> float:
    """Resident kB a held sync request costs, connection and call record included."""
    body = json.dumps({"destinationNumber": "+12025550123", "mode": "sync"}).encode()
    before = server.resident_kb()
    socks = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(HELD)]
    for sock in socks:
        sock.sendall(_post(body))
    probe = f"GET /healthz {_HEAD}\r\n".encode()
    rate(server.port, probe, b"200", 1.0)  # answered after them: they are all held by then
    after = server.resident_kb()
    for sock in socks:
        sock.close()
    return (after - before) / HELD


def _post(body: bytes) -> bytes:
    path = f"/cgw/outbound/v1/orgs/{ORG}/flows/{FLOW}/calls"
    return f"POST {path} {_HEAD}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _answer(sock: socket.socket) -> bytes:
    data = b""
    while True:
        more = sock.recv(65_536)
        if not more:
            raise SystemExit("a bench server closed a connection")
        data += more
        head, found, body = data.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return data


def _together(task: Callable[[], None], times: int) -> None:
    group = Group()
    tasks = [group.spawn(task) for _ in range(times)]
    gevent.joinall(tasks, raise_error=True)


def main() -> list[Row]:
    """Alternating rounds, medians."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rates: dict[str, list[float]] = {"hello": [], "place": [], "get": []}
    with Server("serve_hello") as hello, Server("serve_rest") as rest:
        held = held_kb(rest)
        with socket.create_connection(("127.0.0.1", rest.port)) as sock:
            sock.sendall(_post(_BODY))
            location = _answer(sock).partition(b"Location: ")[2].split(b"\r\n")[0].decode()
        for _ in range(ROUNDS):
            rates["hello"].append(rate(hello.port, f"GET /hello {_HEAD}\r\n".encode(), b"200"))
            rates["get"].append(rate(rest.port, f"GET {location} {_HEAD}\r\n".encode(), b"200"))
            rates["place"].append(rate(rest.port, _post(_BODY), b"201"))
    middle = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}

    def row(name: str, value: float) -> Row:
        peer = middle["hello"]
        return {
            "name": name,
            "value": round(value),
            "unit": "requests/s",
            "peer": "bare bottle hello, pywsgi",
            "peerValue": round(peer),
            "ratio": round(value / peer, 2),
        }

    memory = {"name": "REST memory a held sync request", "value": round(held, 1), "unit": "kB"}
    return [
        row("REST GET a call", middle["get"]),
        row("REST POST a call", middle["place"]),
        {**memory, "peer": None, "peerValue": None, "ratio": None},
    ]


if __name__ == "__main__":
    for line in main():
        print(line)
