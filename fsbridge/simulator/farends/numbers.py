"""Which numbers somebody answers: patterns with ``*``, for far ends and extensions alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def answers(patterns: Iterable[str], called: str) -> bool:
    """Whether one of them is meant by a number or SIP user: in any case, a leading + may be left out on both sides."""
    number = _plain(called)
    return any(fnmatchcase(number, _plain(pattern)) for pattern in patterns)


def read_patterns(value: object, place: str, problems: list[str]) -> tuple[str, ...]:
    """One pattern or a list of them; what is wrong is added to `problems`."""
    patterns = [value] if isinstance(value, str) else value
    if isinstance(patterns, list) and patterns and all(isinstance(text, str) and text for text in patterns):
        return tuple(patterns)
    problems.append(f'{place}: must be a number, SIP user or pattern with *, or a list of them (in quotes: "+1555…")')
    return ()


def _plain(number: str) -> str:
    return number.removeprefix("+").lower()
