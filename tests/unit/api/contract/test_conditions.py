"""What a request's headers ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.contract.conditions import etag, expected, sends_json, wants_yaml
from api.contract.errors import ApiError
from fsbridge.flow.library.entry import Expected

pytestmark = pytest.mark.unit

versions = st.text("0123456789abcdef", min_size=16, max_size=16)


@pytest.mark.parametrize(
    ("match", "none", "believed"),
    [
        (None, None, Expected()),
        (None, "*", Expected()),
        ("*", None, Expected(any=True)),
        (' "ab" ', "", Expected(frozenset({"ab"}))),
        ('"ab", "cd","ef"', None, Expected(frozenset({"ab", "cd", "ef"}))),
        ('W/"ab"', None, Expected(frozenset())),
        ('W/"ab","cd"', None, Expected(frozenset({"cd"}))),
        ('"a,b"', None, Expected(frozenset({"a,b"}))),
    ],
)
def test_what_the_writer_believes(match: str | None, none: str | None, believed: Expected) -> None:
    assert expected(match, none) == believed


@pytest.mark.parametrize(
    ("match", "none", "words"),
    [
        ("ab", None, "in its quotes"),
        ('"ab" "cd"', None, "in its quotes"),
        ('"ab",', None, "in its quotes"),
        ('"a b"', None, "in its quotes"),
        (",".join(['"a"'] * 2_000), None, "in its quotes"),
        (None, '"ab"', "only \\* is understood"),
        ("*", "*", "exclude each other"),
    ],
)
def test_headers_that_cannot_be_read(match: str | None, none: str | None, words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        expected(match, none)
    assert caught.value.status == 400


@given(versions, versions)
def test_an_etag_that_was_given_comes_back_as_its_version(version: str, other: str) -> None:
    believed = expected(etag(version)[1], None)
    assert believed.holds(version)
    assert believed.holds(other) == (other == version)
    assert not believed.holds(None)


def test_what_a_belief_holds_of() -> None:
    assert Expected().holds(None)
    assert not Expected().holds("x")
    assert Expected(any=True).holds("x")
    assert not Expected(any=True).holds(None)


@pytest.mark.parametrize(
    ("content_type", "json"),
    [
        (None, True),
        ("", True),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/yaml", False),
        ("text/yaml;charset=utf-8", False),
        ("application/x-yaml", False),
    ],
)
def test_the_language_of_a_body(content_type: str | None, json: bool) -> None:
    assert sends_json(content_type) is json


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "\x1b[2J", ";"])
def test_another_language_is_refused(content_type: str) -> None:
    with pytest.raises(ApiError, match="Content-Type") as caught:
        sends_json(content_type)
    assert caught.value.status == 415
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("accept", "yaml"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/yaml", True),
        ("text/yaml, */*", True),
        ("application/json, application/yaml", False),
        ("application/json;q=0.5, application/yaml;q=0.9", True),
        ("application/json, application/yaml;q=0.9", False),
        ("application/yaml;q=0", False),
        ("application/yaml;q=nonsense", True),
    ],
)
def test_the_language_of_an_answer(accept: str | None, yaml: bool) -> None:
    assert wants_yaml(accept) is yaml


@given(st.text())
def test_any_header_is_read_or_refused_in_words(text: str) -> None:
    wants_yaml(text)
    statuses = set()
    for read in (sends_json, lambda header: expected(header, None)):
        try:
            read(text)
        except ApiError as error:
            statuses.add(error.status)
    assert statuses <= {400, 415}
