"""One list of sounds: a TSV with a header, one clip a line, and the rules that keep an evaluation honest.

Columns: ``file`` (or ``path``; relative to the manifest), ``kind``, ``speaker``, ``source``, ``licence``, ``split``
and, if known, ``text`` and its ``language`` (``en``, ``es`` …). A kind is raw material (``speech`` fits either class,
``live`` and ``machine`` are what a person or a machine says, ``fragment`` is a piece of a machine's sentence,
``music``) or, for whole recordings of answered calls, ``call:`` and a verdict. A speaker belongs to one split.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from amd_model.verdict import Verdict

CALL_PREFIX: Final = "call:"
SPLITS: Final = ("train", "dev", "test")
KINDS: Final = ("speech", "live", "machine", "fragment", "music", *(f"{CALL_PREFIX}{v.value}" for v in Verdict))
COLUMNS: Final = ("file", "kind", "speaker", "source", "licence", "split", "text", "language")
_REQUIRED: Final = COLUMNS[:-2]


class ManifestError(ValueError):
    """A manifest that must not be trained on; the message names the file, the line and what to change."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One sound file and what is known of it."""

    file: Path
    kind: str
    speaker: str
    source: str
    licence: str
    split: str
    text: str = ""
    language: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """Who answered in a recording of a whole call; None for raw material."""
        return Verdict(self.kind.removeprefix(CALL_PREFIX)) if self.kind.startswith(CALL_PREFIX) else None

    @property
    def synthetic(self) -> bool:
        """True for text-to-speech: its figures are reported apart from people's."""
        return self.source.startswith(("kokoro", "piper", "tts", "espeak", "flite"))


def read(path: Path) -> list[Clip]:
    """The clips of a manifest. Raises ManifestError: missing file, unknown kind or split, a speaker in two splits."""
    clips: list[Clip] = []
    homes: dict[str, tuple[str, int]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            names = ["file" if name == "path" else name for name in reader.fieldnames or []]
            reader.fieldnames = names
            if missing := [name for name in _REQUIRED if name not in names]:
                raise ManifestError(f"{path.name}, line 1: no column {', '.join(missing)}")
            for row in reader:
                clips.append(_clip(path, reader.line_num, row, homes))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path.name}: cannot be read: {error}") from error
    return clips


def write(path: Path, clips: Iterable[Clip]) -> None:
    """The inverse; files inside the manifest's folder are written relative to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write("\t".join(COLUMNS) + "\n")
        for clip in clips:
            inside = clip.file.is_relative_to(path.parent)
            file = clip.file.relative_to(path.parent) if inside else clip.file
            values = (
                str(file), clip.kind, clip.speaker, clip.source, clip.licence, clip.split, clip.text, clip.language,
            )  # fmt: skip
            stream.write("\t".join(" ".join(value.split()) for value in values) + "\n")


def _clip(path: Path, line: int, row: dict[str, str | None], homes: dict[str, tuple[str, int]]) -> Clip:
    where = f"{path.name}, line {line}"
    values = {name: (row.get(name) or "").strip() for name in COLUMNS}
    for name in _REQUIRED:
        if not values[name]:
            raise ManifestError(f"{where}: {name} is empty")
    if values["kind"] not in KINDS:
        raise ManifestError(f"{where}: unknown kind {values['kind']!r}; known are {', '.join(KINDS)}")
    if values["split"] not in SPLITS:
        raise ManifestError(f"{where}: unknown split {values['split']!r}; known are {', '.join(SPLITS)}")
    split, first = homes.setdefault(values["speaker"], (values["split"], line))
    if split != values["split"]:
        raise ManifestError(
            f"{where}: speaker {values['speaker']!r} is in {values['split']} here and in {split} on line {first}; "
            "a speaker belongs to one split"
        )
    file = path.parent / values["file"]
    if not file.is_file():
        raise ManifestError(f"{where}: no such file {values['file']}")
    return Clip(file, **{name: values[name] for name in COLUMNS if name != "file"})
