"""`fsbridge serve` as a process: what it holds while it runs, and how it ends when it is asked to."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from gevent import subprocess

from tests.sim.stack import ORG, Stack, running, settings, simulated_node, until

pytestmark = pytest.mark.sim

NO_WORKER = {"amd": {"workers": 0, "urls": ["ws://127.0.0.1:9/amd"], "start_timeout_s": 0.1}}
RINGS_LONG = {"dialing": {"ring_timeout_s": 300}}
KEY_HASH = "sha256:" + "0" * 64

Serve = Callable[..., "Process"]


class Process:
    """One `fsbridge serve`; its log goes to a file."""

    def __init__(
        self, folder: Path, *, listen: str = "127.0.0.1:0", data_dir: str = "var", mode: int = 0o600, **amd: object
    ) -> None:
        values = {"workers": 0, "start_timeout_s": 0.1, **amd}
        lines = "\n".join(f"{name} = {value!r}".replace("'", '"') for name, value in values.items())
        number = len(list(folder.glob("*.toml")))
        config = folder / f"config{number}.toml"
        config.write_text(
            f'[service]\nlisten = "{listen}"\ndata_dir = "{data_dir}"\ndrain_timeout_s = 1\n'
            f'[[orgs]]\nid = "{ORG}"\napi_keys = ["{KEY_HASH}"]\n[[nodes]]\nname = "sim"\nport = 9\n'
            f'[[trunks]]\nname = "main"\ngateways = ["carrier"]\ncaller_id = "+15550100100"\n[amd]\nurls = ["ws://127.0.0.1:9/amd"]\n{lines}\n'
        )
        config.chmod(mode)
        self._log = folder / f"log{number}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", "serve", "--config", str(config)], stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the log."""
        found: re.Match[str] = until(lambda: re.search(pattern, self.log) or self._ended_early(), 60.0)
        return found

    def ends(self) -> int:
        code: int = self.process.wait(timeout=60)
        return code

    def _ended_early(self) -> None:
        if self.process.poll() is not None:
            raise AssertionError(self.log)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    processes: list[Process] = []

    def start(**options: object) -> Process:
        processes.append(Process(tmp_path, **options))  # type: ignore[arg-type]
        return processes[-1]

    yield start
    for each in processes:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait(timeout=10)


def test_a_second_service_on_the_same_folder_says_who_has_it_and_touches_nothing(tmp_path: Path, serve: Serve) -> None:
    with (
        simulated_node(1.0) as simulator,
        running(settings(tmp_path, simulator.port, **NO_WORKER, **RINGS_LONG), simulator) as stack,
    ):
        placed = stack.place("+15550100005").json()["sessionId"]
        until(lambda: stack.get(placed)["status"] == "Ringing")
        second = serve(data_dir=str(tmp_path / "var"))
        assert second.ends() == 1, second.log
        assert f"held by another fsbridge (process {os.getpid()} on {socket.gethostname()})" in second.log
        assert "service.data_dir" in second.log
        assert stack.get(placed)["status"] == "Ringing"


def test_a_second_service_on_the_same_port_ends_nobody_s_calls(tmp_path: Path, serve: Serve) -> None:
    with simulated_node(1.0) as simulator:
        configuration = settings(tmp_path, simulator.port, **NO_WORKER, **RINGS_LONG)
        with running(configuration, simulator) as stack:
            placed = stack.place("+15550100005").json()["sessionId"]
            until(lambda: stack.get(placed)["status"] == "Ringing")
            unfinished = _copy_of_its_calls(stack, tmp_path / "copy")
            second = serve(listen=f"127.0.0.1:{stack.service.server.port}", data_dir=str(unfinished))
            assert second.ends() == 1, second.log
            assert "cannot listen on 127.0.0.1" in second.log
            assert "unfinished_calls_settled" not in second.log
            assert stack.get(placed)["status"] == "Ringing"


