"""`fsbridge doctor` against simulated nodes, healthy and sick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli import app
from tests.sim.stack import simulated_node

pytestmark = pytest.mark.sim


def examine(folder: Path, port: int, *arguments: str, gateway: str = "carrier", password: str = "ClueCon") -> Any:
    config = folder / "fsbridge.toml"
    config.write_text(
        f"""
[[orgs]]
id = "22222222-2222-4222-8222-222222222222"
api_keys = ["sha256:{"1" * 64}"]
[[nodes]]
name = "sim"
port = {port}
password = "{password}"
connect_timeout_s = 2
[[trunks]]
name = "main"
gateways = ["{gateway}"]
"""
    )
    return CliRunner().invoke(app, ["doctor", "--config", str(config), *arguments])


def test_a_healthy_node_passes(tmp_path: Path) -> None:
    with simulated_node() as simulator:
        table = examine(tmp_path, simulator.port)
        result = examine(tmp_path, simulator.port, "--json")
    assert (table.exit_code, result.exit_code) == (0, 0), result.output
    assert "what to change" in table.output
    told = " / ".join(finding["what"] for finding in json.loads(result.stdout))
    for words in ("reached and logged in", "mod_audio_fork is loaded", "gateway carrier is up", "default password"):
        assert words in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gateway": "nosuch"}, "gateway nosuch does not exist"),
        ({"password": "wrong"}, "refused the event-socket password"),
    ],
)
def test_a_sick_configuration_fails_with_words(tmp_path: Path, options: dict[str, str], words: str) -> None:
    with simulated_node() as simulator:
        result = examine(tmp_path, simulator.port, "--json", **options)
    assert result.exit_code == 1
    problems = [finding for finding in json.loads(result.stdout) if finding["grade"] == "problem"]
    assert any(words in problem["what"] and problem["advice"] for problem in problems), problems


def test_a_missing_module_and_a_dead_node(tmp_path: Path) -> None:
    with simulated_node(modules=("mod_sofia", "mod_dptools", "mod_commands")) as simulator:
        port = simulator.port
        result = examine(tmp_path, port, "--json")
    assert result.exit_code == 1
    assert "mod_audio_fork is not loaded" in result.output
    result = examine(tmp_path, port, "--json")
    assert result.exit_code == 1
    assert "no event socket" in result.output
