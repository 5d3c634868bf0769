"""The folder of kept answers: order, opinions, labels that survive everybody, and what retention deletes."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from amd_model.verdict import Verdict
from amd_model.worker.keep import write
from fsbridge.amd import recordings
from fsbridge.amd.recordings import LabelsError, Opinion
from training.__main__ import main as training
from training.corpus.manifest import read

pytestmark = pytest.mark.unit

OLD, NOW = 1_000_000.0, 2_000_000.0
TONE = bytes(range(0, 200, 2)) * 160


def record(folder: Path, name: str, at: float = NOW, result: str | None = "live_person") -> Path:
    description = {"callId": name, "result": result, "confidence": 0.9, "reason": "phrase", "decidedAtMs": 1_200}
    assert write(folder, name, TONE, description) == ""
    for path in folder.glob(f"{name}.*"):
        os.utime(path, (at, at))
    return folder / f"{name}.wav"


def test_sounds_come_in_their_order_and_nothing_else_does(tmp_path: Path) -> None:
    record(tmp_path, "b", NOW - 9)
    record(tmp_path, "a", NOW)
    for name in ("notes.txt", ".c.wav.part", "with space.wav", "labels.csv"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in recordings.sounds(tmp_path)] == ["b.wav", "a.wav"]
    with pytest.raises(FileNotFoundError):
        recordings.sounds(tmp_path / "none")


def test_the_opinion_of_the_worker_is_read_back(tmp_path: Path) -> None:
    assert recordings.opinion(record(tmp_path, "a")) == Opinion(Verdict.LIVE_PERSON, 0.9, "phrase", 1_200)
    assert recordings.opinion(record(tmp_path, "b", result=None)) == Opinion()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"result": "nobody"}', '{"result": "fax", "confidence": [1]}', "7"])
def test_an_opinion_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    sound = record(tmp_path, "a")
    sound.with_suffix(".json").write_text(text)
    assert recordings.opinion(sound) == Opinion()


def test_labels_are_there_at_once_and_the_importer_takes_them(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    assert recordings.add_label(folder_with(folder, "a", "b"), folder / "a.wav", Verdict.LIVE_PERSON)
    assert recordings.add_label(folder, folder / "b.wav", Verdict.FAX)
    assert (folder / "labels.csv").read_text() == "file,label\na.wav,live_person\nb.wav,fax\n"
    assert recordings.labels(folder) == {"a.wav": Verdict.LIVE_PERSON, "b.wav": Verdict.FAX}
    arguments = ["--root", str(folder), "--labels", str(folder / "labels.csv"), "--out", str(tmp_path / "out")]
    assert training(["import", "recordings", *arguments]) == 0
    assert [clip.kind for clip in read(tmp_path / "out/manifest.tsv")] == ["call:live_person", "call:fax"]


def folder_with(folder: Path, *names: str, at: float = NOW) -> Path:
    for name in names:
        record(folder, name, at)
    return folder


def test_other_peoples_columns_and_a_missing_newline_are_kept(tmp_path: Path) -> None:
    folder_with(tmp_path, "a", "b", "c")
    record(tmp_path, "a", OLD)
    path = tmp_path / "labels.csv"
    path.write_text("speaker,label,file\nanna,fax,a.wav\nbert,unknown,b.wav")
    recordings.add_label(tmp_path, tmp_path / "c.wav", Verdict.LIVE_PERSON)
    assert recordings.purge(tmp_path, NOW - 1) == 1
    assert path.read_text() == "speaker,label,file\nbert,unknown,b.wav\n,live_person,c.wav\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,label\na.wav,fax\n", "row 1: there must be columns"),
        ("file,label\na.wav,nobody\n", "row 2: label 'nobody' is none of live_person"),
        ("file,label\na.wav\n", "row 2: label ''"),
        ("label,file\nfax\n", "row 2: names no file"),
        ('file,label\n"a.wav,fax\n', "not a table"),
        (b"\xff\xfe\x00", "not a table"),
    ],
)
def test_a_damaged_list_is_said_and_never_overwritten(tmp_path: Path, text: str | bytes, words: str) -> None:
    sound = record(tmp_path, "a", OLD)
    path = tmp_path / "labels.csv"
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(data)
    with pytest.raises(LabelsError, match=words):
        recordings.labels(tmp_path)
    if "none of" not in words and "''" not in words:
        with pytest.raises(LabelsError, match=words):
            recordings.add_label(tmp_path, sound, Verdict.FAX)
        assert recordings.purge(tmp_path, NOW) == 1, "retention does not wait for a mended list"
        assert path.read_bytes() == data


def test_retention_takes_what_is_old_and_ours_and_its_label(tmp_path: Path) -> None:
    record(tmp_path, "old", OLD)
    record(tmp_path, "new", NOW)
    recordings.add_label(tmp_path, tmp_path / "old.wav", Verdict.FAX)
    recordings.add_label(tmp_path, tmp_path / "new.wav", Verdict.FAX)
    (tmp_path / "sub.wav").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "my notes.txt")
    for name in ("my notes.txt", "a_b.wav", ".half.wav.part", "half.flac"):
        (tmp_path / name).write_text("x")
    for name in ("my notes.txt", "a_b.wav", ".half.wav.part", "half.flac", "sub.wav"):
        os.utime(tmp_path / name, (OLD, OLD))
    assert recordings.purge(tmp_path, OLD + 1) == 1
    left = {"new.wav", "new.json", "sub.wav", "link.wav", "my notes.txt", "a_b.wav", "half.flac", "labels.csv"}
    left.add(".labels.lock")
    assert set(os.listdir(tmp_path)) == left
    assert recordings.labels(tmp_path) == {"new.wav": Verdict.FAX}
    assert recordings.purge(tmp_path, OLD + 1) == 0


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert recordings.purge(tmp_path / "none", NOW) == 0


def test_a_recording_that_has_just_gone_gets_no_label(tmp_path: Path) -> None:
    sound = record(tmp_path, "a")
    sound.unlink()
    assert not recordings.add_label(tmp_path, sound, Verdict.FAX)
    assert not (tmp_path / "labels.csv").exists()


def test_nobody_waits_for_ever_for_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "_LOCK_TRIES", 2)
    sound = record(tmp_path, "a", OLD)
    with (tmp_path / ".labels.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            recordings.purge(tmp_path, NOW)
        with pytest.raises(BlockingIOError):
            recordings.add_label(tmp_path, sound, Verdict.FAX)
    assert recordings.add_label(tmp_path, sound, Verdict.FAX)
    assert recordings.purge(tmp_path, NOW) == 1


def test_the_json_that_the_worker_writes_names_its_fields(tmp_path: Path) -> None:
    body = json.loads(record(tmp_path, "a").with_suffix(".json").read_text())
    assert set(body) >= {"result", "confidence", "reason", "decidedAtMs"}
