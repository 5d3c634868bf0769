"""Texts → phones: what the network's ears are taught to spell out, beside the verdict, where a clip's text is known.

espeak-ng turns texts to IPA; without it on the PATH nothing is spelt and training goes on with the verdicts alone.
Phones are counted from 1; 0 is nothing (the blank of connectionist temporal classification).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from training.corpus.manifest import Clip, ManifestError

Phones = tuple[int, ...]

PHONES: Final = "pbtdkɡfvθðszʃʒhmnŋlɹjwxiɪeɛæaɑʌɔoʊuəɜy"
"""English's, and what the prompts' other languages add that no near one can stand for."""
_NEAR: Final = dict(zip("rɾʁʀɻgɐᵻɒɚɝɬɫɭʎɲɟçɣχβøœɨɵɕʑʂʐʋ", "ɹɹɹɹɹɡəɪɔɜɜlllljjxxxbyyiʊʃʒʃʒv", strict=True))
_NUMBERS: Final = {sign: 1 + index for index, sign in enumerate(PHONES)}
_NUMBERS.update({sign: _NUMBERS[near] for sign, near in _NEAR.items()})
_DEADLINE_S: Final = 300
_VOICES: Final = {"en": "en-us", "fr": "fr-fr"}  # espeak-ng's names, where they are not the language's own


def available() -> bool:
    """Whether anything can be spelt here."""
    return shutil.which("espeak-ng") is not None


def phones_of(ipa: str) -> Phones:
    """The phones of an IPA transcription; stress, length and whatever is in no table are left out."""
    return tuple(_NUMBERS[sign] for sign in ipa if sign in _NUMBERS)


def lexicon(clips: Iterable[Clip]) -> dict[tuple[str, str], Phones]:
    """(language, text) of every clip that has both → its phones. Empty without espeak-ng.

    Raises ManifestError for a language that espeak-ng does not speak.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        if clip.text and clip.language:
            wanted[clip.language].add(clip.text)
    if not available():
        return {}
    found = {}
    for language, texts in wanted.items():
        ordered = sorted(texts)
        for text, ipa in zip(ordered, _transcribed(language, ordered), strict=True):
            found[language, text] = phones_of(ipa)
    return found


def _transcribed(language: str, texts: list[str]) -> list[str]:
    """IPA of each, by one process: a line a text. Punctuation, at which espeak-ng begins another line, goes first."""
    plain = [" ".join(re.findall(r"[\w']+", text)) for text in texts]
    result = subprocess.run(
        ["espeak-ng", "-q", "--ipa", "-v", _VOICES.get(language, language)],
        input="\n".join(plain) + "\n",
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    if result.returncode != 0:
        raise ManifestError(f"language {language!r}: espeak-ng says: {result.stderr.strip()[:200]}")
    lines = result.stdout.splitlines()
    if len(lines) == len(texts):
        return lines
    if len(texts) == 1:
        return [" ".join(lines)]
    half = len(texts) // 2  # one of them came out as several lines, or as none
    return _transcribed(language, texts[:half]) + _transcribed(language, texts[half:])
