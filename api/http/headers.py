"""HTTP/1.1 request headers read strictly and within bounds, for pywsgi in place of the e-mail parser. Pure.

The rules of RFC 9112 section 5, and no leniency: a name is a token followed at once by a colon, no line is folded,
the body's length is told once and in one way (section 6.3: a request with both Content-Length and
Transfer-Encoding, or with two lengths, is how requests are smuggled past a proxy). Limits: `MAX_HEADERS` lines,
`MAX_HEADER_BYTES` together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32_768

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r?\n")
_ONCE = frozenset({"content-length", "transfer-encoding", "host", "authorization", "content-type", "expect"})


class HeaderError(ValueError):
    """The headers cannot be trusted; the connection must be closed after the answer."""


class LineReader(Protocol):
    """Where header lines come from."""

    def readline(self, limit: int = ..., /) -> bytes:
        """At most `limit` bytes, up to and with the line feed; empty at the end of the stream."""


class Headers:
    """Request headers, names in lower case; values are latin-1 text as WSGI wants it."""

    status = ""
    """pywsgi's sign of a bad header block; here bad ones raise, so it stays empty."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        self._values = dict(reversed(pairs))

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of the name."""
        return self._values.get(name.lower(), default)

    getheader = get

    @property
    def typeheader(self) -> str | None:
        """Content-Type, by pywsgi's name for it."""
        return self._values.get("content-type")

    def environ(self) -> Iterator[tuple[str, str]]:
        """WSGI names and values.

        Names with an underscore are left out: ``X_Y`` and ``X-Y`` would become one, and a proxy filters only one.
        """
        for name, value in self._pairs:
            if "_" not in name and name not in ("content-type", "content-length"):
                yield "HTTP_" + name.upper().replace("-", "_"), value


def read_headers(reader: LineReader) -> Headers:
    """The header block up to and with its empty line. Raises HeaderError."""
    pairs: list[tuple[str, str]] = []
    seen: set[str] = set()
    left = MAX_HEADER_BYTES
    while True:
        line = reader.readline(left)
        left -= len(line)
        if line in (b"\r\n", b"\n"):
            break
        if not line.endswith(b"\n"):
            raise HeaderError("the headers are too large" if left <= 0 else "the headers end early")
        match = _LINE.fullmatch(line)
        if match is None:
            raise HeaderError("a header line is malformed")
        name = match[1].decode("ascii").lower()
        if name in _ONCE:
            if name in seen:
                raise HeaderError(f"the header {name} stands twice")
            seen.add(name)
        pairs.append((name, match[2].decode("latin-1")))
        if len(pairs) > MAX_HEADERS:
            raise HeaderError(f"there are more than {MAX_HEADERS} headers")
    headers = Headers(pairs)
    _check_framing(headers)
    return headers


def _check_framing(headers: Headers) -> None:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is not None and (not length.isascii() or not length.isdigit() or len(length) > 18):
        raise HeaderError("Content-Length is no number")
    if coding is None:
        return
    if length is not None:
        raise HeaderError("Content-Length and Transfer-Encoding exclude each other")
    if coding.lower() != "chunked":
        raise HeaderError("Transfer-Encoding may be chunked only")
