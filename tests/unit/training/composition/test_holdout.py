"""Speakers held out for a test, and texts that straddle."""

import pytest

from tests.unit.training import sounds
from training.__main__ import main as training
from training.composition import holdout
from training.composition.dataset import load_clips
from training.corpus.manifest import Clip, ManifestError, read

pytestmark = pytest.mark.unit


def clip(folder, speaker, text, kind="live", split="train"):
    return Clip(folder / "a.wav", kind, speaker, "made up", "CC0", split, text)


def test_a_text_of_the_test_leaves_the_other_splits_unless_everybody_says_it(tmp_path):
    clips = [
        clip(tmp_path, "ann", "Good morning, this is Ann."),
        clip(tmp_path, "ann", "Hello?"),
        clip(tmp_path, "bob", "good morning this is Ann"),
        clip(tmp_path, "bob", "Hello?"),
        clip(tmp_path, "bob", "Good morning, this is Ann.", kind="speech"),
        clip(tmp_path, "eve", "Good morning, this is Ann!", split="dev"),
    ]
    kept = holdout.hold_out(clips, ["an*"])
    assert [(one.speaker, one.split, one.text) for one in kept] == [
        ("ann", "test", "Good morning, this is Ann."),
        ("ann", "test", "Hello?"),
        ("bob", "train", "Hello?"),
        ("bob", "train", "Good morning, this is Ann."),
    ]


def test_a_name_that_nobody_bears_is_refused(tmp_path):
    with pytest.raises(ManifestError, match="zoe"):
        holdout.hold_out([clip(tmp_path, "ann", "Hello?")], ["zoe"])


def test_the_manifest_leads_to_the_same_audio(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    sounds.make(tmp_path / "data")
    arguments = ["--data", str(tmp_path / "data"), "--speaker", "train-0", "--out", str(tmp_path / "held")]
    assert training(["holdout", *arguments]) == 0
    clips = read(tmp_path / "held/manifest.tsv")
    assert {one.split for one in clips if one.speaker == "train-0"} == {"test"}
    assert {one.file for one in clips} == {one.file.resolve() for one in load_clips([tmp_path / "data"])}
    assert training(["holdout", *arguments, "--speaker", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err
