"""Training end to end on a made-up corpus: it learns, resumes, is deterministic, tunes, exports."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch

from amd_model.detector.checkpoint import CheckpointError, load
from amd_model.evaluation import evaluate
from amd_model.verdict import Verdict
from tests.unit.training import sounds
from training.__main__ import main as training
from training.composition.dataset import MOST_REPEATS, dev_data, load_clips, shards, train_data
from training.composition.laws import DEV
from training.corpus import importers
from training.corpus.manifest import ManifestError
from training.learning import export, train
from training.learning.batches import batch_of
from training.learning.train import Config
from training.studies import tune

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    (folder / "data").mkdir()
    sounds.make(folder / "data")
    return folder


def config(work, **more):
    values = {"cases": 48, "dev_cases": 24, "epochs": 2, "batch": 16, "processes": 1, **more}
    return Config(data=(str(work / "data"),), conv_channels=8, embedding=8, listening=8, hidden=8, **values)


@pytest.fixture(scope="module")
def run(work):
    train.train(config(work), work / "run", work / "cases", quiet=True)
    return work / "run"


def curves(run):
    return [json.loads(line) for line in (run / "curves.jsonl").read_text().splitlines()]


def test_a_run_learns_and_leaves_its_folder(run):
    lines = curves(run)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["train_classes"] < lines[0]["train_classes"]
    if shutil.which("espeak-ng") is not None:  # the corpus says what is said: it is spelt, too
        assert lines[1]["dev_phones"] < lines[0]["dev_phones"]
    model = load(run / "best.safetensors")
    assert model.card["config"]["cases"] == 48
    assert json.loads((run / "config.json").read_text())["seed"] == 1


def test_the_same_seed_gives_the_same_weights_also_when_resumed(work, run):
    train.train(config(work), work / "again", work / "cases", quiet=True)
    assert load(work / "again/best.safetensors").card["sha256"] == load(run / "best.safetensors").card["sha256"]
    assert [line["dev_classes"] for line in curves(work / "again")] == [line["dev_classes"] for line in curves(run)]
    before = curves(work / "again")
    train.train(config(work), work / "again", work / "cases", resume=True, quiet=True)
    assert curves(work / "again") == before, "a finished run has nothing to resume"


def test_an_older_version_s_run_is_not_resumed(work, capsys):
    out = work / "older"
    out.mkdir()
    torch.save({"net": {}}, out / "last.pt")
    arguments = ["--data", str(work / "data"), "--cases", "48", "--dev-cases", "24", "--processes", "1", "--resume"]
    assert training(["train", *arguments, "--cache", str(work / "cases"), "--out", str(out)]) == 1
    assert "begin anew, without --resume" in capsys.readouterr().err


def test_a_run_goes_on_from_anothers_weights(work, run):
    train.train(config(work, epochs=1), work / "once", work / "cases", quiet=True)
    train.train(config(work, epochs=1, start=str(run)), work / "more", work / "cases", quiet=True)
    assert curves(work / "more")[0]["train_classes"] < curves(work / "once")[0]["train_classes"]
    arguments = ["--data", str(work / "data"), "--cases", "48", "--start", str(work / "none"), "--processes", "1"]
    assert training(["train", *arguments, "--cache", str(work / "cases"), "--out", str(work / "lost")]) == 1


def test_tune_compare_and_export(work, run, capsys):
    assert training(["tune", "--run", str(run), "--cache", str(work / "cases"), "--tries", "4", "--report"]) == 0
    assert "Confusion" in capsys.readouterr().out
    assert json.loads((run / "dev.json").read_text())["cases"] == 24
    table = work / "table.json"
    arguments = ["--run", str(run), "--trees", "--cache", str(work / "cases"), "--tries", "2", "--json", str(table)]
    arguments += ["--conformer", "1", "--int8"]
    assert training(["compare", *arguments]) == 0
    rows = json.loads(table.read_text())
    capsys.readouterr()
    assert [row["name"].split(",")[0] for row in rows] == [
        "timing measures + boosted trees",
        "conformer",
        "run in int8",
        "run",
    ]
    assert all(row["microsATick"] > 0 for row in rows)
    assert training(["probe", "--run", str(run), "--cache", str(work / "cases")]) == 0
    assert set(json.loads(capsys.readouterr().out)["networkBySource"]) == {"human"}
    target = work / "weights/amd.safetensors"
    assert training(["export", "--run", str(run), "--version", "9.9", "--to", str(target)]) == 0
    assert load(target).version == "9.9"
    assert str(work) not in (work / "weights/amd.json").read_text()
    assert training(["export", "--run", str(run), "--version", "9.10", "--to", str(target)]) == 0
    assert load(work / "weights/amd.previous.safetensors").version == "9.9"
    assert training(["export", "--run", str(work / "none"), "--version", "1", "--to", str(target)]) == 1
    with pytest.raises(CheckpointError):
        export.export(work / "none", "1", target)
    assert load(target).version == "9.10"


def test_cases_for_evaluation(work, tmp_path, capsys):
    arguments = ["--data", str(work / "data"), "--count", "12", "--out", str(tmp_path / "cases")]
    assert training(["cases", *arguments]) == 0
    listed = evaluate.read_cases(tmp_path / "cases/cases.tsv")
    assert len(listed) == 12
    assert {"kind", "voice", "noise", "codec"} == {name for case in listed for name, _ in case.subsets}
    body, _ = evaluate.evaluate(load(), listed)
    assert body["timingRule"]["ran"] is True
    assert training(["cases", *arguments, "--split", "test"]) == 1
    assert "no speech of split 'test'" in capsys.readouterr().err


def recordings(folder):
    """A folder as `fsbridge amd label` leaves it: answers and labels.csv; one file is much shorter than a case."""
    folder.mkdir()
    lines = ["file,label,speaker,split"]
    for index in range(8):
        split = "train" if index < 5 else "dev" if index < 7 else "test"
        label = "live_person" if index % 2 else "answering_machine"
        seconds = 1.5 if index == 0 else 4.0
        said = sounds.voice(0.8 if index % 2 else seconds, index, 120 + 20 * index)
        audio = np.zeros(int(seconds * 8_000), np.float32)
        audio[: len(said)] = said
        soundfile.write(folder / f"call{index}.wav", audio, 8_000)
        lines.append(f"call{index}.wav,{label},caller-{index},{split}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_whole_calls_train_as_they_are(tmp_path, capsys):
    root = recordings(tmp_path / "answers")
    mine = tmp_path / "mine"
    arguments = ["recordings", "--root", str(root), "--labels", str(root / "labels.csv"), "--out", str(mine)]
    assert training(["import", *arguments]) == 0
    data = train_data([mine], tmp_path / "cache", 0, 0.2)
    assert len(data) == 5
    assert set(data.kind) == {"call"}
    assert sorted(data.heard_ms) == [1_500, 4_000, 4_000, 4_000, 4_000]
    assert (data.first_word_ms < 300).all()
    assert (data.first_word_ms >= 0).all()
    random = np.random.default_rng(3)
    batch = batch_of(data, np.arange(5), torch.device("cpu"), random)
    heard = batch["heard"].sum(dim=1)
    short = int(np.argmin(data.heard_ms))
    assert heard.max() <= 40
    assert heard[short] == heard.min(), "what stands behind a recording's end counts for nothing"
    assert not batch["known"].any(), "nobody wrote down who speaks when"

    config = Config(
        data=(str(mine),), conv_channels=8, embedding=8, listening=8, hidden=8, cases=0, dev_cases=0, epochs=4,
        batch=5, processes=1, dropout=0.0, rate=0.02,
    )  # fmt: skip
    train.train(config, tmp_path / "run", tmp_path / "cache", quiet=True)
    lines = curves(tmp_path / "run")
    assert lines[-1]["train_classes"] < lines[0]["train_classes"]
    assert lines[-1]["train_speech"] == 0.0
    assert training(["tune", "--run", str(tmp_path / "run"), "--tries", "2", "--report"]) == 0
    capsys.readouterr()
    assert training(["cases", "--data", str(mine), "--split", "test", "--calls", "--out", str(tmp_path / "list")]) == 0
    assert [case.label for case in evaluate.read_cases(tmp_path / "list/cases.tsv")] == [Verdict.LIVE_PERSON]


def test_recordings_are_repeated_to_their_share_beside_composed_answers(work, tmp_path):
    root = recordings(tmp_path / "answers")
    importers.copy_in(importers.recordings(root, root / "labels.csv"), tmp_path / "mine")
    folders = [work / "data", tmp_path / "mine"]
    few = train_data(folders, tmp_path / "cache", 48, 0.2)
    assert Counter(few.kind)["call"] == 10, "two of each of five: nearest to a fifth of all"
    assert Counter(train_data(folders, tmp_path / "cache", 48, 0.9).kind)["call"] == 5 * MOST_REPEATS
    held = dev_data(folders, tmp_path / "cache", 24)
    assert Counter(held.kind)["call"] == 2
    labelled = [case for case in tune.dev_cases(held) if dict(case.subsets)["kind"] == "call"]
    assert not any(case.beep_known for case in labelled)


def test_bad_data_is_refused_in_words(work, tmp_path, capsys):
    assert training(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    assert "manifest.tsv: cannot be read" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    sounds.make(tmp_path / "other")
    text = (tmp_path / "other/manifest.tsv").read_text().replace("\ttrain\t", "\tdev\t")
    (tmp_path / "other/manifest.tsv").write_text(text)
    with pytest.raises(ManifestError, match="two splits"):
        load_clips([work / "data", tmp_path / "other"])
    assert load_clips([tmp_path]) == load_clips([tmp_path / "other"]), "a folder of folders"
    (tmp_path / "other/manifest.tsv").write_text(text.replace("\tdev\t", "\ttest\t"))
    with pytest.raises(ManifestError, match="no clip of split 'dev'"):
        list(shards([tmp_path / "other"], tmp_path / "c", DEV, "dev", 1, 4))
