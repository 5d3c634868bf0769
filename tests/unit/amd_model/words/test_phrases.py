"""What words tell: normalising, hashing, probabilities, the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.words.phrases import (
    BUCKETS,
    KINDS,
    LIVE,
    MACHINE,
    Kind,
    Phrases,
    PhrasesError,
    buckets,
    live_share,
    load,
    words_of,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello?", ["hello", "?"]),
        ("Hello Hello Hello Hello", ["hello"]),
        ("She has it. She has it. She has", ["she", "has", "it", "she", "has"]),
        ("Extension 4 4 4 4", ["extension", "0"]),
        ("Buenos días, ¿dígame?", ["buenos", "dias", "digame", "?"]),
        ("Алло, слушаю", ["алло", "слушаю"]),
        ("I can’t come", ["i", "can't", "come"]),
        ("", []),
        ("… ♪", []),
    ],
)  # fmt: skip
def test_words_are_what_was_said_once(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(
    st.lists(st.sampled_from(["please", "leave", "a", "message", "hello"]), min_size=1, max_size=6), st.integers(2, 5)
)
def test_a_loop_is_its_first_round(words: list[str], times: int) -> None:
    once = words_of(" ".join(words))
    assert words_of(" ".join(words * times)) in (once, words_of(" ".join(once * 2)))


@given(st.text(max_size=300))
def test_any_text_has_probabilities(text: str) -> None:
    rng = np.random.default_rng(7)
    model = Phrases(rng.normal(size=(BUCKETS, len(KINDS))).astype(np.float32), {})
    judged = model.judge(text)
    assert judged.shape == (len(KINDS),)
    assert judged.sum() == pytest.approx(1.0)
    assert (judged >= 0).all()
    assert 0.0 <= live_share(judged) <= 1.0
    rows = buckets(text)
    assert ((rows >= 0) & (rows < BUCKETS)).all()
    assert len(set(rows.tolist())) == len(rows)


def test_without_a_word_nothing_is_told() -> None:
    judged = load().judge("... ♪")
    assert KINDS[int(judged.argmax())] is Kind.OTHER
    assert live_share(judged) == 0.5


def test_kinds_are_live_machine_or_neither() -> None:
    assert LIVE | MACHINE | {Kind.OTHER} == set(Kind)
    assert not LIVE & MACHINE


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Hello?", Kind.PERSON),
        ("Hello, this is Peter speaking", Kind.PERSON),
        ("Good morning, Fairview Dental, how can I help you?", Kind.BUSINESS),
        ("You've reached Tom, please leave a message after the beep", Kind.VOICEMAIL),
        ("The mailbox is full and cannot accept any messages", Kind.MAILBOX_FULL),
        ("The number you have dialed is not in service", Kind.CARRIER_ANNOUNCEMENT),
        ("Please state your name and the reason for your call", Kind.CALL_SCREENING),
        ("Thank you for calling. For sales press one, for billing press two", Kind.MENU),
        ("¿Diga?", Kind.PERSON),
        ("Por favor deje su mensaje después del tono", Kind.VOICEMAIL),
        ("Vous êtes bien sur la messagerie de Claire, laissez un message", Kind.VOICEMAIL),
        ("Schneider am Apparat", Kind.PERSON),
        ("Bitte hinterlassen Sie eine Nachricht nach dem Signalton", Kind.VOICEMAIL),
        ("Pronto, chi parla?", Kind.PERSON),
        ("Deixe o seu recado após o sinal", Kind.VOICEMAIL),
        ("Абонент временно недоступен", Kind.CARRIER_ANNOUNCEMENT),
        ("Алло, слушаю", Kind.PERSON),
    ],
)
def test_the_shipped_model_knows_what_nobody_mistakes(text: str, kind: Kind) -> None:
    judged = load().judge(text)
    assert KINDS[int(judged.argmax())] is kind


def test_a_model_is_the_same_from_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(BUCKETS, len(KINDS))).astype(np.float16).astype(np.float32)
    card = {"kinds": [str(kind) for kind in KINDS], "version": "9"}
    Phrases(weights, card).save(tmp_path / "phrases.safetensors")
    again = load(tmp_path / "phrases.safetensors")
    assert again.card == card
    assert np.array_equal(again.weights, weights)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhrasesError, match="no phrase model"):
        load(tmp_path / "none.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(PhrasesError, match="no phrase model"):
        load(tmp_path / "junk.safetensors")
    Phrases(np.zeros((8, 2), np.float32), {"kinds": ["a", "b"]}).save(tmp_path / "other.safetensors")
    with pytest.raises(PhrasesError, match="another shape"):
        load(tmp_path / "other.safetensors")
