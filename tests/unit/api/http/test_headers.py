"""Request headers: strict, bounded, and never two readings of where a body ends."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.headers import MAX_HEADER_BYTES, MAX_HEADERS, HeaderError, Headers, read_headers

pytestmark = pytest.mark.unit


def _read(block: bytes) -> Headers:
    return read_headers(io.BytesIO(block))


def test_values_and_environ() -> None:
    headers = _read(b"Host: a\r\nX-Two: 1\r\nX-Two:\t2 \r\nContent-Type: x/y\r\nX_Bad: 1\r\nEmpty:\r\n\r\nrest")
    assert headers.get("HOST") == "a"
    assert headers.get("x-two") == "1"
    assert headers.getheader("none", "d") == "d"
    assert headers.typeheader == "x/y"
    assert list(headers.environ()) == [
        ("HTTP_HOST", "a"),
        ("HTTP_X_TWO", "1"),
        ("HTTP_X_TWO", "2"),
        ("HTTP_EMPTY", ""),
    ]


def test_the_body_is_left_unread() -> None:
    stream = io.BytesIO(b"A: 1\nB: 2\n\nbody")
    read_headers(stream)
    assert stream.read() == b"body"


@pytest.mark.parametrize(
    ("block", "word"),
    [
        (b"A : 1\r\n\r\n", "malformed"),
        (b": 1\r\n\r\n", "malformed"),
        (b"no colon\r\n\r\n", "malformed"),
        (b"A: 1\r\n folded\r\n\r\n", "malformed"),
        (b"A: x\x00y\r\n\r\n", "malformed"),
        (b"A: x\ry\r\n\r\n", "malformed"),
        (b"A: 1\r\n", "early"),
        (b"A: 1", "early"),
        (b"", "early"),
        (b"A: " + b"x" * MAX_HEADER_BYTES + b"\r\n\r\n", "too large"),
        (b"A: 1\r\n" * (MAX_HEADERS + 1) + b"\r\n", "more than"),
        (b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "twice"),
        (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "exclude"),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n", "chunked only"),
        (b"Transfer-Encoding: xchunked\r\n\r\n", "chunked only"),
        (b"Host: a\r\nHost: b\r\n\r\n", "twice"),
        (b"Content-Length: +5\r\n\r\n", "no number"),
        (b"Content-Length: 1_0\r\n\r\n", "no number"),
        (b"Content-Length: -1\r\n\r\n", "no number"),
        (b"Content-Length: \xb2\r\n\r\n", "no number"),
        (b"Content-Length:\r\n\r\n", "no number"),
        (b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", "no number"),
    ],
)
def test_refused(block: bytes, word: str) -> None:
    with pytest.raises(HeaderError, match=word):
        _read(block)


_token = st.text("ABCabc019-!#$%&'*+.^`|~", min_size=1, max_size=12)
_value = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=30)


@given(st.lists(st.tuples(_token, _value.map(str.strip)), max_size=20))
def test_what_is_written_is_read(pairs: list[tuple[str, str]]) -> None:
    block = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("latin-1") + b"\r\n"
    headers = _read(block)
    assert list(headers.environ()) == [("HTTP_" + n.upper().replace("-", "_"), v.strip(" \t")) for n, v in pairs]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(block: bytes) -> None:
    with contextlib.suppress(HeaderError):
        assert isinstance(_read(block + b"\r\n\r\n"), Headers)
