"""The commands that need no service: init, config, flows."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.cli.serve import EXAMPLE_KEY_HASH
from fsbridge.settings.reading import load

pytestmark = pytest.mark.unit

runner = CliRunner()


def test_init_writes_a_configuration_that_loads_with_a_key_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "fsbridge.toml"
    result = runner.invoke(app, ["init", str(path)])
    assert result.exit_code == 0, result.output
    assert "fsb_" in result.output
    settings = load(path, {})
    assert EXAMPLE_KEY_HASH not in settings.orgs[0].api_keys
    assert "fsb_example" not in path.read_text(), "the key is a fresh one, and the comment must not say otherwise"
    assert f"fsbridge serve --config {path}" in result.output
    flows = sorted((tmp_path / "flows").rglob("*.yaml"))
    assert runner.invoke(app, ["flows", "check", *map(str, flows)]).exit_code == 0


def test_what_init_writes_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "fsbridge.toml"
    before = os.umask(0)
    try:
        runner.invoke(app, ["init", str(path)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_init_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "fsbridge.toml"
    path.write_text("mine")
    assert runner.invoke(app, ["init", str(path)]).exit_code == 1
    assert path.read_text() == "mine"


def test_config_prints_without_secrets_and_takes_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fsbridge.toml"
    runner.invoke(app, ["init", str(path)])
    monkeypatch.setenv("FSBRIDGE_NODES__0__PASSWORD", "hunter2")
    monkeypatch.setenv("FSBRIDGE_DIALING__RING_TIMEOUT_S", "12")
    result = runner.invoke(app, ["config", "--config", str(path)])
    assert result.exit_code == 0, result.output
    assert "hunter2" not in result.output
    assert json.loads(result.stdout)["dialing"]["ring_timeout_s"] == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [("[servise]\n", "did you mean 'service'"), ("[[nodes", "end of document"), (None, "fsbridge init")],
)
def test_a_configuration_with_a_typo_is_told(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "fsbridge.toml"
    if text is not None:
        path.write_text(text)
    for command in ("config", "serve"):
        result = runner.invoke(app, [command, "--config", str(path)])
        assert result.exit_code == 2
        assert words in result.stderr


def test_flows_check_tells_file_line_step_and_field(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("steps:\n  - id: a\n    sing: la\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    result = runner.invoke(app, ["flows", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{path}:3: step a: sing: no such key" in result.output
    assert "cannot be read" in result.output
    assert runner.invoke(app, ["flows", "check", str(tmp_path / "none.yaml")]).exit_code == 1


def test_the_schema_is_one() -> None:
    schema = json.loads(runner.invoke(app, ["flows", "schema"]).stdout)
    assert "steps" in schema["properties"]
    assert {"$schema", "$id", "title", "description"} <= set(schema)


def test_flows_check_takes_the_examples_whole_with_their_suite_and_far_ends(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert runner.invoke(app, ["flows", "init", str(folder)]).exit_code == 0
    result = runner.invoke(app, ["flows", "check", "--strict", str(folder)])
    assert (result.exit_code, "no faults" in result.output) == (0, True), result.output


def test_flows_check_tells_the_faults_of_suites_and_far_ends_as_theirs(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text("name: S\ncalls: []\nconcurency: 2\n")
    (tmp_path / "far.yaml").write_text("- answer\n- sing: la\n")
    result = runner.invoke(app, ["flows", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{tmp_path / 'suite.yaml'}:3: concurency: no such key" in result.output
    assert f"{tmp_path / 'far.yaml'}: far_ends[0]" in result.output
    assert "a flow is a mapping" not in result.output
