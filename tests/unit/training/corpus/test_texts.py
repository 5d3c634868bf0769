"""The grammar of texts for synthetic voices: whole, different, repeatable, and readable by the importer."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.__main__ import main as training
from training.corpus import texts

pytestmark = pytest.mark.unit


@given(template=st.sampled_from([*texts.LIVE, *texts.MACHINE]), seed=st.integers(0, 2**32))
@settings(max_examples=300)
def test_every_template_fills_to_a_clean_sentence(template: str, seed: int) -> None:
    text = texts.filled(template, random.Random(seed))
    assert not re.search(r"[{}|]", text)
    assert not re.search(r"\s[.,?!]|\.\.|\s\s|[?!]\.", text)
    assert text == text.strip()
    assert text[0].isupper()


@pytest.mark.parametrize("kind", ["live", "machine"])
def test_texts_differ_and_repeat_with_the_seed(kind: str) -> None:
    drawn = list(texts.texts(kind, 300, 5))
    assert len(drawn) == len(set(drawn)) == 300
    assert drawn == list(texts.texts(kind, 300, 5))
    assert drawn != list(texts.texts(kind, 300, 6))


def test_no_text_is_both_a_persons_and_a_machines() -> None:
    assert not set(texts.texts("live", 600, 1)) & set(texts.texts("machine", 600, 1))


def test_an_unknown_filling_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        texts.filled("Hello, {nobody}", random.Random(1))


def test_the_command_writes_what_the_importer_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "texts.tsv"
    assert training(["texts", "--count", "20", "--seed", "3", "--out", str(out)]) == 0
    rows = [line.split("\t") for line in out.read_text(encoding="utf-8").splitlines()]
    assert [kind for kind, _ in rows] == ["live"] * 20 + ["machine"] * 20
    assert "40 texts" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        training(["texts", "--count", "0", "--out", str(out)])
