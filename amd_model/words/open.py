"""A reader of words in this process, by the name of its recogniser: for evaluations and single files."""

from __future__ import annotations

from pathlib import Path

from amd_model.words.catalogue import UnknownModel
from amd_model.words.ears import EarsUnavailable, WhisperEars
from amd_model.words.install import InstallError, installed
from amd_model.words.look import Reader
from amd_model.words.phrases import SHIPPED, PhrasesError, load


class NoWords(Exception):
    """There is no reader to be had; the message says why, and what to do."""


def reader(name_or_folder: str, phrases: Path = SHIPPED) -> Reader:
    """The reader with that recogniser. Raises NoWords."""
    try:
        return Reader(WhisperEars(installed(name_or_folder)), load(phrases))
    except (UnknownModel, InstallError, EarsUnavailable, PhrasesError) as error:
        raise NoWords(str(error)) from error
