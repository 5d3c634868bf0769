"""What one stream costs the worker: processor time a tick of 100 ms, and memory.

    python -m tests.bench worker_tick

Everything that the worker does with a stream's audio, from the socket to the decision, is done here in this
process, without pace and without pauses: frames of `STREAMS` loopback connections are sent (not counted), then a
cycle of the sweep is run (counted, in processor time, so that whatever else the machine does costs others, not
us; the caches it takes away it does take). The quicker quarter of the cycles counts. The peers are the same sweep
with the network run by torch, and a stream that does not listen. Beside `bench_worker`, which keeps real time
and tells how late verdicts are.
"""

from __future__ import annotations

import gc
import random
import resource
import socket
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from gevent import monkey
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from websockets.frames import Frame, Opcode

from amd_model.detector import checkpoint
from amd_model.verdict import AmdOptions, encode_options
from amd_model.worker.batch import BatchEngine
from amd_model.worker.door import RECEIVE_BUFFER
from amd_model.worker.keep import Keeper
from amd_model.worker.metrics import Metrics
from amd_model.worker.sweep import Sweep
from amd_model.worker.timetable import GROUPS
from tests.bench.bench_worker import AUDIO, Row, frame, row

STREAMS = 800
CYCLES = 64
WARM = 4
FRAMES_A_TICK = 5
PATIENT = {"initial_silence_ms": 20_000, "total_timeout_ms": 59_000}
"""Streams that decide late, so that all of them are under analysis."""

_Socket: type[socket.socket] = monkey.get_original("socket", "socket")


class Peers:
    """The switch's ends of all connections, and what they say."""

    def __init__(self, sweep: Sweep, engine: BatchEngine, options: AmdOptions) -> None:
        chance = random.Random(1)
        self.sockets: list[tuple[socket.socket, int]] = []
        pcm = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in sorted(AUDIO.glob("*.flac"))])
        data = pcm.astype("<i2").tobytes()
        self.frames = [frame(data[at : at + 320]) for at in range(0, len(data) - 320, 320)]
        metadata = Frame(Opcode.TEXT, encode_options(options).encode()).serialize(mask=True)
        listener = _Socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        for _ in range(STREAMS):
            near = _Socket()
            near.connect(listener.getsockname())
            far, _address = listener.accept()
            far.setblocking(False)
            analysis = engine.open()
            assert analysis is not None
            sweep.add("bench", far, engine, analysis)
            near.send(metadata)
            self.sockets.append((near, chance.randrange(len(self.frames))))
        listener.close()

    def send(self, cycle: int) -> None:
        """A tick of every stream, each from its own place in the recordings."""
        for sock, place in self.sockets:
            at = place + cycle * FRAMES_A_TICK
            sock.send(b"".join(self.frames[(at + n) % len(self.frames)] for n in range(FRAMES_A_TICK)))

    def close(self) -> None:
        for sock, _ in self.sockets:
            sock.close()


def resident_kb() -> int:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])


def cost(model: checkpoint.LoadedModel, options: AmdOptions) -> tuple[float, float, float]:
    """Microseconds of processor time a tick, the same with the network by torch, and kB of memory a stream.

    Every other cycle is torch's, so that both meet the same machine. Memory is this process's, without the kernel's.
    """
    engine = BatchEngine(model, STREAMS)
    engine.warm_up()
    metrics = Metrics()
    sweep = Sweep(metrics, time.monotonic, Keeper(None, metrics.recordings))
    gc.collect()
    before = resident_kb()
    peers = Peers(sweep, engine, options)
    spent: dict[bool, list[float]] = {True: [], False: []}
    try:
        for cycle in range(CYCLES):
            peers.send(cycle)
            engine._ticker.own = own = cycle % 2 == 0
            started = time.process_time()
            ticks = sum(sweep.turn() for _ in range(GROUPS))
            if cycle >= WARM and ticks:
                spent[own].append((time.process_time() - started) / ticks)
        memory = (resident_kb() - before) / STREAMS
    finally:
        sweep.abandon()
        peers.close()
    ours, theirs = (statistics.quantiles(spent[own], n=4)[0] * 1e6 for own in (True, False))
    return ours, theirs, memory


def main() -> list[Row]:
    """Measure; figures for the table."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    torch.set_num_threads(1)
    plain: dict[str, Any] = PATIENT
    model = checkpoint.load()
    with threadpool_limits(limits=1, user_api="blas"):
        tick, by_torch, memory = cost(model, AmdOptions(**plain))
        listening, _, _ = cost(model, AmdOptions(**plain, listen=True))
        bands, _, _ = cost(model, AmdOptions(**plain, listen=True, listen_bands=True))
    return [
        row("worker_tick_cpu", tick, "µs of a core a tick of 100 ms", "the network by torch", by_torch),
        row(
            "worker_tick_streams", 1e5 / tick, "streams that would fill a core", "the network by torch", 1e5 / by_torch
        ),
        row("worker_listening_cpu", listening, "µs a tick, listening on", "a stream that does not", tick),
        row("worker_bands_cpu", bands, "µs a tick, telling bands", "a stream that does not", tick),
        row("worker_stream_memory", memory, "kB a stream in the process"),
    ]


if __name__ == "__main__":
    for line in main():
        print(f"{line['name']:<24}{line['value']:>10g} {line['unit']}   {line['ratio'] or ''} {line['peer']}")
