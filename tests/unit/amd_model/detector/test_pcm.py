"""Bytes to windows: whatever the chunks, the same windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.detector.pcm import TickBuffer, to_float
from amd_model.detector.spec import CONTEXT_SAMPLES, TICK_SAMPLES

pytestmark = pytest.mark.unit


def windows(chunks):
    buffer, found = TickBuffer(), []
    for chunk in chunks:
        buffer.feed(chunk)
        while (window := buffer.take()) is not None:
            found.append(window)
    return found, buffer


@given(st.binary(min_size=0, max_size=9_000), st.lists(st.integers(1, 2_000), max_size=20))
def test_chunks_do_not_matter(pcm, cuts):
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(pcm[at : at + cut])
        at += cut
    chunks.append(pcm[at:])
    whole, _ = windows([pcm])
    pieces, rest = windows(chunks)
    assert len(whole) == len(pcm) // (2 * TICK_SAMPLES) == len(pieces)
    assert all(np.array_equal(a, b) for a, b in zip(whole, pieces, strict=True))
    assert len(rest) == len(pcm) % (2 * TICK_SAMPLES)


def test_first_window_has_silence_behind_it_and_the_second_the_first_ones_end():
    pcm = np.arange(1, 2 * TICK_SAMPLES + 1, dtype="<i2").tobytes()
    (first, second), _ = windows([pcm])
    assert not first[:CONTEXT_SAMPLES].any()
    assert np.array_equal(second[:CONTEXT_SAMPLES], first[-CONTEXT_SAMPLES:])


def test_full_scale_and_odd_byte():
    assert to_float(b"\x00\x80\xff\x7f\x01").tolist() == [-1.0, 32_767 / 32_768]
