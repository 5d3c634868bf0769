"""`fsbridge doctor` against simulated nodes, healthy and sick."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent.socket
import pytest
from gevent.server import StreamServer
from typer.testing import CliRunner, Result

from api.cli import app
from api.cli.serve import EXAMPLE_KEY_HASH
from fsbridge.clock import SystemClock
from fsbridge.esl.client import EslClient
from fsbridge.esl.commands import Subscribe
from fsbridge.model.ids import JobUuid, new_uuid
from fsbridge.simulator import Simulator
from fsbridge.supervise import Supervisor
from tests.sim.stack import ORG, simulated_node

pytestmark = pytest.mark.sim

PASSWORD = "a-word-of-our-own"
GOOD_KEY = "sha256:" + "1" * 64


@pytest.fixture
def node() -> Iterator[Simulator]:
    with simulated_node(password=PASSWORD) as simulator:
        yield simulator


def write(
    folder: Path, port: int, password: str = PASSWORD, gateways: tuple[str, ...] = ("carrier",), key: str = GOOD_KEY
) -> Path:
    """A configuration with one flow, which does not speak."""
    flows = folder / "flows" / ORG
    flows.mkdir(parents=True)
    (flows / f"{ORG}.yaml").write_text("steps: [{id: a, pause: 1}]")
    config = folder / "fsbridge.toml"
    config.write_text(
        f"""
[[orgs]]
id = "{ORG}"
api_keys = ["{key}"]
[[nodes]]
name = "sim"
port = {port}
password = "{password}"
connect_timeout_s = 2
command_timeout_s = 0.5
[[trunks]]
name = "main"
gateways = {json.dumps(gateways)}
caller_id = "+15550100100"
"""
    )
    return config


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", "--config", str(config), *arguments])


def findings(result: Result, level: str) -> dict[str, Any]:
    """What `--json` printed of one level, by check."""
    found = json.loads(result.stdout)
    assert {"level", "subject", "check", "text", "change"} == set(found[0])
    return {finding["check"]: finding for finding in found if finding["level"] == level}


def test_a_healthy_node_passes_and_the_table_says_so(tmp_path: Path, node: Simulator) -> None:
    config = write(tmp_path, node.port)
    table = run(config)
    assert table.exit_code == 0, table.output
    assert "node sim" in table.output
    assert "0 problems" in table.output
    result = run(config, "--json")
    assert result.exit_code == 0
    assert not findings(result, "problem")
    assert list(findings(result, "warning")) == ["gateway carrier"]  # the simulator's gateways are not pinged
    assert {"reachable", "version", "takes calls", "limits", "modules", "SIP profile"} <= set(findings(result, "ok"))


def test_nothing_on_the_node_is_changed(tmp_path: Path, node: Simulator) -> None:
    def state() -> list[object]:
        set_up = {name: value for name, value in vars(node.node.limits).items() if not name.startswith("_")}
        return [set_up, dict(node.node.globals), dict(node.node.hashes)]

    before = state()
    run(write(tmp_path, node.port))
    assert state() == before
    assert node.node.limits.sessions_started == 0


def test_a_wrong_password(tmp_path: Path, node: Simulator) -> None:
    result = run(write(tmp_path, node.port, password="wrong"), "--json")
    assert result.exit_code == 1
    (problem,) = findings(result, "problem").values()
    assert "refused the event-socket password" in problem["text"]
    assert "FSBRIDGE_NODES__0__PASSWORD" in problem["change"]


def test_a_host_that_the_access_list_refuses(tmp_path: Path) -> None:
    def refuse(sock: gevent.socket.socket, _: object) -> None:
        sock.sendall(b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n")
        sock.close()

    server = StreamServer(("127.0.0.1", 0), refuse)
    server.start()
    assert server.server_port is not None
    try:
        result = run(write(tmp_path, server.server_port), "--json")
    finally:
        server.stop()
    assert result.exit_code == 1
    problem = findings(result, "problem")["access list"]
    assert "acl.conf.xml" in problem["change"]


def test_the_example_key_is_a_problem_and_the_default_password_a_warning_where_nobody_else_is_let_in(
    tmp_path: Path,
) -> None:
    with simulated_node() as simulator:
        result = run(write(tmp_path, simulator.port, password="ClueCon", key=EXAMPLE_KEY_HASH), "--json")
    assert result.exit_code == 1
    assert set(findings(result, "problem")) == {f"keys of {ORG}"}
    assert "event_socket.conf.xml" in findings(result, "warning")["password"]["change"]


def test_on_a_node_that_anybody_reaches_the_default_password_is_a_problem(tmp_path: Path) -> None:
    with simulated_node(host="0.0.0.0") as simulator:
        result = run(write(tmp_path, simulator.port, password="ClueCon"), "--json")
    assert result.exit_code == 1
    assert set(findings(result, "problem")) == {"password"}


def test_what_init_writes_is_green_against_the_simulator(tmp_path: Path) -> None:
    config = tmp_path / "fsbridge.toml"
    assert CliRunner().invoke(app, ["init", str(config)]).exit_code == 0
    with simulated_node() as simulator:
        config.write_text(config.read_text().replace("port = 8021", f"port = {simulator.port}"))
        result = run(config, "--json")
    assert result.exit_code == 0, result.output
    assert set(findings(result, "warning")) == {"password", "gateway carrier"}


FLOW_OF_MUCH = """
steps:
  - {id: a, say: {value: "12", as: number}}
  - {id: b, say: {value: "12.50", as: money, language: de}}
  - {id: c, play: RELATIVE}
  - {id: d, play: nowhere/hello.wav}
  - {id: e, conference: {room: r, profile: wide}}
  - {id: f, transfer: {extension: "1", context: default}}
