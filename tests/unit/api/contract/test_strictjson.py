"""Bodies that two parsers could read differently are refused; all others survive unchanged."""

from __future__ import annotations

import contextlib
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.contract.errors import ApiError, ErrorCode
from api.contract.strictjson import MAX_DEPTH, parse_object

pytestmark = pytest.mark.unit


def _message(body: bytes) -> str:
    with pytest.raises(ApiError) as caught:
        parse_object(body)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.status == 400
    orjson.dumps(caught.value.message)
    return caught.value.message


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "line 1, column 2"),
        (b"[]", "JSON object"),
        (b'"x"', "JSON object"),
        (b"null", "JSON object"),
        (b'{"a":1,}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":1} x', "not JSON"),
        (b'{"a":"\xff"}', "UTF-8 at byte 6"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a":1,"a":2}', "'a' stands twice"),
        (b'{"x":{"a":1,"b":[{"c":1,"c":1}]}}', "'c' stands twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b'{"a":1e999}', "too large for a double"),
        (b'{"a":18446744073709551616}', "64 bits"),
        (b'{"a":-9223372036854775809}', "64 bits"),
        (b'{"a":' + b"9" * 60_000 + b"}", "64 bits"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b'{"a":"\n"}', "not JSON"),
        (b'{"a":' * 5_000, "levels"),
        (b'{"a":' + b"[" * 60_000, "levels"),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "levels"),
    ],
)
def test_refused_in_words(body: bytes, word: str) -> None:
    assert word in _message(body)


def test_the_limits_themselves_pass() -> None:
    deep = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert parse_object(deep)["a"] is not None
    assert parse_object(b'{"a":18446744073709551615,"b":-9223372036854775808}') == {"a": 2**64 - 1, "b": -(2**63)}
    assert parse_object(b'{"a":"\\ud83d\\ude00","b":"\\u0000"}') == {"a": "😀", "b": "\0"}


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_values = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(st.dictionaries(st.text(), _values), st.booleans())
def test_every_json_object_survives_and_can_be_written_again(document: dict[str, object], escaped: bool) -> None:
    value = parse_object(json.dumps(document, ensure_ascii=escaped).encode())
    assert value == document
    assert orjson.loads(orjson.dumps(value)) == document


@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        assert isinstance(parse_object(body), dict)
