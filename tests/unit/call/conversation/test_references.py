"""The recordings that `audio_like` names: any file that can be decoded, or why not, in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from fsbridge.call.conversation.services import read_reference

pytestmark = pytest.mark.unit

WAVE = (0.3 * np.sin(np.arange(16_000) / 3)).astype(np.float32)


@pytest.mark.parametrize(("name", "coding"), [("a.wav", "GSM610"), ("a.flac", "PCM_16"), ("a.wav", "G721_32")])
def test_what_can_be_decoded_is_read(tmp_path: Path, name: str, coding: str) -> None:
    soundfile.write(tmp_path / name, WAVE, 8_000, subtype=coding)
    found = read_reference(tmp_path / name)
    assert 16_000 <= len(found) < 16_400
    assert float(np.abs(found).max()) > 0.2


def test_what_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "fast.wav", WAVE, 16_000)
    soundfile.write(tmp_path / "long.wav", np.zeros(61 * 8_000), 8_000, subtype="GSM610")
    for name, words in {
        "text.wav": "not readable as audio: format not recognised",
        "fast.wav": "has 16000 samples a second; reference recordings have 8000",
        "long.wav": "longer than 60 s",
        "": "is no file",
    }.items():
        with pytest.raises(ValueError, match=words) as refused:
            read_reference(tmp_path / name)
        assert "wav" not in str(refused.value), "the flow's step names the file already"
