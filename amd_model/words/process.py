"""The process that reads words for one worker: looks on standard input, answers on standard output.

    python -m amd_model.words.process --model FOLDER [--phrases FILE] [--language en …]

Not patched, one thread, and nicer than the worker: a look may take its time, a stream may not. A look whose deadline
has passed before it was begun is not begun. It ends when its input does. Standard error is for words about faults.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from amd_model.words.desk import Answer, DeskError, Request, Requests
from amd_model.words.ears import EarsUnavailable, WhisperEars
from amd_model.words.look import Reader
from amd_model.words.phrases import SHIPPED, PhrasesError, load

READY: Final = b"ready\n"
NICE: Final = 5
_READ_BYTES: Final = 1 << 18


def answer(reader: Reader, request: Request, now: float) -> Answer:
    """One look done, or told to be late."""
    if now > request.deadline:
        return Answer(request.key, late=True)
    samples = np.frombuffer(request.pcm[: len(request.pcm) // 2 * 2], "<i2").astype(np.float32) * np.float32(1 / 32_768)
    began = time.process_time()
    words = reader.look(samples, request.until_ms)
    return Answer(request.key, words, cpu_s=time.process_time() - began)


def serve(reader: Reader, source: int, sink: int) -> None:
    """Answer what comes on one descriptor on the other, until it ends. Raises DeskError."""
    requests = Requests()
    waiting: deque[Request] = deque()
    while data := os.read(source, _READ_BYTES):
        waiting.extend(requests.feed(data))
        while waiting:
            _write(sink, answer(reader, waiting.popleft(), time.monotonic()).encode())


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]


def main(argv: Sequence[str] | None = None) -> int:
    """Run until the input ends: 0; 1 with words when there is no recogniser."""
    parser = argparse.ArgumentParser("python -m amd_model.words.process", description="Read words for one worker.")
    parser.add_argument("--model", type=Path, required=True, help="folder of a Whisper model for CTranslate2")
    parser.add_argument("--phrases", type=Path, default=SHIPPED, help="another phrase model than the shipped one")
    parser.add_argument("--language", action="append", default=[], help="think of these languages only")
    arguments = parser.parse_args(argv)
    with contextlib.suppress(OSError):
        os.nice(NICE)
    try:
        reader = Reader(WhisperEars(arguments.model, arguments.language), load(arguments.phrases))
        reader.look(np.full(8_000, 1e-4, np.float32), 1_000)  # the first look is the slowest
        _write(1, READY)
        serve(reader, 0, 1)
    except (EarsUnavailable, PhrasesError, DeskError) as error:
        print(error, file=sys.stderr)
        return 1
    except (BrokenPipeError, KeyboardInterrupt):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
