"""The demo's stage: a simulated FreeSWITCH and the service, each a process of its own, in a temporary folder."""

from __future__ import annotations

import re
import signal
import sys
from importlib.resources import files
from pathlib import Path
from typing import IO

import gevent
from gevent import subprocess

from api.demo.scenarios import FLOW, ORG
from fsbridge.clock import SystemClock
from fsbridge.errors import FsbridgeError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_SIMULATOR_READY = re.compile(r"ready on [^\s:]+:(\d+)")
_SERVICE_READY = re.compile(r"ready on (http://[\w.:\[\]-]+)")


class StageError(FsbridgeError):
    """A process of the demo did not come up; the message holds the end of its log."""


class Stage:
    """Starts both processes on entry, stops them on exit. `url` is the service's address."""

    def __init__(self, folder: Path, api_key_hash: str) -> None:
        self._folder = folder
        self._hash = api_key_hash
        self._processes: list[subprocess.Popen[str]] = []
        self._logs: list[IO[str]] = []
        self.url = ""

    def __enter__(self) -> Stage:
        try:
            port = self._start("simulator", ["simulate", "--port", "0"], _SIMULATOR_READY)
            config = self._configure(int(port))
            self.url = self._start("service", ["serve", "--config", str(config)], _SERVICE_READY)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(timeout=STOP_TIMEOUT_S)
        for log in self._logs:
            log.close()

    def _configure(self, node_port: int) -> Path:
        flow = self._folder / "flows" / ORG / f"{FLOW}.yaml"
        flow.parent.mkdir(parents=True)
        flow.write_bytes(files("api.demo").joinpath("reminder.yaml").read_bytes())
        config = self._folder / "fsbridge.toml"
        config.write_text(
            f"""
[service]
listen = "127.0.0.1:0"
data_dir = "var"
log_format = "json"
drain_timeout_s = 5
[[orgs]]
id = "{ORG}"
name = "Demo"
caller_id = "+15550100100"
api_keys = ["{self._hash}"]
[[nodes]]
name = "sim"
port = {node_port}
[[trunks]]
name = "main"
gateways = ["carrier"]
[dialing]
ring_timeout_s = 8
[webhooks]
allow_private = true
allow_http = true
""",
            encoding="utf-8",
        )
        return config

    def _start(self, name: str, arguments: list[str], ready: re.Pattern[str]) -> str:
        """Start one of our own commands and wait for the line that says it is ready; returns what the line tells."""
        log_path = self._folder / f"{name}.log"
        log = log_path.open("w", encoding="utf-8")
        self._logs.append(log)
        command = [sys.executable, "-m", "api", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
        self._processes.append(process)
        clock = SystemClock()
        until = clock.monotonic() + START_TIMEOUT_S
        while process.poll() is None and clock.monotonic() < until:
            found = ready.search(log_path.read_text(encoding="utf-8"))
            if found:
                return found.group(1)
            gevent.sleep(0.05)
        tail = log_path.read_text(encoding="utf-8")[-2000:]
        raise StageError(f"the demo's {name} did not come up within {START_TIMEOUT_S:.0f} s:\n{tail}")
