"""A document's faults for callers: in words, in a message, and in parts, in `details`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from api.contract.error_body import FlowFault
from api.contract.errors import ApiError, ErrorCode
from fsbridge.flow.document.errors import Problem

MAX_WORDS = 3
"""Faults that a message tells; `details` has them all."""


def rendered(problem: Problem) -> FlowFault:
    """One fault in parts. What the document is called here is nothing to a caller."""
    return FlowFault(line=problem.line, step=problem.step, field=problem.field, message=problem.message)


def refusal(problems: Iterable[Problem]) -> ApiError:
    """400 for an invalid document: the first faults in words, all of them in `details`."""
    found = list(problems)
    words = [_words(problem) for problem in found[:MAX_WORDS]]
    if len(found) > MAX_WORDS:
        words.append(f"and {len(found) - MAX_WORDS} more, see details")
    return ApiError(
        ErrorCode.INVALID_REQUEST,
        "the flow is invalid: " + "; ".join(words),
        extra={"details": [rendered(problem).model_dump(by_alias=True) for problem in found]},
    )


def _words(problem: Problem) -> str:
    line = "" if problem.line is None else f"line {problem.line}"
    return str(replace(problem, source=line, line=None))
