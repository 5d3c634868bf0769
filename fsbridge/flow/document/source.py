"""YAML text (of which JSON is a part) into plain values and the line of each. Pure.

The parser's events are read one by one and built into values here, so that bounds hold before anything is built, and a
value is what it looks like: `true`, `false`, `null`, `12` and `1.5` are what they are in JSON; everything else is text.
YAML 1.1 would make `on` a truth, `12:30` the number 750, `0123` the number 83 and `2026-11-23` a date. Refused:
aliases (one line of them grows to gigabytes), tags, directives, keys that stand twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
MAX_NODES = 40_000
"""Values of one document; a step has some ten, and there are at most a thousand steps."""
MAX_FAULTS = 100

Path = tuple[str | int, ...]
Scalar = str | int | float | bool | None

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser, some ten times faster; wheels bring it, a build without the library does not."""

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?:[eE][+-]?[0-9]{1,2})?")
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
"""How JSON's escapes write a character beyond U+FFFF; YAML's do not know pairs."""
_DIRECTIVE = re.compile("(?:\\A|[\n\r\x85\u2028\u2029])\ufeff?%")
"""libyaml compares each with all before it; nobody writes one. Its line breaks are YAML 1.1's."""
_HINTS = (
    ("mapping values are not allowed", 'put a text that has ": " in it in quotes'),
    ("expected <block end>", "look at the spaces before the line, and at quotes: what begins with {{ is quoted"),
    ("did not find expected key", "look at the spaces before the line, and at quotes: what begins with {{ is quoted"),
    ("violates indentation", "indent with spaces"),
    ("cannot start any token", "put the text in quotes, and indent with spaces"),
)


class SourceError(ValueError):
    """The text cannot be read; `faults` has each as (line, what is wrong)."""

    def __init__(self, *faults: tuple[int, str]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"line {line}: {fault}" for line, fault in faults))


@dataclass(frozen=True, slots=True)
class Source:
    """What the text says. `lines` has the line (from 1) of every value, and of every key under its value's path."""

    value: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Where a value stands; for one that does not, where the nearest around it stands."""
        return self.lines.get(self.known(path), 1)

    def known(self, path: Path) -> Path:
        """The path without what is not there."""
        while path and path not in self.lines:
            path = path[:-1]
        return path


def read(text: str) -> Source:
    """The text's one value. Raises SourceError."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise SourceError((1, f"is larger than {MAX_BYTES // 1024} kB"))
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        raise SourceError((text.count("\n", 0, directive.end()) + 1, "directives (%…) are not allowed; take it out"))
    text = _PAIR.sub(_joined, text)
    builder = _Builder()
    try:
        for event in yaml.parse(text, _LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        raise SourceError(_explain(error, text)) from error
    except UnicodeEncodeError as error:
        raise SourceError((text.count("\n", 0, error.start) + 1, "not YAML: a character is half a pair")) from error
    if builder.faults:
        raise SourceError(*builder.faults[:MAX_FAULTS])
    return Source(builder.root, builder.lines)


def _joined(pair: re.Match[str]) -> str:
    return pair[1] + bytes.fromhex(pair[2] + pair[3]).decode("utf-16-be")


def _explain(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = getattr(error, "position", None)
    line = mark.line + 1 if mark is not None else text.count("\n", 0, position) + 1 if position else 1
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)[:200]
    hint = next((f"; {hint}" for start, hint in _HINTS if start in problem), "")
    return line, f"not YAML: {problem}{hint}"


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come; `key` waits for its value."""

    path: Path
    value: dict[str, Any] | list[Any]
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """Values out of events, without recursion."""

    root: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    _open: list[_Open] = field(default_factory=list)
    _nodes: int = 0
    _documents: int = 0

    def take(self, event: Any) -> None:
        """One event more. Raises SourceError for what must not be read on."""
        line = event.start_mark.line + 1
        match event:
            case yaml.ScalarEvent():
                self._count(event, line)
                self._scalar(event, line)
            case yaml.MappingStartEvent():
                self._count(event, line)
                self._begin({}, line)
            case yaml.SequenceStartEvent():
                self._count(event, line)
                self._begin([], line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
            case yaml.AliasEvent():
                raise SourceError((line, "aliases (*name) are not allowed; write it out"))
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise SourceError((line, "a second document begins (---); one file is one flow"))

    def _count(self, event: Any, line: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise SourceError((line, f"more than {MAX_NODES} values"))
        if event.tag is not None:
            raise SourceError((line, f"tags ({event.tag[:64]!r}) are not allowed; take it out"))

    def _scalar(self, event: Any, line: int) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            name = str(event.value)
            if name in parent.value:
                self.faults.append((line, f"the key {name[:64]!r} stands twice"))
            parent.key = name
            parent.value[name] = None
            self.lines[(*parent.path, name)] = line
            return
        value: Scalar = _plain(event.value) if event.implicit[0] else str(event.value)
        self._put(value, line)

    def _begin(self, value: dict[str, Any] | list[Any], line: int) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            raise SourceError((line, "a key is a word, not a list or a mapping; what begins with {{ is quoted"))
        if len(self._open) >= MAX_DEPTH:
            raise SourceError((line, f"nested deeper than {MAX_DEPTH} levels"))
        self._open.append(_Open(self._put(value, line), value))

    def _put(self, value: Any, line: int) -> Path:
        """Give a value to its place and say which that is."""
        path: Path = ()
        if not self._open:
            self.root = value
        elif isinstance(self._open[-1].value, list):
            parent = self._open[-1]
            path = (*parent.path, len(parent.value))
            self._open[-1].value.append(value)
        else:
            parent = self._open[-1]
            assert isinstance(parent.value, dict)
            assert parent.key is not None
            path = (*parent.path, parent.key)
            parent.value[parent.key] = value
            parent.key = None
        self.lines.setdefault(path, line)
        return path


def _plain(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
