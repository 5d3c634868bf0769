"""Request bodies as values, with everything refused that two JSON parsers could read differently. Pure.

Refused: invalid UTF-8, a byte order mark, duplicate keys (which one counts is the parser's whim), NaN and
infinities, integers beyond 64 bits, unpaired surrogates, nesting deeper than `MAX_DEPTH`. What passes can be written
again as JSON by any library, which is what makes an echo of `metadata` verbatim. Raises ApiError INVALID_REQUEST.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from api.contract.errors import ApiError, invalid

MAX_DEPTH = 32
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


class _Refused(ValueError):
    pass


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body. Raises ApiError with words that say where and why."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(f"body: not UTF-8 at byte {error.start}; send JSON encoded as UTF-8") from error
    if not text.strip():
        raise invalid("body: empty; send a JSON object")
    try:
        value = _DECODER.decode(text)
    except _Refused as error:
        raise invalid(f"body: {error}") from error
    except json.JSONDecodeError as error:
        raise invalid(f"body: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise _too_deep() from error
    if not isinstance(value, dict):
        raise invalid('body: must be a JSON object, such as {"destinationNumber": "+15551234567"}')
    if _deeper_than(value, MAX_DEPTH):
        raise _too_deep()
    if "\\u" in text and not _encodable(value):
        raise invalid("body: holds half of a UTF-16 surrogate pair (\\ud800 to \\udfff); send whole characters")
    return value


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
