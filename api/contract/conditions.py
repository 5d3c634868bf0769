"""What a request's headers ask for: which version it means (RFC 9110, section 13), and which of two languages. Pure."""

from __future__ import annotations

import re
from typing import Final

from api.contract.errors import ApiError, ErrorCode, invalid
from fsbridge.flow.library.entry import Expected

JSON: Final = "application/json"
YAML: Final = "application/yaml"
YAML_TYPES: Final = frozenset({YAML, "application/x-yaml", "text/yaml", "text/x-yaml"})

_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
_MAX_TAGS = 4_096
_QUALITY = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def etag(version: str) -> tuple[str, str]:
    """The header that names a document's version."""
    return "ETag", f'"{version}"'


def expected(if_match: str | None, if_none_match: str | None) -> Expected:
    """What the writer believes is there; without either header: nothing.

    Raises ApiError 400 for a header that cannot be read. A weak tag (``W/"…"``) is none of ours and matches nothing.
    """
    match, none = (if_match or "").strip(), (if_none_match or "").strip()
    if none and none != "*":
        raise invalid('If-None-Match: only * is understood here: "create it, replace nothing"')
    if none and match:
        raise invalid("If-Match and If-None-Match exclude each other; send the one that you mean")
    if not match:
        return Expected()
    if match == "*":
        return Expected(any=True)
    if len(match) > _MAX_TAGS or not _TAGS.fullmatch(match):
        raise invalid('If-Match: must be * or the ETag that you were given, in its quotes: "0123456789abcdef"')
    tags = re.findall(_TAG, match)
    return Expected(frozenset(tag[1:-1] for tag in tags if not tag.startswith("W/")))


def sends_json(content_type: str | None) -> bool:
    """Whether a document comes as JSON (also when nothing says so) or as YAML. Raises ApiError 415."""
    kind = (content_type or JSON).partition(";")[0].strip().lower()
    if kind == JSON:
        return True
    if kind in YAML_TYPES:
        return False
    raise ApiError(ErrorCode.INVALID_REQUEST, f"Content-Type: must be {JSON} or {YAML}, not {kind[:64]!a}", status=415)


def wants_yaml(accept: str | None) -> bool:
    """Whether the client names YAML, and rather than JSON; what a wildcard takes is JSON."""
    best = {True: 0.0, False: 0.0}
    for item in (accept or "").lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind == JSON or kind in YAML_TYPES:
            weights = [found[1] for part in parameters if (found := _QUALITY.fullmatch(part))]
            weight = float(weights[0]) if weights else 1.0
            best[kind != JSON] = max(best[kind != JSON], weight)
    return best[True] > best[False]
