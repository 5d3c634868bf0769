"""Logs: one line a fact, no secrets, nothing forged."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.logs import configure, mask_number

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    chatty = {name: logging.getLogger(name).level for name in ("urllib3", "requests", "asyncio")}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in chatty.items():
        logging.getLogger(name).setLevel(before)


def test_json_lines() -> None:
    out = io.StringIO()
    configure("json", "info", out)
    structlog.get_logger("fsbridge.call").info("call_status", session_id="s1", status="Queued", big=2**80)
    logging.getLogger("some.library").warning("has %d things\nto say", 2)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert {k: first[k] for k in ("event", "logger", "level", "session_id", "status")} == {
        "event": "call_status",
        "logger": "fsbridge.call",
        "level": "info",
        "session_id": "s1",
        "status": "Queued",
    }
    assert first["timestamp"].endswith("Z")
    assert second["event"] == "has 2 things\nto say"
    assert second["logger"] == "some.library"


@pytest.mark.parametrize("style", ["json", "human"])
def test_an_exception_is_shown_without_the_values_of_variables(style: str) -> None:
    out = io.StringIO()
    configure(style, "info", out)  # type: ignore[arg-type]
    local_secret = "hunter2"
    try:
        raise ValueError(len(local_secret))
    except ValueError:
        structlog.get_logger("x").exception("task_failed")
    assert "ValueError: 7" in out.getvalue()
    assert local_secret not in out.getvalue()
    if style == "json":
        assert len(out.getvalue().splitlines()) == 1


@pytest.mark.parametrize("style", ["json", "human"])
def test_secrets_are_dropped(style: str) -> None:
    out = io.StringIO()
    configure(style, "debug", out)  # type: ignore[arg-type]
    structlog.get_logger("x").info(
        "e", password="hunter2", Authorization="hunter2", d={"webhook_auth": "hunter2", "k": 1}
    )
    assert "hunter2" not in out.getvalue()
    assert out.getvalue().count("[hidden]") == 3


@pytest.mark.parametrize("style", ["json", "human"])
@pytest.mark.parametrize(
    "text", ["a\nfake line", "a\r\nb", "\x1b[31mred", "\u2028", "\ud800", "\x85", "a\u202eb", "\x9b31m"]
)
def test_no_value_can_forge_a_line(style: str, text: str) -> None:
    out = io.StringIO()
    configure(style, "info", out)  # type: ignore[arg-type]
    structlog.get_logger("x").info(text, value=text)
    logging.getLogger("y").warning(text)
    written = out.getvalue()
    # JSON lines end at \n and nowhere else; people's terminals know more line ends.
    assert len(written.rstrip("\n").split("\n") if style == "json" else written.splitlines()) == 2
    assert written.replace("\n", "").isprintable()


def test_levels_and_quiet_libraries() -> None:
    out = io.StringIO()
    configure("human", "warning", out)
    structlog.get_logger("x").info("not this")
    structlog.get_logger("x").warning("but this")
    configure("human", "debug", out)
    logging.getLogger("urllib3.connectionpool").info("not this")
    logging.getLogger("urllib3.connectionpool").error("and this")
    assert "not this" not in out.getvalue()
    assert "but this" in out.getvalue()
    assert "and this" in out.getvalue()


def test_no_colours_unless_on_a_terminal() -> None:
    out = io.StringIO()
    configure("human", "info", out)
    structlog.get_logger("x").info("plain", key="value")
    assert "\x1b" not in out.getvalue()
    assert "key=value" in out.getvalue()


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+15551234567", "+1555…67"),
        ("15551234567", "1555…67"),
        ("+123456", "+12…56"),
        ("1000", "1…"),
        ("", ""),
        ("sip:+15551234567@carrier.example", "sip:+1555…67@carrier.example"),
        ("sips:bob@example.com;transport=tcp", "sips:b…@example.com;transport=tcp"),
        ("sip:example.com", "sip:example.com"),
    ],
)
def test_masked_numbers(number: str, masked: str) -> None:
    assert mask_number(number) == masked


@given(st.from_regex(r"\+?[0-9]{3,15}", fullmatch=True))
def test_a_masked_number_hides_at_least_two_digits(number: str) -> None:
    assert len(mask_number(number).replace("…", "")) <= len(number) - 2
