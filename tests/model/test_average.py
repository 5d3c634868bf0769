"""Weights between two runs: where they lie, that dev chooses among them, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from amd_model.detector import checkpoint
from amd_model.detector.network import AmdNet
from amd_model.detector.spec import ModelSpec
from tests.model.test_training import config
from tests.unit.training import sounds
from training.__main__ import main as training
from training.learning import average, train

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and one that went on from it."""
    folder = tmp_path_factory.mktemp("average")
    (folder / "data").mkdir()
    sounds.make(folder / "data")
    train.train(config(folder, epochs=1), folder / "a", folder / "cases", quiet=True)
    train.train(config(folder, epochs=1, start=str(folder / "a")), folder / "b", folder / "cases", quiet=True)
    return folder


def test_a_share_is_a_place_between_two_networks() -> None:
    torch.manual_seed(1)
    first, second = AmdNet(ModelSpec(8, 8, 8, 8)), AmdNet(ModelSpec(8, 8, 8, 8))
    for share, expected in ((0.0, first), (1.0, second)):
        net = average.between(first, second, share)
        assert all(
            torch.equal(ours, theirs) for ours, theirs in zip(net.parameters(), expected.parameters(), strict=True)
        )
    half = average.between(first, second, 0.5).classes.weight
    assert torch.allclose(half, (first.classes.weight + second.classes.weight) / 2)
    with pytest.raises(ValueError, match="differ in shape"):
        average.between(first, AmdNet(ModelSpec(8, 8, 8, 16)), 0.5)


def test_dev_chooses_the_share_and_the_run_can_be_gone_on_from(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = work / "ab"
    runs = ["--run", str(work / "a"), "--run", str(work / "b")]
    assert training(["average", *runs, "--share", "0", "--share", "0.5", "--share", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    losses = {line.split()[0]: float(line.split()[-1]) for line in said.splitlines() if "dev loss" in line}
    assert set(losses) == {"0.00", "0.50", "1.00"}
    assert f"kept {min(losses, key=lambda share: losses[share])}" in said
    card = checkpoint.load(out / "best.safetensors").card
    assert card["dev"]["classes"] == pytest.approx(min(losses.values()), abs=1e-4)
    assert json.loads((out / "config.json").read_text())["cases"] == 48


def test_runs_that_do_not_fit_are_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = work / "other"
    shutil.copytree(work / "b", other)
    checkpoint.save(other / "best.safetensors", AmdNet(ModelSpec(8, 8, 8, 16)), "x")
    arguments = ["--run", str(work / "a"), "--run", str(other), "--out", str(work / "none")]
    assert training(["average", *arguments]) == 1
    assert "differ in shape" in capsys.readouterr().err
    assert training(["average", *arguments[:2], "--run", str(work / "missing"), *arguments[4:]]) == 1
    with pytest.raises(SystemExit):
        training(["average", *arguments[:2], "--out", str(work / "none")])