"""


def test_what_flows_need_is_looked_for_on_the_node(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "welcome.wav").write_bytes(b"RIFF")
    with simulated_node(password=PASSWORD, sounds=str(tmp_path / "sounds")) as simulator:
        config = write(tmp_path, simulator.port)
        opened = 'conference_profiles = ["wide"]\ntransfer = [{ extensions = ["1"] }]\n'
        config.write_text(config.read_text().replace("[[nodes]]", f"[orgs.flows]\n{opened}[[nodes]]"))
        flow = tmp_path / "flows" / ORG / f"{ORG}.yaml"
        flow.write_text(FLOW_OF_MUCH.replace("RELATIVE", "welcome.wav"))
        result = run(config, "--json")
    problems = findings(result, "problem")
    assert set(problems) == {"mod_say_de", "sounds of de", "prompts"}
    assert "nowhere/hello.wav" in problems["prompts"]["text"]
    assert "sounds of en" in findings(result, "ok")
    assert "wide" in findings(result, "warning")["conferences"]["text"]
    with simulated_node(password=PASSWORD, say_sounds=False) as simulator:
        config.write_text(re.sub(r"port = \d+", f"port = {simulator.port}", config.read_text()))
        assert "sounds of en" in findings(run(config, "--json"), "problem")


def test_a_node_whose_far_ends_may_transfer_and_that_has_no_tls(tmp_path: Path) -> None:
    with simulated_node(password=PASSWORD, transferable=True) as simulator:
        config = write(tmp_path, simulator.port)
        config.write_text(config.read_text() + "tls = true\n")
        problems = findings(run(config, "--json"), "problem")
    assert set(problems) == {"far ends", "SIP profile"}
    with simulated_node(password=PASSWORD, tls=True) as simulator:
        config.write_text(re.sub(r"port = \d+", f"port = {simulator.port}", config.read_text()))
        assert run(config).exit_code == 0


def test_an_unknown_gateway(tmp_path: Path, node: Simulator) -> None:
    result = run(write(tmp_path, node.port, gateways=("nosuch",)), "--json")
    assert result.exit_code == 1
    (problem,) = findings(result, "problem").values()
    assert (problem["check"], "nosuch.xml" in problem["change"]) == ("gateway nosuch", True)


def test_a_gateway_through_which_no_call_gets_is_suspected(tmp_path: Path, node: Simulator) -> None:
    supervisor = Supervisor()
    client = EslClient("127.0.0.1", node.port, PASSWORD, supervisor, clock=SystemClock())
    client.connect()
    client.command(Subscribe(("BACKGROUND_JOB",)))
    try:
        result = client.bgapi("originate {originate_timeout=5}sofia/gateway/dead/1555 &park()", JobUuid(new_uuid()), 10)
    finally:
        client.stop()
        supervisor.stop()
    assert not result.ok
    found = findings(run(write(tmp_path, node.port, gateways=("dead",)), "--json"), "warning")
    assert "none of its 1 calls" in found["gateway dead"]["text"]


def test_a_paused_node_with_a_module_missing(tmp_path: Path) -> None:
    modules = ("mod_sofia", "mod_dptools", "mod_commands", "mod_tone_stream")
    with simulated_node(password=PASSWORD, modules=modules, max_sessions=10) as simulator:
        simulator.node.limits.pause()
        result = run(write(tmp_path, simulator.port), "--json")
    assert result.exit_code == 1
    assert set(findings(result, "problem")) == {"takes calls", "mod_audio_fork"}
    assert {"limits", "mod_hash", "mod_flite", "mod_sndfile"} <= set(findings(result, "warning"))


def test_a_node_that_is_not_there(tmp_path: Path) -> None:
    with simulated_node(password=PASSWORD) as simulator:
        port = simulator.port
    result = run(write(tmp_path, port))
    assert result.exit_code == 1
    assert "no event socket" in result.output
    assert "1 problems" in result.output


def test_a_node_that_stops_answering(tmp_path: Path, node: Simulator) -> None:
    node.faults.never_reply("api sofia status")
    result = run(write(tmp_path, node.port), "--json")
    assert result.exit_code == 1
    (problem,) = findings(result, "problem").values()
    assert problem["check"] == "answers"


def test_a_configuration_that_cannot_be_used_is_another_exit_code(tmp_path: Path) -> None:
    config = tmp_path / "fsbridge.toml"
    config.write_text("[servise]\n")
    assert run(config).exit_code == 2