def test_two_services_with_one_name_for_a_node_leave_each_other_s_calls_alone(tmp_path: Path) -> None:
    with simulated_node(1.0) as simulator:
        tables = {**NO_WORKER, **RINGS_LONG}
        first, second = (settings(tmp_path / name, simulator.port, **tables) for name in ("first", "second"))
        with running(first, simulator) as one, running(second, simulator) as other:
            placed = [stack.place("+15550100005").json()["sessionId"] for stack in (one, other)]
            for stack, session in zip((one, other), placed, strict=True):
                until(lambda stack=stack, session=session: stack.get(session)["status"] == "Ringing")  # type: ignore[misc]
            for stack in (one, other):
                stack.service.sweep.after_reconnect("sim")
            for stack in (one, other):
                until(lambda stack=stack: stack.service.sweep._watches["sim"].foreign)  # type: ignore[misc]
                assert stack.service.sweep.pursued("sim") == 0
            assert [stack.get(session)["status"] for stack, session in zip((one, other), placed, strict=True)] == [
                "Ringing",
                "Ringing",
            ]


def _copy_of_its_calls(stack: Stack, folder: Path) -> Path:
    """A data folder with the same unfinished call in it, as one has who starts a copy of a service."""
    origin = stack.service.settings.service.data_dir
    folder.mkdir()
    for name in ("calls.db", "calls.db-wal", "secret.key"):
        (folder / name).write_bytes((origin / name).read_bytes())
    return folder


def test_a_folder_is_free_again_however_its_service_ended(serve: Serve) -> None:
    first = serve()
    first.says("fsbridge ready on")
    first.process.kill()
    first.ends()
    second = serve()
    second.says("fsbridge ready on")
    second.process.send_signal(signal.SIGTERM)
    assert second.ends() == 0


def test_asked_to_stop_while_it_waits_for_workers_it_stops(serve: Serve) -> None:
    service = serve(start_timeout_s=300)
    service.says("node_unreachable")
    service.process.send_signal(signal.SIGTERM)
    assert service.ends() == 0
    assert "fsbridge ready" not in service.log


def test_probes_are_answered_while_every_place_is_taken(tmp_path: Path) -> None:
    with simulated_node() as simulator:
        tables = {**NO_WORKER, "service": {"probe_listen": "127.0.0.1:0", "max_connections": 10}}
        with running(settings(tmp_path, simulator.port, **tables), simulator) as stack:
            probes = stack.service.probes
            assert probes is not None
            begun = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
            holders = [socket.create_connection(("127.0.0.1", stack.service.server.port)) for _ in range(20)]
            for holder in holders:
                holder.sendall(begun)
            until(lambda: stack.service.server.connections == 10)
            until(lambda: not any(each.idle for each in stack.service.server._server.handlers))  # type: ignore[union-attr]
            for path in ("healthz", "readyz", "metrics"):
                assert requests.get(f"http://127.0.0.1:{probes.port}/{path}", timeout=5).status_code == 200
            for holder in holders:
                holder.close()


def test_what_it_keeps_is_for_its_owner_only_whatever_the_umask(tmp_path: Path, serve: Serve) -> None:
    before = os.umask(0o022)
    try:
        service = serve()
    finally:
        os.umask(before)
    service.says("fsbridge ready on")
    folder = tmp_path / "var"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {"calls.db", "secret.key", "lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}, modes
    assert "readable_by_others" not in service.log
    assert "everybody on this machine" not in service.log


def test_a_folder_that_others_may_read_is_told(tmp_path: Path, serve: Serve) -> None:
    folder = tmp_path / "var"
    folder.mkdir(mode=0o755)
    (folder / "old.db").write_bytes(b"")
    (folder / "old.db").chmod(0o644)
    service = serve(mode=0o644)
    service.says("fsbridge ready on")
    told = re.findall(r"readable_by_others.*?path=(\S+)", service.log)
    assert [Path(path).name for path in told] == ["var", "old.db"]
    assert "config0.toml: everybody on this machine can read it" in service.log
