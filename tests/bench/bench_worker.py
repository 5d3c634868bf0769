"""How many live audio streams one worker process carries, and how late its verdicts then are.

    python -m tests.bench.bench_worker --streams 2000 --seconds 20

A worker (its own process, on one core) is loaded by a second process (on the others) through real WebSockets:
every stream sends the 20 ms frames of mod_audio_fork at real pace, `--frames-per-send` of them at a time (two
by default: with one, the generator's core is full before the worker's is). It keeps quiet for a random while
and then plays recorded speech or a recorded greeting, until its verdict comes (by its own time-out at the
latest); then another stream takes its place, so the number under analysis stays the same, unless the worker
refuses it. *Lag* is from the moment the last frame that the verdict rests on was sent until the verdict was
read. The peer is the same network fed one stream at a time, in the same run.

A load generator that cannot keep its own pace would measure itself: its lateness is reported beside the
rest, and lags count from the moment a frame was really sent.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import resource
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile
from websockets.speedups import apply_mask

from amd_model.verdict import AmdOptions, encode_options

ROOT = Path(__file__).resolve().parents[2]
AUDIO = ROOT / "fsbridge" / "simulator" / "audio"
FRAME_S = 0.02
FRAME_BYTES = 320
PHASES = 20
REFUSED_PAUSE_S = 0.1
MASK = b"\x5a\xa5\x3c\xc3"
QUIET_S = (3.0, 17.0)
TIMEOUT_MS = (10_000, 22_000)
"""Each stream's own total timeout: a verdict comes by it at the latest, whatever the model thinks of the audio."""
OPTIONS = AmdOptions(initial_silence_ms=20_000, total_timeout_ms=59_000)

Row = dict[str, Any]


# --- load generator (second process) -----------------------------------------------------------------------------


def frame(payload: bytes) -> bytes:
    """One masked binary frame as mod_audio_fork sends it."""
    head = b"\x82" + (
        bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
    )
    return head + MASK + apply_mask(payload, MASK)


def clips() -> list[list[bytes]]:
    """The recordings as lists of ready frames."""
    found = sorted(AUDIO.glob("*.flac"))
    if not found:
        raise SystemExit(f"no recordings in {AUDIO}")
    result = []
    for path in found:
        pcm = soundfile.read(path, dtype="int16")[0].astype("<i2").tobytes()
        pieces = (pcm[i : i + FRAME_BYTES] for i in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES))
        result.append([frame(piece) for piece in pieces])
    return result


class LoadStream:
    """One tap: a quiet while, a recording, quiet again. `at` counts frames sent."""

    __slots__ = ("at", "clip", "quiet", "send", "sent_at", "sock")

    def __init__(self, sock: socket.socket, clip: list[bytes], quiet: int) -> None:
        self.sock = sock
        self.send = sock.send
        self.clip = clip
        self.quiet = quiet
        self.at = 0
        self.sent_at: list[float] = []  # one time a tick of five frames


