"""A recogniser for the first seconds of an answer: audio so far → text, language, how sure.

Whisper by CTranslate2, through faster-whisper's features and tokenizer. The features are cut to what was heard instead
of being padded to the 30 s that Whisper was trained on: a look at 3 s costs a fifteenth, and the words are the same.
What that brings with it, the last words said over and over where the sound was cut, is bounded by the length of the
sound here and taken out in `words.phrases`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

IN_RATE: Final = 8_000
RATE: Final = 16_000
HOP: Final = 160
MAX_SECONDS: Final = 8.0
"""The latest of a longer sound is not looked at: who has not said what he is by then says it in no look."""
MIN_SECONDS: Final = 0.3
TAIL_S: Final = 0.3
"""Silence put behind the sound, so that a last word that is over is written as over."""
TOKENS_A_SECOND: Final = 7.0
MOST_TOKENS: Final = 60


class EarsUnavailable(Exception):
    """There is no recogniser here; the message says what is missing and what installs it."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood. `language` is ISO 639-1; `sure` 0…1 is the mean probability of a token.

    `speech` 0…1 is the recogniser's own word that there was any.
    """

    text: str
    language: str
    sure: float
    speech: float


NOTHING: Final = Transcript("", "", 0.0, 0.0)


class Ears(Protocol):
    """What can write words down."""

    def look(self, samples: NDArray[np.float32]) -> Transcript:
        """The words of mono samples at 8 kHz, float32 [n] in -1…1; blocks for as long as it takes."""


class WhisperEars:
    """faster-whisper's model in one thread. Not for two threads at a time."""

    def __init__(self, folder: Path, languages: Sequence[str] = ()) -> None:
        """`folder` holds the model; `languages` are the only ones thought of, if any. Raises EarsUnavailable."""
        try:
            import ctranslate2
            from faster_whisper import WhisperModel
            from faster_whisper.tokenizer import Tokenizer
        except ImportError as error:
            raise EarsUnavailable(
                f"no recogniser: {error.name or error} is missing; pip install 'fsbridge[words]' brings it"
            ) from error
        try:
            self._model: Any = WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise EarsUnavailable(f"{folder}: no model that can be loaded: {error}") from error
        self._view = ctranslate2.StorageView.from_array
        self._languages = tuple(languages)
        self._tokenizers: dict[str, Any] = {}
        self._tokenizer_of = Tokenizer
        self.multilingual: bool = self._model.model.is_multilingual

    def look(self, samples: NDArray[np.float32]) -> Transcript:
        """See `Ears`. Silence and sounds shorter than `MIN_SECONDS` are `NOTHING`."""
        heard = samples[: int(MAX_SECONDS * IN_RATE)]
        if len(heard) < MIN_SECONDS * IN_RATE or not np.any(heard):
            return NOTHING
        sound = np.concatenate([doubled(heard), np.zeros(int(TAIL_S * RATE), np.float32)])
        features = self._model.feature_extractor(sound, padding=0)[:, : len(sound) // HOP]
        encoded = self._model.model.encode(self._view(np.ascontiguousarray(features[None], np.float32)))
        language = self._language(encoded)
        tokenizer = self._tokenizer(language)
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        most = min(MOST_TOKENS, 4 + math.ceil(TOKENS_A_SECOND * len(heard) / IN_RATE))
        result = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=len(prompt) + most,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
        )[0]
        return Transcript(
            text=tokenizer.decode(result.sequences_ids[0]).strip(),
            language=language,
            sure=math.exp(min(0.0, result.scores[0])),
            speech=1.0 - result.no_speech_prob,
        )

    def _language(self, encoded: object) -> str:
        if not self.multilingual:
            return "en"
        ranked = self._model.model.detect_language(encoded)[0]
        names = [name.strip("<|>") for name, _ in ranked]
        return next((name for name in names if not self._languages or name in self._languages), "en")

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            self._tokenizers[language] = self._tokenizer_of(
                self._model.hf_tokenizer, self.multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]


def doubled(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """8 kHz → 16 kHz, band-limited (by FFT): float32 [n] → float32 [2 n]."""
    count = len(samples)
    spectrum = np.fft.rfft(samples)
    wide = np.zeros(count + 1, np.complex128)
    wide[: len(spectrum)] = spectrum
    return (2.0 * np.fft.irfft(wide, 2 * count)).astype(np.float32)
