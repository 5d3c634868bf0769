"""What is spoken and said: every sign that FreeSWITCH reads stays out, and nothing that matters is lost."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.speech import Saying, sayable, speakable, unspeakable
from fsbridge.flow.document.template import TemplateError
from tests.unit.work import work

pytestmark = pytest.mark.unit

LIVE = set("${}|\"'\\`;<>\n\r\0")


def test_marks_are_letters_parts_and_what_would_be_lost_is_found() -> None:
    assert speakable("नमस्ते สวัสดี, don't |") == "नमस्ते สวัสดี, don\u2019t"
    assert unspeakable("Press # or *, {{ name }}: it's “free” \u2014 50 %! $5, 5 €, 21 °C, ₽") == ""
    assert unspeakable("a | {{ name }} {x}") == "{|}"


@pytest.mark.parametrize(
    ("text", "language", "spoken"),
    [
        ("It costs €5.", "en", "It costs 5 euros ."),
        ("It costs 12.50 €", "en", "It costs 12 euros 50"),
        ("£1", "en-gb", "1 pound"),
        ("$1,234.5 or 5$", "en", "1,234 dollars 50 or 5 dollars"),
        ("12,50 €", "de", "12 Euro 50"),
        ("1 € 1,00 €", "fr", "1 euro 1 euros 00"),
        ("1.000 €", "de", "1.000 Euro"),
        ("0.123 €", "en", "0.123 euros"),
        ("21.5 °C, 70 °F and 3°", "en", "21.5 degrees Celsius , 70 degrees Fahrenheit and 3 degrees"),
        ("21 °C", "de", "21 Grad Celsius"),
        ("the € rose", "en", "the euros rose"),
        ("5 ₽", "en", "5 ₽"),
        ("5 €, $5, 3 °C", "hu", "5 €, 5 dollar , 3 °C"),
        ("$$$", "en", "dollars dollars dollars"),
        ("5 ¥ 5 ₹ 5 ¢", "es", "5 yenes 5 rupias 5 centavos"),
    ],
)
def test_signs_are_spoken(text: str, language: str, spoken: str) -> None:
    assert speakable(text, language) == spoken


@given(st.text(max_size=300), st.sampled_from(["en", "de", "hu", ""]))
def test_nothing_that_freeswitch_reads_is_ever_spoken(text: str, language: str) -> None:
    try:
        spoken = speakable(text, language)
    except TemplateError:
        return
    assert not LIVE & set(spoken)
    assert spoken.isprintable()


@pytest.mark.parametrize("text", ["", " \n", "|||", "a" * 2_001])
def test_unspeakable(text: str) -> None:
    with pytest.raises(TemplateError):
        speakable(text)


@pytest.mark.parametrize("text", ["1" * 8_000, "1,000" * 1_600, "€ " * 4_000, "1 " * 4_000, "1.11." * 1_600])
def test_a_long_text_costs_what_it_is_long(text: str) -> None:
    def spoken() -> None:
        with pytest.raises(TemplateError, match="2000"):
            speakable(text)

    assert work(spoken) < 60 * len(text)


# --- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Saying.NUMBER, " 1234 ", "1234"),
        (Saying.DIGITS, "0049", "0049"),
        (Saying.MONEY, "12.5", "12.50"),  # .5 would be five cents
        (Saying.MONEY, "-12.05", "-12.05"),
        (Saying.MONEY, "12", "12"),
        (Saying.SPELLED, "AB12", "AB12"),
    ],
)
def test_values_as_mod_say_reads_them(kind: Saying, text: str, said: str) -> None:
    assert sayable(kind, text) == said


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        # All that mod_say_en answers with silence: tests by hand against 1.11.3-dev.
        (Saying.NUMBER, "-5"),
        (Saying.NUMBER, "1234567890"),
        (Saying.NUMBER, "1.5"),
        (Saying.DIGITS, "12a"),
        (Saying.MONEY, "1234567890"),
        (Saying.MONEY, "5."),
        (Saying.SPELLED, "a b"),
        (Saying.DATE, "23.11.2026"),
        (Saying.TIME, "25:00"),
        # It would say today's.
        (Saying.DATE, "1969-12-31"),
        (Saying.DATE, "1955-03-02"),
        (Saying.TIME, "1969-07-20T20:17"),
    ],
)
def test_values_that_it_would_not_say(kind: Saying, text: str) -> None:
    with pytest.raises(TemplateError):
        sayable(kind, text)


def heard(seconds: str) -> dt.datetime:
    """What FreeSWITCH makes of the seconds with timezone=1: one second east of Greenwich, whatever its own zone is."""
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=int(seconds) + 1)


@pytest.mark.parametrize("text", ["14:30", "2026-07-01T14:30", "2026-11-23T14:30:59+05:30", "2026-11-23T14:30Z"])
def test_a_time_is_said_as_it_is_written(text: str) -> None:
    found = heard(sayable(Saying.TIME, text))
    assert (found.hour, found.minute) == (14, 30)


@given(st.dates(dt.date(1970, 1, 2), dt.date(9999, 12, 31)))
def test_a_date_is_said_as_it_is_written(day: dt.date) -> None:
    assert heard(sayable(Saying.DATE, day.isoformat())).date() == day


@pytest.mark.parametrize(("value", "kind"), [("-5", "number"), ("1955-03-02", "date"), ("x", "money")])
def test_a_document_with_a_value_that_is_never_said_is_refused(value: str, kind: str) -> None:
    with pytest.raises(FlowInvalid, match=r"step a: say\.value"):
        parse(f"steps: [{{id: a, say: {{value: '{value}', as: {kind}}}}}]")
    assert parse(f"steps: [{{id: a, say: {{value: '{{{{ v }}}}', as: {kind}}}}}]").body.steps[0].say is not None
