"""Texts as phones: by espeak-ng where it is, and nothing where it is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from training.corpus.manifest import Clip, ManifestError
from training.corpus.phones import PHONES, lexicon, phones_of

pytestmark = pytest.mark.unit

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def _clip(text: str, language: str = "en") -> Clip:
    return Clip(Path("a.wav"), "live", "s", "x", "CC0", "train", text, language)


def _signs(phones: tuple[int, ...]) -> str:
    return "".join(PHONES[number - 1] for number in phones)


def test_stress_and_length_are_left_out_and_near_sounds_taken_for_one() -> None:
    assert _signs(phones_of("həlˈoʊ")) == "həloʊ"
    assert _signs(phones_of("pɛʁˈsɔ̃n")) == "pɛɹsɔn"
    assert phones_of("ˈː 1-") == ()
    assert 0 not in phones_of(PHONES)
    assert len(set(phones_of(PHONES))) == len(PHONES)


@needs_espeak
def test_every_text_with_a_language_is_spelt_once_whatever_its_punctuation() -> None:
    texts = ["Hello?", "Please. Leave; a message!\tThanks", "...", "x" * 2_000, "¿Sí?"]
    clips = [_clip(text) for text in texts] + [_clip("bonjour", "fr"), _clip("no language", ""), _clip("", "en")]
    found = lexicon(clips)
    assert set(found) == {*(("en", text) for text in texts), ("fr", "bonjour")}
    assert _signs(found["en", "Hello?"]) == "həloʊ"
    assert _signs(found["en", texts[1]]).startswith("pliz")
    assert found["en", "..."] == ()
    assert found["fr", "bonjour"] != lexicon([_clip("bonjour")])["en", "bonjour"]


@needs_espeak
def test_a_language_that_nobody_speaks_is_named() -> None:
    with pytest.raises(ManifestError, match="'klingon-x'"):
        lexicon([_clip("nuqneH", "klingon-x")])


def test_without_the_program_nothing_is_spelt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lexicon([_clip("Hello?")]) == {}
