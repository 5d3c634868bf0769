"""Dial strings, read as FreeSWITCH reads them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.simulator.legs import dialstring

pytestmark = pytest.mark.unit


def test_a_dial_string_is_read_as_freeswitch_reads_it() -> None:
    dial = dialstring.parse(
        "{^^;a=1;b='x y;z';c=${uuid}-;novalue}{d=it\\'s}sofia/gateway/gw/+1555 &playback(a.wav) XML default"
    )
    assert dial.variables == {"a": "1", "b": "x y;z", "c": "-", "d": "it's"}
    assert (dial.gateway, dial.profile, dial.target, dial.user) == ("gw", "external", "+1555", "+1555")
    assert (dial.application, dial.application_argument) == ("playback", "a.wav")
    assert dialstring.parse("sofia/internal/sip:bob@h:5060 &park()").user == "bob"


@given(st.text(max_size=60))
def test_any_dial_string_is_read_or_refused(text: str) -> None:
    for argument in (text, f"{{{text}}}sofia/gateway/g/1 &park()", f"sofia/external/{text} &park()"):
        with suppress(dialstring.DialStringInvalid):
            assert dialstring.parse(argument).target
