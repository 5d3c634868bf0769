"""How much work something is, in calls of functions, Python's and C's: the same on a slow machine and a fast one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def work(job: Callable[[], Any]) -> int:
    """The calls that are made until the job returns or raises an Exception."""
    calls = 0

    def count(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        job()
    except Exception:
        pass
    finally:
        sys.setprofile(before)
    return calls
