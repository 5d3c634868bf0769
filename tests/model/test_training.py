"""Training end to end on a made-up corpus: it learns, resumes, is deterministic, tunes, exports."""

import json

import pytest

from amd_model import evaluate
from amd_model.checkpoint import CheckpointError, load
from tests.unit.training import corpus
from training import cases, compare, export, probe, train, tune
from training.compose import DEV
from training.dataset import load_clips, shards
from training.manifest import ManifestError
from training.train import Config

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    (folder / "data").mkdir()
    corpus.make(folder / "data")
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


def test_tune_compare_and_export(work, run, capsys):
    assert tune.main(["--run", str(run), "--cache", str(work / "cases"), "--tries", "4", "--report"]) == 0
    assert "Confusion" in capsys.readouterr().out
    assert json.loads((run / "dev.json").read_text())["cases"] == 24
    table = work / "table.json"
    arguments = ["--run", str(run), "--trees", "--cache", str(work / "cases"), "--tries", "2", "--json", str(table)]
    assert compare.main(arguments) == 0
    rows = json.loads(table.read_text())
    capsys.readouterr()
    assert [row["name"].split(",")[0] for row in rows] == ["timing measures + boosted trees", "run"]
    assert all(row["microsATick"] > 0 for row in rows)
    assert probe.main(["--run", str(run), "--cache", str(work / "cases")]) == 0
    assert set(json.loads(capsys.readouterr().out)["networkBySource"]) == {"human"}
    target = work / "weights/amd.safetensors"
    assert export.main(["--run", str(run), "--version", "9.9", "--to", str(target)]) == 0
    assert load(target).version == "9.9"
    assert str(work) not in (work / "weights/amd.json").read_text()
    assert export.main(["--run", str(run), "--version", "9.10", "--to", str(target)]) == 0
    assert load(work / "weights/amd.previous.safetensors").version == "9.9"
    assert export.main(["--run", str(work / "none"), "--version", "1", "--to", str(target)]) == 1
    with pytest.raises(CheckpointError):
        export.export(work / "none", "1", target)
    assert load(target).version == "9.10"


def test_cases_for_evaluation(work, tmp_path, capsys):
    arguments = ["--data", str(work / "data"), "--count", "12", "--out", str(tmp_path / "cases")]
    assert cases.main(arguments) == 0
    listed = evaluate.read_cases(tmp_path / "cases/cases.tsv")
    assert len(listed) == 12
    assert {"kind", "voice", "noise", "codec"} == {name for case in listed for name, _ in case.subsets}
    body, _ = evaluate.evaluate(load(), listed)
    assert body["timingRule"]["ran"] is True
    assert cases.main([*arguments, "--split", "test"]) == 1
    assert "no speech of split 'test'" in capsys.readouterr().err


def test_bad_data_is_refused_in_words(work, tmp_path, capsys):
    assert train.main(["--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 1
    assert "manifest.tsv: cannot be read" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    corpus.make(tmp_path / "other")
    text = (tmp_path / "other/manifest.tsv").read_text().replace("\ttrain\t", "\tdev\t")
    (tmp_path / "other/manifest.tsv").write_text(text)
    with pytest.raises(ManifestError, match="two splits"):
        load_clips([work / "data", tmp_path / "other"])
    assert load_clips([tmp_path]) == load_clips([tmp_path / "other"]), "a folder of folders"
    (tmp_path / "other/manifest.tsv").write_text(text.replace("\tdev\t", "\ttest\t"))
    with pytest.raises(ManifestError, match="no clip of split 'dev'"):
        list(shards([tmp_path / "other"], tmp_path / "c", DEV, "dev", 1, 4))
