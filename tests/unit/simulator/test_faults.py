"""Armed faults: what they strike, and how often."""

from __future__ import annotations

import pytest

from fsbridge.simulator.faults import NOT_UTF8, Faults, Treatment

pytestmark = pytest.mark.unit

PLAIN = Treatment()


@pytest.fixture
def faults() -> Faults:
    return Faults(lambda: None, lambda seconds: None)


def test_a_fault_strikes_as_often_as_it_was_armed(faults: Faults) -> None:
    faults.lose_event("A", 2)
    assert [faults.treatment("A", "").copies for _ in range(3)] == [0, 0, 1]
    faults.duplicate_uuid()
    assert [faults.takes_uuid(), faults.takes_uuid()] == [True, False]
    faults.silent_taps(2)
    assert [faults.silences_tap() for _ in range(3)] == [True, True, False]


def test_an_event_of_a_module_is_named_by_its_subclass(faults: Faults) -> None:
    faults.delay_event("x::y", 2.0)
    assert faults.treatment("CUSTOM", "x::y").delay == 2.0
    assert faults.treatment("CUSTOM", "x::z") == faults.treatment("CUSTOM", "") == PLAIN
    # Without a number of times it is for good.
    assert faults.treatment("CUSTOM", "x::y").delay == 2.0


def test_commands_are_named_by_how_they_begin(faults: Faults) -> None:
    faults.never_reply("api st")
    assert [faults.swallows(line) for line in ("api hostname", "api status", "api status")] == [False, True, False]
    faults.late_reply("bgapi", 1.5, times=2)
    assert [faults.lateness(line) for line in ("api x", "bgapi x", "bgapi y", "bgapi z")] == [0, 1.5, 1.5, 0]


def test_several_faults_strike_the_same_event(faults: Faults) -> None:
    faults.double_event("A")
    faults.delay_event("A", 1.0, times=1)
    faults.put_after("A", "B")
    faults.spoil_event("A", NOT_UTF8)
    faults.empty_body("A")
    assert faults.treatment("A", "") == Treatment(2, 1.0, "B", NOT_UTF8, True)
    assert faults.treatment("A", "") == PLAIN


def test_what_is_lost_meets_no_other_fault(faults: Faults) -> None:
    faults.lose_event("A")
    faults.double_event("A")
    assert [faults.treatment("A", "").copies for _ in range(3)] == [0, 2, 1]


def test_clear_disarms_everything(faults: Faults) -> None:
    for arm in (faults.lose_event, faults.double_event, faults.spoil_event, faults.empty_body, faults.drop_after):
        arm("A")
    faults.silent_taps()
    faults.duplicate_uuid()
    faults.never_reply("api")
    faults.clear()
    assert faults.treatment("A", "") == PLAIN
    assert not any((faults.drops_after("A", ""), faults.silences_tap(), faults.takes_uuid(), faults.swallows("api x")))
