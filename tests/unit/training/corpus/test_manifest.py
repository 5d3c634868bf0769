"""A manifest is refused with its line when it would spoil an evaluation."""

import pytest

from tests.unit.training import sounds
from training.corpus.manifest import COLUMNS, ManifestError, read, write

pytestmark = pytest.mark.unit

HEAD = "file\tkind\tspeaker\tsource\tlicence\tsplit\ttext\n"
GOOD = 'a.wav\tspeech\ts1\tx\tCC0\ttrain\tsay "it"\n'


@pytest.fixture
def folder(tmp_path):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def manifest(folder, text):
    path = folder / "manifest.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def test_round_trip(tmp_path):
    clips = read(sounds.make(tmp_path) / "manifest.tsv")
    write(tmp_path / "again.tsv", clips)
    assert read(tmp_path / "again.tsv") == clips
    assert (tmp_path / "again.tsv").read_text().startswith("\t".join(COLUMNS))


def test_path_is_an_alias_and_quotes_are_text(folder):
    (clip,) = read(manifest(folder, HEAD.replace("file", "path") + GOOD))
    assert (clip.file, clip.text, clip.synthetic) == (folder / "a.wav", 'say "it"', False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file\tkind\n", "line 1: no column speaker"),
        (HEAD + GOOD + GOOD.replace("a.wav", "c.wav"), "line 3: no such file c.wav"),
        (HEAD + GOOD.replace("speech", "song"), "line 2: unknown kind 'song'"),
        (HEAD + GOOD.replace("train", "all"), "line 2: unknown split 'all'"),
        (HEAD + GOOD.replace("CC0", ""), "line 2: licence is empty"),
        (HEAD + GOOD + GOOD.replace("a.wav", "b.wav").replace("train", "dev"), "line 3: speaker 's1' is in dev here"),
    ],
)
def test_refusals_name_the_line(folder, text, words):
    with pytest.raises(ManifestError, match=words):
        read(manifest(folder, text))


def test_missing_manifest(tmp_path):
    with pytest.raises(ManifestError, match="cannot be read"):
        read(tmp_path / "manifest.tsv")
