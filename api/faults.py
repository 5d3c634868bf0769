"""A document's faults, as the checks word them, taken apart for programs. Pure.

The checks (`fsbridge.flow.document`) say ``source:line: step X: field: what is wrong``; step and field are left out
where there is none. Callers get the same in words, in a message, and in parts, in `details`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from api.errors import ApiError, ErrorCode
from api.schemas import FlowFault

MAX_WORDS = 3
"""Faults that a message tells; `details` has them all."""

_FAULT = re.compile(
    r"[^:]*:(?:(?P<line>[0-9]+):)? (?:step (?P<step>.{1,64}?): )?(?:(?P<field>[^\s:]{1,200}): )?(?P<message>.*)",
    re.DOTALL,
)


def fault(problem: str) -> FlowFault:
    """One fault in parts; what cannot be taken apart is all message."""
    match = _FAULT.fullmatch(problem)
    if match is None:
        return FlowFault(line=None, step=None, field=None, message=problem)
    line = match["line"]
    return FlowFault(
        line=None if line is None else int(line), step=match["step"], field=match["field"], message=match["message"]
    )


def refusal(problems: Iterable[str]) -> ApiError:
    """400 for an invalid document: the first faults in words, all of them in `details`."""
    faults = [fault(problem) for problem in problems]
    words = [_words(each) for each in faults[:MAX_WORDS]]
    if len(faults) > MAX_WORDS:
        words.append(f"and {len(faults) - MAX_WORDS} more, see details")
    return ApiError(
        ErrorCode.INVALID_REQUEST,
        "the flow is invalid: " + "; ".join(words),
        extra={"details": [each.model_dump(by_alias=True) for each in faults]},
    )


def _words(each: FlowFault) -> str:
    where = [f"line {each.line}" if each.line else "", f"step {each.step}" if each.step else "", each.field or ""]
    return ": ".join(part for part in (*where, each.message) if part)
