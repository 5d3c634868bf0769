"""Secrets at rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.errors import ConfigError
from fsbridge.store.base import StoreError
from fsbridge.store.secrets import KEY_FILE, SecretBox, load_box
from tests.unit.store.test_database import small_files

pytestmark = pytest.mark.unit

BOX = SecretBox(Fernet.generate_key())


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_round_trip(text: str) -> None:
    sealed = BOX.seal(text)
    assert BOX.open(sealed) == text
    assert sealed.isascii()


@pytest.mark.parametrize("sealed", ["", "rubbish", "\u00fc", SecretBox(Fernet.generate_key()).seal("x")])
def test_another_key_or_rubbish_is_refused_in_words(sealed: str) -> None:
    with pytest.raises(StoreError, match="secret_key"):
        BOX.open(sealed)


@pytest.mark.parametrize("key", ["short", "x" * 44, ""])
def test_a_bad_key_is_a_fault_of_the_configuration(key: str) -> None:
    with pytest.raises(ConfigError, match=r"service\.secret_key"):
        SecretBox(key)


def test_the_key_is_made_once_and_for_us_only(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "var"
    sealed = load_box(None, folder).seal("x")
    assert load_box(None, folder).open(sealed) == "x"
    assert (folder / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_key_that_could_not_be_written_leaves_no_half_of_it(tmp_path: Path) -> None:
    with small_files(5), pytest.raises(StoreError, match="cannot be read or made"):
        load_box(None, tmp_path)
    assert list(tmp_path.iterdir()) == []
    load_box(None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_configured_key_makes_no_file(tmp_path: Path) -> None:
    load_box(Fernet.generate_key().decode(), tmp_path)
    assert not (tmp_path / KEY_FILE).exists()


def test_a_key_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be read or made"):
        load_box(None, tmp_path / "file" / "var")


def test_a_spoilt_key_file(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("spoilt")
    with pytest.raises(ConfigError, match="not a Fernet key"):
        load_box(None, tmp_path)
