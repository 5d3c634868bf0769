"""torchaudio's transforms: the one place that imports it, also where its native library cannot be loaded.

Its wheels are built for one torch build each: beside another (PyPI's wheel beside a CPU torch) `import torchaudio`
fails with OSError, for a library that resampling and filter banks, which are written in Python, never call. It
provides for being without (as inside a pex file) when it finds no library in its folder; so where loading fails, none
is found.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from functools import cache
from math import gcd
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from amd_model.detector.spec import SAMPLE_RATE
from amd_model.evaluation.files import resample as windowed_sinc
from training.telephone.channel import Audio

MAX_PHASES: Final = 2_000
"""Of a resampling filter: between rates with hardly a common divisor torchaudio's would take gigabytes."""


@cache
def functional() -> Any:
    """`torchaudio.functional`. Raises ImportError when it cannot be had even without its library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of what it will no longer do some day
        try:
            return importlib.import_module("torchaudio.functional")
        except (OSError, RuntimeError):
            return _without_library()


def _without_library() -> Any:
    loader = sys.modules.get("torchaudio._extension.utils")
    if loader is None:
        raise ImportError("torchaudio cannot be imported beside this build of torch")
    loader._LIB_DIR = Path("/nonexistent")  # type: ignore[attr-defined]
    try:
        return importlib.import_module("torchaudio.functional")
    except (OSError, RuntimeError) as error:
        raise ImportError(f"torchaudio cannot be imported beside this build of torch: {error}") from error


def at_8k(samples: Audio, rate: int) -> Audio:
    """From ``rate`` to `SAMPLE_RATE`, by a windowed sinc of 64 zero crossings a side that keeps aliases out."""
    if rate == SAMPLE_RATE or not len(samples):
        return samples
    if max(rate, SAMPLE_RATE) // gcd(rate, SAMPLE_RATE) > MAX_PHASES:
        return windowed_sinc(samples, rate)
    done = functional().resample(
        torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)),
        rate,
        SAMPLE_RATE,
        lowpass_filter_width=64,
        rolloff=0.945,
        resampling_method="sinc_interp_kaiser",
        beta=14.77,
    )
    return np.asarray(done.numpy(), dtype=np.float32)
