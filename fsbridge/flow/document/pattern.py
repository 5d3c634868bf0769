"""Patterns that a document brings, kept to what no text can make expensive. Pure.

Two engines meet them. What a recogniser understood is searched here, by RE2, which takes time in proportion to the
text whatever the pattern; its program's size is bounded as well. Digits are matched by FreeSWITCH itself (PCRE, on the
node's own processors), which tries one way after another: there the number of ways is bounded before it is sent.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

MAX_PROGRAM = 1_300
"""Instructions of a compiled pattern; ``\\pL``, any letter, takes 1,201. It bounds a search with the text."""
_MAX_MEMORY = 64 * 1024
"""Bytes that RE2 may spend on one pattern; beyond it compiling ends, and a search goes a slower way, linear too."""
MAX_DIGITS = 32
"""Digits of one answer, at most."""
MAX_WAYS = 100_000
"""Ways of dividing an answer among a pattern's parts that PCRE may have to try; a millisecond or two."""

_OPTIONS = re2.Options()
_OPTIONS.max_mem = _MAX_MEMORY
_OPTIONS.log_errors = False


def check_words(pattern: str) -> None:
    """Raises ValueError for what RE2 does not take, or takes only with a large program."""
    _compiled(pattern)


def in_words(pattern: str, text: str) -> bool:
    """Whether a checked pattern is found anywhere in a text."""
    return _compiled(pattern).search(_encodable(text)) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    try:
        compiled = re2.compile(_encodable(pattern), _OPTIONS)
    except re2.error as error:
        told = error.args[0] if error.args else b""
        why = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
        raise ValueError(f"is no regular expression (RE2's grammar): {why[:120]}") from error
    if compiled.programsize > MAX_PROGRAM:
        raise ValueError("is too large a regular expression: fewer and smaller {n,m}, fewer classes")
    return compiled


def _encodable(text: str) -> str:
    """Half a pair of surrogates, as JSON may bring one, is no character."""
    return text.encode("utf-8", "replace").decode()


def check_digits(pattern: str) -> None:
    """Raises ValueError for what is no pattern of digits, or would make PCRE try very many ways.

    Digits, ``*`` and ``#`` in classes, ``\\d``, groups, ``|``, ``^``, and ``?``, ``*`` or ``+`` behind one part. A bare
    ``*`` or ``+`` repeats; the key itself is written ``[*]``.
    """
    if ways(pattern) > MAX_WAYS:
        raise ValueError("could be matched in too many ways: fewer of ? * + behind one another")


def ways(pattern: str) -> int:
    """In how many ways a pattern of digits may match at most; exact up to MAX_WAYS. Raises ValueError."""
    reader = _Digits(pattern)
    found, _ = reader.choice()
    if reader.at < len(pattern):
        raise reader.fault("a ) without its (")
    return found


class _Digits:
    """Reads a pattern and counts, part by part: (ways in which it may match, whether it may match nothing)."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def fault(self, what: str) -> ValueError:
        return ValueError(f"is no pattern of digits: {what} at character {min(self.at, len(self.text) - 1) + 1}")

    def choice(self) -> tuple[int, bool]:
        ways, empty = self.sequence()
        while self.next() == "|":
            self.at += 1
            more, also_empty = self.sequence()
            ways, empty = ways + more, empty or also_empty
        return ways, empty

    def sequence(self) -> tuple[int, bool]:
        ways, empty = 1, True
        while self.next() not in ("", "|", ")"):
            more, also_empty = self.repeated()
            # Bounded on the way: a number of thousands of digits would cost what it is to prevent.
            ways, empty = min(ways * more, MAX_WAYS + 1), empty and also_empty
        return ways, empty

    def repeated(self) -> tuple[int, bool]:
        ways, empty = self.part()
        sign = self.next()
        if sign not in ("?", "*", "+"):
            return ways, empty
        self.at += 1
        if self.next() in ("?", "*", "+"):
            raise self.fault("two repetitions in a row")
        if sign == "?":
            return ways + 1, True
        if empty:
            raise self.fault("a repetition of what may be nothing")
        # Each number of rounds, and each way of each round.
        return min(sum(ways**rounds for rounds in range(MAX_DIGITS + 1)), MAX_WAYS + 1), sign == "*"

    def part(self) -> tuple[int, bool]:
        sign = self.next()
        self.at += 1
        match sign:
            case "(":
                if self.next() == "?":
                    raise self.fault("(?, which is more than a group,")
                found = self.choice()
                if self.next() != ")":
                    raise self.fault("a ( without its )")
                self.at += 1
                return found
            case "[":
                self.members()
                return 1, False
            case "\\":
                self.digit()
                return 1, False
            case "^":
                return 1, True
            case _ if sign in "0123456789#":
                return 1, False
            case _:
                self.at -= 1
                raise self.fault(f"{sign!r}, which is not expected,")

    def members(self) -> None:
        """What stands between brackets."""
        if self.next() == "^":
            self.at += 1
        begin = self.at
        while self.next() != "]":
            sign = self.next()
            self.at += 1
            if sign == "\\":
                self.digit()
            elif not sign or sign not in "0123456789*#-":
                raise self.fault("a class that does not end, or has more than digits, * and #,")
            elif self.next() == "-" and self.text[self.at + 1 : self.at + 2].isdigit():
                if not sign.isdigit() or self.text[self.at + 1] < sign:
                    raise self.fault("a range that is none")
                self.at += 2
        if self.at == begin:
            raise self.fault("an empty class")
        self.at += 1

    def digit(self) -> None:
        if self.next() != "d":
            raise self.fault("a \\ that is no \\d")
        self.at += 1

    def next(self) -> str:
        return self.text[self.at : self.at + 1]
