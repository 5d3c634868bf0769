"""What is printed on a terminal that others have written: nothing in it may steer the terminal.

A caller's metadata, a far end's words, a service's error: all of them may hold escape sequences, or marks that turn
the reading direction round.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)


def plain(text: str) -> str:
    """The text in one line, with an escape in place of whatever is no visible character."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def indented_json(text: str) -> str:
    """JSON with a line for each member, its numbers and words spelled as they were.

    What is no visible character is escaped as JSON escapes it. The text must be JSON.
    """
    tokens = [found[0] for found in _TOKEN.finditer(text)]
    out: list[str] = []
    depth = 0
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        if token in ("}", "]"):
            depth -= 1
            if before not in ("{", "["):
                out.append("\n" + "  " * depth)
        elif before in ("{", "[", ","):
            out.append("\n" + "  " * depth)
        out.append(": " if token == ":" else _escaped(token))
        if token in ("{", "["):
            depth += 1
    return "".join(out)


def _escaped(token: str) -> str:
    if token.isprintable():
        return token
    return "".join(char if char.isprintable() else _json_escape(char) for char in token)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
