"""`python -m amd_model` as a process: the ready line, signals, and what it says when it cannot start."""

from __future__ import annotations

import gc
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
import requests
import structlog
import torch
from gevent import subprocess as green

from amd_model.__main__ import main
from amd_model.detector import checkpoint
from amd_model.detector.network import AmdNet
from amd_model.detector.spec import ModelSpec
from fsbridge.amd.workers import COMMAND, WorkerPool
from fsbridge.clock import SystemClock
from fsbridge.settings.amd import AmdSettings
from fsbridge.supervise import Supervisor

pytestmark = pytest.mark.model

READY = re.compile(r"amd worker ready on ws://127\.0\.0\.1:(\d+)/amd model=(\S+) capacity=(\d+)\n")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "m.safetensors"
    checkpoint.save(path, AmdNet(ModelSpec()), "one")
    return path


Serve = Callable[..., "green.Popen[str]"]


@pytest.fixture
def serve() -> Iterator[Serve]:
    processes: list[green.Popen[str]] = []

    def begin(*arguments: str) -> green.Popen[str]:
        process: green.Popen[str] = green.Popen(
            [sys.executable, "-m", "amd_model", "serve", "--port", "0", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=5)
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        gevent.sleep(0.02)


def test_serving_from_start_to_sigterm(serve: Serve, weights: Path) -> None:
    process = serve("--capacity", "9", "--weights", str(weights), "--log-json")
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    match = READY.fullmatch(line)
    assert match is not None, line
    assert match.groups()[1:] == ("one", "9")
    url = f"http://127.0.0.1:{match[1]}/healthz"

    torch.manual_seed(5)
    checkpoint.save(weights, AmdNet(ModelSpec()), "two")
    process.send_signal(signal.SIGHUP)
    until(lambda: requests.get(url, timeout=5).json()["model"] == "two")
    weights.write_bytes(b"broken")
    process.send_signal(signal.SIGHUP)
    refused = ""
    while "amd_reload_refused" not in refused:
        refused = process.stderr.readline()
    assert json.loads(refused)["kept"] == "two"
    assert requests.get(url, timeout=5).json()["model"] == "two"

    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert process.stdout.read() == ""


def test_a_supervised_worker_ends_with_its_parent(serve: Serve, weights: Path) -> None:
    process = serve("--weights", str(weights), "--supervised")
    assert process.stdout is not None
    assert process.stdin is not None
    assert READY.fullmatch(process.stdout.readline())
    process.stdin.close()
    assert process.wait(timeout=10) == 0


def test_what_keeps_it_from_starting_is_said(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = weights.with_name("cut.safetensors")
    cut.write_bytes(weights.read_bytes()[:-9])
    checkpoint.card_path(cut).write_bytes(checkpoint.card_path(weights).read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, word in (
            (["--weights", str(cut)], "checksum"),
            (["--weights", str(weights), "--port", port], "use"),
        ):
            assert main(["serve", *arguments]) == 1
            said = capsys.readouterr().err
            assert said.startswith("amd worker not started: ")
            assert word in said
    structlog.reset_defaults()


def test_the_pool_runs_the_real_worker(weights: Path) -> None:
    supervisor = Supervisor()
    pool = WorkerPool(
        AmdSettings(capacity=11),
        supervisor,
        SystemClock(),
        command=[*COMMAND, "--weights", str(weights)],
        health_interval_s=0.05,
    )
    pool.start()
    try:
        assert pool.wait_ready(20.0)
        (worker,) = pool.workers
        assert pool.choose().url == worker.url
        assert worker.url is not None
        until(lambda: worker.capacity == 11 and worker.lag_ms > 0.0)
        process = worker.process
        assert process is not None
        pool.stop(timeout_s=10.0)
        assert process.poll() == 0
    finally:
        pool.stop(timeout_s=1.0)
        supervisor.stop()
    assert supervisor.failures == {}


def test_signals_reach_the_server(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers: dict[int, Callable[[], object]] = {}
    monkeypatch.setattr("gevent.signal_handler", handlers.__setitem__)  # pytest keeps its own handlers
    shadow = str(weights)
    serving: gevent.Greenlet[[list[str]], int] = gevent.Greenlet(
        main, ["serve", "--port", "0", "--weights", str(weights), "--shadow", shadow]
    )
    serving.start()
    try:
        line = ""
        while "ready" not in line:
            assert not serving.ready()
            gevent.sleep(0.01)
            line += capsys.readouterr().out
        assert set(handlers) == {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        assert handlers[signal.SIGHUP]() is True
        handlers[signal.SIGTERM]()
        assert serving.get(timeout=5) == 0
        assert "event=amd_reloaded" in capsys.readouterr().err
    finally:
        serving.kill()
        structlog.reset_defaults()
        gc.unfreeze()


def test_classify_and_evaluate_are_passed_on(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--weights", str(weights)]
    assert main(["classify", *model, str(tmp_path / "missing.wav")]) != 0
    assert "missing.wav" in "".join(capsys.readouterr())
    assert main(["evaluate", *model, str(tmp_path / "missing.tsv")]) != 0
    assert "missing.tsv" in "".join(capsys.readouterr())


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--capacity", "0"], ["--port", "x"], ["--nonsense"]])
def test_wrong_arguments_are_refused_by_name(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["serve", *arguments])
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_no_command_gives_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "classify FILE" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "evaluate CASES.tsv" in capsys.readouterr().out
