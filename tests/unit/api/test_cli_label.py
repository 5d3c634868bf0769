"""`fsbridge amd label` with a person's keys as its input and a player that only writes down what it was given."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from amd_model.worker.keep import write
from api.cli import amd, app
from fsbridge.amd.recordings import labels
from training.__main__ import main as training
from training.corpus.manifest import read

pytestmark = pytest.mark.unit

TONE = bytes(range(0, 200, 2)) * 160
OPINIONS = {"a": "live_person", "b": "live_person", "c": "fax", "d": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four recordings, a the oldest."""
    place = tmp_path / "answers"
    for age, (name, result) in enumerate(OPINIONS.items()):
        opinion = {"result": result, "confidence": 0.91, "reason": "phrase", "decidedAtMs": 1_240}
        assert write(place, name, TONE, opinion) == ""
        os.utime(place / f"{name}.wav", (1_000_000 + age, 1_000_000 + age))
    return place


@pytest.fixture(autouse=True)
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An aplay that keeps a list; the only program on the path."""
    programs, heard = tmp_path / "bin", tmp_path / "heard"
    programs.mkdir()
    heard.touch()
    player = programs / "aplay"
    player.write_text(f'#!/bin/sh\necho "$*" >> "{heard}"\n')
    player.chmod(player.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(programs))
    return heard


def run(folder: Path, keys: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["amd", "label", str(folder), *options], input=keys)


def test_a_session_ends_anywhere_and_goes_on_later(folder: Path, played: Path) -> None:
    first = run(folder, "l\nx\nr\nM\ns\nq\n")
    assert first.exit_code == 0, first.output
    assert "detector: live_person (0.91, phrase) after 1.2 s" in first.output
    assert "'x' is none of these" in first.output
    assert "2 labelled" in first.output
    assert (folder / "labels.csv").read_text() == "file,label\na.wav,live_person\nb.wav,answering_machine\n"
    assert [Path(line.split()[-1]).name for line in played.read_text().splitlines()] == [
        *("a.wav", "b.wav", "b.wav", "c.wav", "d.wav")
    ]
    second = run(folder, "f\nu\n")
    assert "2 without a label, 2 with one" in second.output
    assert "no verdict: the answer ended before one" in second.output
    assert {name: str(label) for name, label in labels(folder).items()} == {
        "a.wav": "live_person",
        "b.wav": "answering_machine",
        "c.wav": "fax",
        "d.wav": "unknown",
    }


def test_the_end_of_input_ends_the_session_and_loses_nothing(folder: Path) -> None:
    result = run(folder, "l\n")
    assert result.exit_code == 0
    assert list(labels(folder)) == ["a.wav"]


def test_labels_become_a_manifest(folder: Path, tmp_path: Path) -> None:
    run(folder, "l\nm\nf\nu\n")
    arguments = ["--root", str(folder), "--labels", str(folder / "labels.csv"), "--out", str(tmp_path / "out")]
    assert training(["import", "recordings", *arguments]) == 0
    kinds = [clip.kind for clip in read(tmp_path / "out" / "manifest.tsv")]
    assert kinds == ["call:live_person", "call:answering_machine", "call:fax", "call:unknown"]


def test_blind_shows_the_opinion_after_the_label(folder: Path) -> None:
    output = run(folder, "l\nq\n", "--blind").output
    assert output.index("a.wav") < output.index(amd.QUESTION) < output.index("detector: live_person")
    assert output.count("detector:") == 1


def test_the_summary_counts_and_names_where_they_differ(folder: Path) -> None:
    run(folder, "l\nm\ns\nu\n")
    output = run(folder, "", "--summary").output
    assert "4 recordings, 3 labelled, 1 to do" in output
    assert "disagreement: 1 of 2 (50.0 %)" in output
    assert "b.wav: you answering_machine, detector live_person (0.91, phrase) after 1.2 s" in output
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.split()}
    assert rows["live_person"][-5:] == ["1", "0", "0", "0", "0"]
    assert rows["answering_machine"] == ["1", "0", "0", "0", "0"]
    assert rows["unknown"] == ["0", "0", "0", "0", "1"]


def test_a_recording_that_goes_meanwhile_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amd, "find_player", lambda: lambda sound: sound.unlink())
    output = run(folder, "l\nq\n").output
    assert "it has just been deleted" in output
    assert "0 labelled" in output


def test_without_a_player_the_path_is_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    output = run(folder, "q\n").output
    assert "no player found" in output
    assert f"listen to {folder / 'a.wav'}" in output


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo no sound card >&2; exit 1", "could not play"),
        ("exit 3", "exit code 3"),
        (": > /dev/null; sleep 9", "timed out"),
    ],
)
def test_a_player_that_fails_is_no_reason_to_stop(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    monkeypatch.setattr(amd, "LONGEST_S", 0.3)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin" / "ffplay").write_text(f"#!/bin/sh\n{body.replace('sleep', 'exec sleep')}\n")
    (tmp_path / "bin" / "ffplay").chmod(0o755)
    result = run(folder, "l\nq\n")
    assert result.exit_code == 0
    assert words in result.output
    assert list(labels(folder)) == ["a.wav"]


def test_a_wrong_folder_or_list_is_told_in_words(folder: Path, tmp_path: Path) -> None:
    missing = run(tmp_path / "none", "")
    assert missing.exit_code == 1
    assert "there is no such folder; recordings lie where amd.keep_audio_dir says" in missing.output
    (folder / "labels.csv").write_text("name\nx\n")
    damaged = run(folder, "l\n")
    assert (damaged.exit_code, "there must be columns file and label" in damaged.output) == (1, True)
    assert (folder / "labels.csv").read_text() == "name\nx\n"