class Load:
    """Keeps `streams` taps open; measures the lag of every verdict after `warm_s`.

    Streams are spread over `PHASES` phases of the time between two sends; a phase's streams send one after the other.
    """

    def __init__(self, url: str, streams: int, seconds: float, warm_s: float, together: int, seed: int) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.streams = streams
        self.seconds = seconds
        self.warm_s = warm_s
        self.random = random.Random(seed)
        self.clips = clips()
        self.silence = frame(bytes(FRAME_BYTES)) * together
        self.together = together
        self.poll = select.epoll()
        self.open: dict[int, LoadStream] = {}
        self.waiting: dict[int, socket.socket] = {}
        self.phases: list[dict[int, LoadStream]] = [{} for _ in range(PHASES)]
        self.pause_until = 0.0
        self.lags: list[float] = []
        self.lateness: list[float] = []
        self.results: dict[str, int] = {}
        self.refused = 0
        self.lost = 0
        self.frames = 0
        self.held: list[int] = []  # streams open, once a turn

    def run(self) -> Row:
        begun = time.monotonic()
        ramp = self.warm_s * 0.6
        turn = 0
        while (now := time.monotonic()) < begun + self.warm_s + self.seconds:
            measured = now > begun + self.warm_s
            wanted = int(self.streams * min(1.0, (now - begun) / ramp)) - len(self.open) - len(self.waiting)
            if wanted > 0 and now > self.pause_until:
                self.connect()
            due = begun + turn * FRAME_S * self.together / PHASES
            if now >= due:
                self.send(turn % PHASES, due, measured)
                turn += 1
                if measured:
                    self.held.append(len(self.open))
            for fd, _ in self.poll.poll(max(0.0, due - now)):
                self.hear(fd, measured)
        return {
            "lags": self.lags,
            "lateness": self.lateness,
            "results": self.results,
            "refused": self.refused,
            "lost": self.lost,
            "frames": self.frames,
            "held": statistics.mean(self.held) if self.held else 0.0,
            "cpu": time.process_time() / (self.seconds + self.warm_s),
        }

    def connect(self) -> None:
        sock = socket.create_connection(self.address, timeout=5.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(self.random.randbytes(16)).decode()
        sock.sendall(
            f"GET /amd HTTP/1.1\r\nHost: {self.address[0]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: audio.drachtio.org\r\n\r\n".encode()
        )
        sock.setblocking(False)
        self.waiting[sock.fileno()] = sock
        self.poll.register(sock.fileno(), select.EPOLLIN)

    def send(self, phase: int, due: float, measured: bool) -> None:
        """The next frame of every stream of a phase. A late phase is caught up, one phase after the other."""
        streams = self.phases[phase]
        lost = []
        together = self.together
        for fd, stream in streams.items():
            at = stream.at - stream.quiet
            try:
                stream.send(b"".join(stream.clip[at : at + together]) if 0 <= at < len(stream.clip) else self.silence)
            except OSError:
                lost.append(fd)
                continue
            ticks, stream.at = stream.at // 5, stream.at + together
            if stream.at // 5 > ticks:
                stream.sent_at.append(time.monotonic())
        self.frames += together * len(streams)
        if measured and streams:
            self.lateness.append(time.monotonic() - due)
        for fd in lost:
            self.lost += 1
            self.drop(fd)

    def hear(self, fd: int, measured: bool) -> None:
        sock = self.waiting.pop(fd, None)
        if sock is not None:
            answer = sock.recv(4_096)
            if not answer.startswith(b"HTTP/1.1 101 "):
                self.refused += 1
                self.pause_until = time.monotonic() + REFUSED_PAUSE_S
                self.poll.unregister(fd)
                sock.close()
                return
            timeout_ms = self.random.randint(*TIMEOUT_MS)
            metadata = encode_options(replace(OPTIONS, total_timeout_ms=timeout_ms)).encode()
            sock.send(b"\x81\xfe" + struct.pack("!H", len(metadata)) + MASK + apply_mask(metadata, MASK))
            quiet = int(self.random.uniform(*QUIET_S) / FRAME_S)
            stream = LoadStream(sock, self.random.choice(self.clips), quiet)
            self.open[fd] = stream
            self.phases[fd % PHASES][fd] = stream
            return
        stream = self.open[fd]
        try:
            data = stream.sock.recv(4_096)
        except OSError:
            data = b""
        heard_at = time.monotonic()
        if data[:1] == b"\x81":
            start = 4 if data[1] == 126 else 2
            length = struct.unpack("!H", data[2:4])[0] if data[1] == 126 else data[1]
            said = json.loads(data[start : start + length])["data"]
            self.results[said["result"]] = self.results.get(said["result"], 0) + 1
            tick = said["atMs"] // 100 - 1
            if measured and tick < len(stream.sent_at):
                self.lags.append(heard_at - stream.sent_at[tick])
            stream.sock.send(b"\x88\x82" + MASK + apply_mask(b"\x03\xe8", MASK))
        else:
            self.lost += 1
        self.drop(fd)

    def drop(self, fd: int) -> None:
        stream = self.open.pop(fd)
        del self.phases[fd % PHASES][fd]
        self.poll.unregister(fd)
        stream.sock.close()


# --- the measurement ---------------------------------------------------------------------------------------------


def one_at_a_time(seconds: float, weights: Path | None) -> float:
    """Streams in real time on one core when every tick goes through the same network alone."""
    import torch

    from amd_model.detector import checkpoint
    from amd_model.worker.batch import TICK_BYTES, BatchEngine

    torch.set_num_threads(1)
    engine = BatchEngine(checkpoint.load(weights), capacity=64)
    engine.warm_up()
    noise = np.random.default_rng(1).integers(-2_000, 2_000, TICK_BYTES // 2, dtype="<i2").tobytes()
    analyses = []
    for _ in range(64):
        analysis = engine.open()
        assert analysis is not None
        analysis.options = OPTIONS
        analyses.append(analysis)
    ticks = 0
    begun = time.process_time()
    while time.process_time() < begun + seconds:
        for index, analysis in enumerate(analyses):
            if analysis.finished:
                engine.close(analysis)
                fresh = engine.open()
                assert fresh is not None
                analyses[index] = analysis = fresh
            analysis.audio += noise
            ticks += engine.run([analysis])[1]
    return ticks * 0.1 / (time.process_time() - begun)


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def row(name: str, value: float, unit: str, peer: str = "", peer_value: float | None = None) -> Row:
    ratio = round(value / peer_value, 3) if peer_value else None
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "peer": peer,
        "peerValue": None if peer_value is None else round(peer_value, 3),
        "ratio": ratio,
    }


def measure(streams: int, seconds: float, warm_s: float, together: int, weights: Path | None) -> list[Row]:
    """Start a worker, load it, and say how it went."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "amd_model", "serve", "--port", "0", "--capacity", str(streams + 64)]
    if weights is not None:
        command += ["--weights", str(weights)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(worker.pid, cores[:1])
    try:
        assert worker.stdout is not None
        words = worker.stdout.readline().split()
        start_s = time.monotonic() - begun
        if "on" not in words:
            raise SystemExit("the worker did not start; its own words are above")
        url = words[words.index("on") + 1]
        empty_kb = resident_kb(worker.pid)
        load_command = [sys.executable, "-m", "tests.bench.bench_worker", "--load", url, "--streams", str(streams)]
        load_command += ["--frames-per-send", str(together)]
        load = subprocess.Popen(
            [*load_command, "--seconds", str(seconds), "--warm", str(warm_s)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        os.sched_setaffinity(load.pid, cores[1:] or cores)
        time.sleep(warm_s + 1.0)
        cpu, at = cpu_seconds(worker.pid), time.monotonic()
        time.sleep(max(seconds - 2.0, 0.5))
        share = (cpu_seconds(worker.pid) - cpu) / (time.monotonic() - at)
        full_kb = resident_kb(worker.pid)
        report = json.loads(load.communicate(timeout=seconds + 60)[0])
    finally:
        worker.terminate()
        try:
            worker.wait(timeout=10)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    if not report["lags"]:
        raise SystemExit(f"no verdict came: {report['results']}, refused {report['refused']}, lost {report['lost']}")
    alone = one_at_a_time(2.0, weights)
    lags, lateness = report["lags"], report["lateness"]
    held = report["held"]
    peer = "same network, one stream at a time"
    return [
        row("worker_streams", held, "streams under analysis at once (mean)", peer, alone),
        row("worker_streams_at_full_core", held / share, "streams, from CPU used", peer, alone),
        row("worker_cpu", share, "cores"),
        row("worker_verdict_lag_p50", statistics.median(lags) * 1000, "ms"),
        row("worker_verdict_lag_p99", quantile(lags, 0.99) * 1000, "ms"),
        row("worker_verdict_lag_max", max(lags) * 1000, "ms"),
        row("worker_verdicts", len(lags), "measured"),
        row("worker_refused", report["refused"], "upgrades"),
        row("worker_lost", report["lost"], "streams"),
        row("worker_memory", (full_kb - empty_kb) / held, "kB a stream"),
        row("worker_start", start_s, "s"),
        row("load_lateness_p99", quantile(lateness, 0.99) * 1000, "ms (the generator's own)"),
        row("load_cpu", report["cpu"], "cores (the generator's own)"),
        row("load_streams_asked", streams, "streams (fewer under analysis: the rest was refused)"),
    ]


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Measure, print a table for people (or, as the load process, one JSON object) and return the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm", type=float, default=20.0, help="seconds before lags count: streams are opened then")
    parser.add_argument("--load", metavar="URL", help="be the load generator against this worker")
    parser.add_argument("--frames-per-send", type=int, choices=range(1, 6), default=2)
    parser.add_argument("--weights", type=Path, help="another model than the shipped one")
    options = parser.parse_args([] if argv is None else argv)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.load:
        load = Load(options.load, options.streams, options.seconds, options.warm, options.frames_per_send, seed=1)
        print(json.dumps(load.run()))
        return []
    rows = measure(options.streams, options.seconds, options.warm, options.frames_per_send, options.weights)
    for line in rows:
        peer = f"   {line['ratio']:g}× {line['peer']} ({line['peerValue']:g})" if line["ratio"] else ""
        print(f"{line['name']:<30}{line['value']:>12g} {line['unit']}{peer}")
    return rows


if __name__ == "__main__":
    main(sys.argv[1:])
