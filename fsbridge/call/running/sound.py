"""Reading one kept recording. Shell: it reads a file, on a native thread.

What is read is a plain file of a bounded size; a link or anything else under that name is none.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import gevent

from fsbridge.errors import FsbridgeError
from fsbridge.supervise import run_in_thread

MAX_BYTES = 16 * 1024 * 1024
"""Ten minutes, the most that is kept of a call, have ten."""


class SoundError(FsbridgeError):
    """A recording is there and cannot be read."""


def read(path: Path) -> bytes | None:
    """The recording, or None if there is none. Raises SoundError."""
    outcome = run_in_thread(gevent.get_hub().threadpool, _read, path)
    if isinstance(outcome, OSError):
        raise SoundError(f"{path}: cannot be read: {outcome.strerror}") from outcome
    return outcome


def _read(path: Path) -> bytes | OSError | None:
    """For a native thread; the error is a value, since gevent's pool prints whatever a job raises."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return data if len(data) <= MAX_BYTES else None
