"""Templates, and what of a customer's data may enter an application's argument."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.flow.document.template import (
    MAX_TEXT,
    Prompts,
    TemplateError,
    is_listed,
    names,
    playable,
    prompt,
    render,
    render_data,
)

pytestmark = pytest.mark.unit

LIVE = set("|${}\\'\"\r\n\0<>&;`") - {"&"}


def test_variables_are_put_in() -> None:
    variables = {"name": "Alex", "n": 3.0, "deep": {"x": 1.5}, "yes": True}
    assert render("Hi {{name}}, {{ n }} {{ deep.x }} {{ yes }}", variables) == "Hi Alex, 3 1.5 true"
    assert names("{{ a }} and {{ b.c }}") == {"a", "b"}


@pytest.mark.parametrize("text", ["{{ missing }}", "{{ deep }}", "{{ deep.y.z }}"])
def test_what_is_not_there_is_told(text: str) -> None:
    with pytest.raises(TemplateError, match="variable"):
        render(text, {"deep": {"x": 1}})


def test_a_value_is_not_a_template() -> None:
    assert render("{{ a }}", {"a": "{{ b }}", "b": "secret"}) == "{{ b }}"


def test_values_are_written_as_a_person_would() -> None:
    variables = {"no": False, "big": 10**40, "list": [1], "n": -7}
    assert render("{{ no }} {{ n }}", variables) == "false -7"
    for name in ("big", "list"):
        with pytest.raises(TemplateError, match="no text or number"):
            render(f"{{{{ {name} }}}}", variables)


def test_a_text_that_grows_too_long_is_refused_before_it_is_built() -> None:
    with pytest.raises(TemplateError, match="longer"):
        render("{{ x }}" * 50_000, {"x": "y" * MAX_TEXT})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("greeting.wav", "/prompts/greeting.wav"),
        ("en/us/greeting.wav", "/prompts/en/us/greeting.wav"),
        ("tone_stream://%(500,250,440);loops=2", "tone_stream://%(500,250,440);loops=2"),
        ("silence_stream://1000", "silence_stream://1000"),
        ("https://example.com/a.wav", "http_cache://https://example.com/a.wav"),
    ],
)
def test_what_can_be_played(source: str, expected: str) -> None:
    assert playable(source, Prompts("/prompts/")) == expected


@pytest.mark.parametrize(
    "source",
    ["../etc/passwd", "a/../../b", "/etc/passwd", "a b.wav", "a.wav;b", "${x}", "say:hello", "tone_stream://x y",
     "silence_stream://0", "silence_stream://00",
     "http://u:p@host/x", "https://example.com/a.wav?x=$y", "file://x", "a.wav\nb", "", ".hidden/../x"],
)  # fmt: skip
def test_what_cannot_be_played(source: str) -> None:
    with pytest.raises(TemplateError):
        playable(source, Prompts("/prompts"))


@given(st.text(max_size=60))
def test_whatever_is_playable_is_one_word_without_syntax(source: str) -> None:
    try:
        played = playable(source, Prompts())
    except TemplateError:
        return
    assert not set(played) & (LIVE - {";"})
    assert " " not in played
    assert ".." not in played.split("/")


@given(st.text(max_size=40))
def test_nothing_leads_to_an_absolute_path(value: str) -> None:
    for template in ("{{ x }}", "/{{ x }}", "/etc/{{ x }}"):
        try:
            played = prompt(template, {"x": value}, Prompts())
        except TemplateError:
            continue
        assert not played.startswith("/")


def test_a_url_names_a_listed_host_whoever_wrote_it() -> None:
    rules = Prompts(hosts=("cdn.example",))
    for template, value in (
        ("{{ x }}", "https://10.0.0.1/a.wav"),
        ("https://{{ x }}/a.wav", "internal.example"),
        ("https://cdn.example:{{ x }}/a.wav", "8080"),
        ("https://any.example/a.wav", ""),
    ):
        with pytest.raises(TemplateError, match="prompt_hosts"):
            prompt(template, {"x": value}, rules)
    played = prompt("https://CDN.example/{{ x }}.wav", {"x": "hello"}, rules)
    assert played == "http_cache://https://CDN.example/hello.wav"
    assert playable("https://any.example/a.wav", Prompts()).startswith("http_cache://")


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("wss://a.example", True),
        ("wss://a.example:443/x", True),
        ("ws://a.example:443/x", False),
        ("wss://b.example/x", False),
        ("wss://b.example:9000?x", True),
        ("wss://[::1]:9000/x", True),
        ("wss://[::1]/x", False),
        ("wss://a.example@evil.test/", False),
        ("ftp://a.example/", False),
        ("a.example", False),
    ],
)
def test_a_listed_host_is_a_port_as_well(url: str, listed: bool) -> None:
    assert is_listed(url, ("a.example", "b.example:9000", "[::1]:9000")) is listed


def test_data_keep_their_types_and_are_bounded_as_a_whole() -> None:
    known = {"n": 3, "deep": {"a": [1, None]}, "long": "x" * 7_000}
    assert render_data({"a": "{{ n }}", "b": ["{{ deep }}", "n={{ n }}", 1.5, None]}, known) == {
        "a": 3, "b": [{"a": [1, None]}, "n=3", 1.5, None],
    }  # fmt: skip
    with pytest.raises(TemplateError, match="longer than"):
        render_data([["{{ long }}"] * 1_000] * 20, known)
    with pytest.raises(TemplateError, match="not defined"):
        render_data(["{{ nobody }}"], known)
    nested: Any = 1
    for _ in range(30):
        nested = [nested]
    with pytest.raises(TemplateError, match="deep"):
        render_data("{{ d }}", {"d": nested})
