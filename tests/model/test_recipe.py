"""From a folder of recordings to a measured model in one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amd_model.detector import checkpoint
from tests.model.test_training import recordings
from tests.unit.training import sounds
from training.__main__ import main as training
from training.learning import train

pytestmark = pytest.mark.model


def test_recordings_become_a_measured_model_that_goes_on_from_the_shipped_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "mine"
    arguments = ["--data", str(recordings(tmp_path / "answers")), "--out", str(run), "--epochs", "2"]
    assert training(["recipe", *arguments]) == 0
    said = capsys.readouterr().out
    assert "train: 2 live_person, 3 answering_machine\n  dev: 1 live_person, 1 answering_machine" in said
    assert "test: 1 live_person\n  no answering_machine in test: its figures will say nothing of them" in said
    assert "thresholds stay: dev has 2 cases" in said
    before = (run / "curves.jsonl").read_text()
    assert training(["recipe", *arguments, "--resume"]) == 0
    assert (run / "curves.jsonl").read_text() == before, "a finished run has nothing to resume"
    assert "kept: " in said
    shipped, model = checkpoint.load(), checkpoint.load(run / "best.safetensors")
    assert model.spec == shipped.spec
    assert model.policy == shipped.policy
    figures = json.loads((run / "report.json").read_text())
    assert figures["split"] == "test"
    assert figures["accuracy"]["n"] == 1
    assert "<html" in (run / "report.html").read_text()
    text = (run / "report.txt").read_text()
    assert shipped.version in text, "the start is measured beside it"
    assert model.version in text
    assert (run / "recordings" / "manifest.tsv").is_file()


def test_what_a_run_starts_from_stays_when_no_epoch_beats_it(tmp_path: Path) -> None:
    first = tmp_path / "first"
    data = recordings(tmp_path / "answers")
    assert training(["recipe", "--data", str(data), "--out", str(first), "--epochs", "1"]) == 0
    config = train.Config(data=(str(first / "recordings"),), cases=0, dev_cases=0, epochs=1, rate=5.0, start=str(first))
    best = train.train(config, tmp_path / "worse", tmp_path / "cache", quiet=True)
    start, kept = (checkpoint.load(run / "best.safetensors").net for run in (first, tmp_path / "worse"))
    assert all((ours == theirs).all() for ours, theirs in zip(start.parameters(), kept.parameters(), strict=True))
    assert best["classes"] > 0
    assert "started from" in train.kept(tmp_path / "worse")


def test_clips_are_composed_from_beside_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clips").mkdir()
    sounds.make(tmp_path / "clips")
    folders = ["--data", str(tmp_path / "clips"), "--data", str(recordings(tmp_path / "answers"))]
    few = ["--cases", "32", "--dev-cases", "16", "--epochs", "1", "--processes", "1"]
    assert training(["recipe", *folders, *few, "--start", "nothing", "--out", str(tmp_path / "run")]) == 0
    assert train.kept(tmp_path / "run").startswith("epoch 1")
    curve = json.loads((tmp_path / "run" / "curves.jsonl").read_text().splitlines()[0])
    assert curve["train_speech"] > 0, "who speaks is known of what is composed"
    assert (tmp_path / "run" / "recordings-2" / "manifest.tsv").is_file()
    assert training(["recipe", *folders[:2], *few, "--out", str(tmp_path / "other")]) == 0
    said = capsys.readouterr().out
    assert "no recordings: answers are composed" in said
    assert "on dev:" in said, "without test recordings dev is what there is"


@pytest.mark.parametrize("start", ["nowhere", "shipped"])
def test_what_cannot_be_used_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start: str
) -> None:
    (tmp_path / "empty").mkdir()
    data = tmp_path / "empty" if start == "shipped" else recordings(tmp_path / "answers")
    assert training(["recipe", "--data", str(data), "--out", str(tmp_path / "run"), "--start", start]) == 1
    assert ("no recordings: put them" if start == "shipped" else "nowhere") in capsys.readouterr().err
    assert training(["recipe", "--data", str(tmp_path / "missing"), "--out", str(tmp_path / "run")]) == 1
    assert "no such folder" in capsys.readouterr().err
