"""Request bodies as values, with everything refused that two JSON parsers could read differently. Pure.

Refused: invalid UTF-8, a byte order mark, duplicate keys (which one counts is the parser's whim), NaN and
infinities, integers beyond 64 bits, unpaired surrogates, nesting deeper than `MAX_DEPTH`. What passes can be written
again as JSON by any library. Fields that are only echoed stay the text that they are, and their numbers may have any
size; everything else is refused in them, too. Raises ApiError INVALID_REQUEST.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container
from typing import Any, NoReturn

from api.contract.errors import ApiError, invalid
from fsbridge.model.json import RawJson

MAX_DEPTH = 32
_BLANK = re.compile(r"[ \t\n\r]*")
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


class _Refused(ValueError):
    pass


def parse_object(body: bytes, verbatim: Container[str] = ()) -> dict[str, Any]:
    """The JSON object in the body; members of the names in `verbatim` as `RawJson`, unless they are null.

    Raises ApiError with words that say where and why.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(f"body: not UTF-8 at byte {error.start}; send JSON encoded as UTF-8") from error
    if not text.strip():
        raise invalid("body: empty; send a JSON object")
    try:
        value, checked = _members(text, verbatim)
    except _Refused as error:
        raise invalid(f"body: {error}") from error
    except json.JSONDecodeError as error:
        raise invalid(f"body: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise _too_deep() from error
    if _deeper_than(checked, MAX_DEPTH):
        raise _too_deep()
    if "\\u" in text and not _encodable(checked):
        raise invalid("body: holds half of a UTF-16 surrogate pair (\\ud800 to \\udfff); send whole characters")
    return value


def _members(text: str, verbatim: Container[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The text's object twice: as it is handed on, and with every member read, for what is checked in all of them."""
    at = _blank(text, 0)
    if not text.startswith("{", at):
        _DECODER.decode(text)
        raise invalid('body: must be a JSON object, such as {"destinationNumber": "+15551234567"}')
    value: list[tuple[str, Any]] = []
    checked: list[tuple[str, Any]] = []
    at = _blank(text, at + 1)
    more = not text.startswith("}", at)
    while more:
        _after('"', text, at, "Expecting property name enclosed in double quotes")
        name, at = _DECODER.raw_decode(text, at)
        start = _blank(text, _after(":", text, _blank(text, at), "Expecting ':' delimiter"))
        raw = name in verbatim
        member, at = (_ECHOED if raw else _DECODER).raw_decode(text, start)
        value.append((name, RawJson(text[start:at]) if raw and member is not None else member))
        checked.append((name, member))
        at = _blank(text, at)
        more = text.startswith(",", at)
        if more:
            at = _blank(text, at + 1)
    end = _blank(text, _after("}", text, at, "Expecting ',' delimiter"))
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return _object(value), dict(checked)


def _blank(text: str, at: int) -> int:
    """Where the white space that begins there has ended."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _after(mark: str, text: str, at: int, missing: str) -> int:
    if not text.startswith(mark, at):
        raise json.JSONDecodeError(missing, text, at)
    return at + 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Refused(f"the key {key[:64]!a} stands twice in one object; send it once")
            seen.add(key)
    return result


def _int(digits: str) -> int:
    # The length is checked first: int() of a long text is quadratic.
    if len(digits) > 21 or not _INT_MIN <= (value := int(digits)) <= _INT_MAX:
        raise _Refused("an integer has more than 64 bits; send it as a string")
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Refused("a number is too large for a double; send it as a string")
    return value


def _constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON; leave the field out or send null")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant, strict=True
)


_ECHOED = json.JSONDecoder(
    # Numbers are not read at all: what is echoed has no value here, and int() of a long text would take its time.
    object_pairs_hook=_object,
    parse_int=lambda _: 0,
    parse_float=lambda _: 0.0,
    parse_constant=_constant,
    strict=True,
)


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _too_deep() -> ApiError:
    return invalid(f"body: nested deeper than {MAX_DEPTH} levels; flatten it")
