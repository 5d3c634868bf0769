"""Reading a kept recording: a plain file of a bounded size, or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fsbridge.call.running import sound

pytestmark = pytest.mark.unit


def test_a_recording_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\x00" * 1000)
    assert sound.read(path) == b"RIFF\x00" * 1000


def test_what_is_no_plain_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "link.wav").symlink_to(tmp_path / "secret")
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("link.wav", "folder.wav", "pipe.wav", "missing.wav", "none/missing.wav"):
        assert sound.read(tmp_path / name) is None


def test_what_is_too_large_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "MAX_BYTES", 10)
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * 10)
    assert sound.read(path) == b"x" * 10
    path.write_bytes(b"x" * 11)
    assert sound.read(path) is None


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(sound.SoundError, match="Not a directory"):
        sound.read(tmp_path / "file" / "a.wav")
