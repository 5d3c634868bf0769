"""The wordings: every language whole, every template speakable, every mistake still a text."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.words.phrases import KINDS, Kind
from training.words import grammar
from training.words.hearing import cut, heard

pytestmark = pytest.mark.unit

LANGUAGES = {spoken.language: spoken for spoken in grammar.languages()}


def test_the_languages_that_the_card_names() -> None:
    assert set(LANGUAGES) == {"de", "en", "es", "fr", "it", "pt", "ru"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_kind(language: str) -> None:
    spoken = LANGUAGES[language]
    assert set(spoken.kinds) == set(KINDS)
    assert all(len(templates) >= 7 for templates in spoken.kinds.values())
    assert len({text for templates in spoken.kinds.values() for text in templates}) == sum(
        len(set(templates)) for templates in spoken.kinds.values()
    ), "a template stands under two kinds"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_template_becomes_a_text(language: str) -> None:
    spoken = LANGUAGES[language]
    chance = random.Random(5)
    for templates in spoken.kinds.values():
        for template in templates:
            text = spoken.text(template, chance)
            assert text
            assert "{" not in text
            assert "|" not in text
            assert '"' not in text


def test_a_seed_is_a_seed() -> None:
    spoken = LANGUAGES["en"]
    template = spoken.kinds[Kind.VOICEMAIL][0]
    assert spoken.text(template, random.Random(4)) == spoken.text(template, random.Random(4))


@given(st.text(max_size=120), st.integers())
def test_what_was_heard_of_anything_is_a_text(text: str, seed: int) -> None:
    assert isinstance(heard(text, random.Random(seed)), str)


@given(st.lists(st.sampled_from(["please", "leave", "your", "message"]), min_size=4, max_size=12), st.integers())
def test_a_cut_text_begins_as_the_whole_does(words: list[str], seed: int) -> None:
    left = cut(" ".join(words), random.Random(seed)).split()
    assert left[0] == words[0]
    assert left[1] == words[1] or len(left) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("kinds: {person: hello}", "slots"),
        ("slots: {a: b}\nkinds: {nobody: hello}", "nobody"),
        ("slots: {a: b}\nkinds: {person: '{c}'}", "no slot c"),
        ("slots: [", "slots"),
    ],
)
def test_a_faulty_file_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "xx.yaml"
    path.write_text(content)
    with pytest.raises(grammar.GrammarError, match=r"xx\.yaml") as refused:
        grammar.read(path)
    assert words in str(refused.value) or "expected" in str(refused.value)


def test_a_circle_of_slots_ends_in_words(tmp_path: Path) -> None:
    path = tmp_path / "xx.yaml"
    path.write_text("slots: {a: '{a} more'}\nkinds: {person: '{a}'}")
    spoken = grammar.read(path)
    with pytest.raises(grammar.GrammarError, match="leads to itself"):
        spoken.text("{a}", random.Random(1))
