"""What is said of a document that is at fault: pydantic's findings in words, every one with its line, bounded. Pure.

Shared by flow documents and test suites; what each knows of its own parts it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fsbridge.flow.document.errors import Problem
from fsbridge.flow.document.source import Path, Source
from fsbridge.near import Words

MAX_TOLD = 100
"""Faults that are told of one document; a report is read by people, and by callers who get it in an error's body."""

MAX_WORDS = 1_000
"""Characters of one fault: it may quote a key or a text that the document's author made as long as the document."""

Fault = tuple[Path, str]

_WORDS = {
    "missing": "is missing",
    "model_type": "must be a mapping (key: value)",
    "dict_type": "must be a mapping (key: value)",
    "tuple_type": "must be a list",
    "string_type": "must be text; put a number in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_too_short": "is empty",
}


def in_words(found: Any) -> str:
    """A finding of pydantic as the end of a sentence about its field."""
    message = str(found["msg"]).removeprefix("Value error, ")
    return _WORDS.get(found["type"], message[:1].lower() + message[1:])


def no_such_key(key: str, known: Words) -> str:
    """What is said of a key that does not exist, with the likely one."""
    near = known.nearest(key)
    return "no such key" + (f"; did you mean {near}?" if near else "")


def misspelt(found: Any, path: Path, known: Words, hint: str | None = None) -> str:
    """A finding in words, with the key that was probably meant, or what would be right (`hint`) in its place."""
    if found["type"] == "extra_forbidden":
        return no_such_key(str(path[-1]) if path else "", known)
    if found["type"] == "string_pattern_mismatch":
        return f"{str(found['input'])[:60]!r} is not allowed: {hint or in_words(found)}"
    return in_words(found)


def item_of(raw: Any, path: Path, items: str, name: str) -> tuple[str | None, str]:
    """A place as the entry of a list that it is in, by its name or else its number from 1, and the field there."""
    if len(path) < 2 or path[0] != items or not isinstance(path[1], int):
        return None, field_of(path)
    try:
        found = raw[items][path[1]][name]
    except (KeyError, IndexError, TypeError):
        found = None
    called = found[:64] if isinstance(found, str) and found else str(path[1] + 1)
    return called, field_of(path[2:])


def told(
    faults: Sequence[Fault], text: Source, source: str, where: Callable[[Any, Path], tuple[str | None, str]]
) -> list[Problem]:
    """The faults in the order of the text; `where` says a place as its step, if it is in one, and its field."""
    lines = sorted((text.line(path), number) for number, (path, _) in enumerate(faults))
    found = []
    for line, number in lines[:MAX_TOLD]:
        path, what = faults[number]
        step, field = where(text.value, path)
        step = None if step is None else printable(step)
        found.append(Problem(source, printable(what[:MAX_WORDS]), line, step, printable(field) or None))
    if len(lines) > MAX_TOLD:
        found.append(Problem(source, f"and {len(lines) - MAX_TOLD} more"))
    return found


def field_of(path: Path) -> str:
    """A place below a step or a call, as a person writes it."""
    return ".".join(str(part)[:64] for part in path)


def printable(text: str) -> str:
    """The text without what could steer a terminal or forge a line of a log: names and keys are anybody's."""
    return "".join(c if c.isprintable() else "?" for c in text)
