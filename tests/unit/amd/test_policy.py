"""Verdict × what the caller asked for, and what is known after each event of the detector."""

from __future__ import annotations

import pytest

from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Mode, Reason, Verdict
from fsbridge.amd.policy import hear, refusal, waits_for_message_end
from fsbridge.model.call import Analysis
from fsbridge.model.outcome import FailureReason

pytestmark = pytest.mark.unit

EVERYTHING = frozenset({Verdict.LIVE_PERSON, Verdict.ANSWERING_MACHINE, Verdict.UNKNOWN})
MACHINE = Analysis(Verdict.ANSWERING_MACHINE, 0.9, Reason.LONG_GREETING, 2_000)
MESSAGE_END = AmdOptions(mode=Mode.MESSAGE_END)


@pytest.mark.parametrize("result", list(Verdict))
def test_a_verdict_is_allowed_exactly_if_it_is_asked_for_and_no_fax(result: Verdict) -> None:
    assert (refusal(result, EVERYTHING) is None) == (result is not Verdict.FAX)
    assert refusal(result, frozenset()) is not None


def test_the_refusals_words() -> None:
    assert refusal(Verdict.FAX, EVERYTHING) is FailureReason.FAX
    assert refusal(Verdict.ANSWERING_MACHINE, frozenset()) is FailureReason.ANSWERING_MACHINE
    assert refusal(Verdict.LIVE_PERSON, frozenset()) is FailureReason.UNKNOWN


def test_only_a_machine_in_message_end_mode_is_waited_for() -> None:
    assert waits_for_message_end(MACHINE, MESSAGE_END)
    assert not waits_for_message_end(MACHINE, AmdOptions())
    assert not waits_for_message_end(MACHINE, None)
    assert not waits_for_message_end(Analysis(Verdict.LIVE_PERSON), MESSAGE_END)
    assert not waits_for_message_end(hear(MACHINE, AmdEvent(EventKind.BEEP, 9_000)), MESSAGE_END)
    assert not waits_for_message_end(hear(MACHINE, AmdEvent(EventKind.GREETING_END, 8_000)), MESSAGE_END)


def test_what_is_heard_adds_up() -> None:
    first = AmdEvent(EventKind.VERDICT, 2_000, Verdict.ANSWERING_MACHINE, 0.9, Reason.LONG_GREETING, model_version="m1")
    known = hear(None, first)
    assert (known.result, known.decided_after_ms, known.model_version) == (Verdict.ANSWERING_MACHINE, 2_000, "m1")
    known = hear(known, AmdEvent(EventKind.GREETING_END, 8_000))
    known = hear(known, AmdEvent(EventKind.BEEP, 9_100, beep_ms=9_000, greeting_end_ms=7_900))
    known = hear(known, AmdEvent(EventKind.BEEP, 12_000))
    assert (known.greeting_end_ms, known.beep_ms) == (8_000, 9_000)


def test_a_second_verdict_changes_nothing_and_a_correction_does() -> None:
    assert hear(MACHINE, AmdEvent(EventKind.VERDICT, 3_000, Verdict.FAX)) == MACHINE
    corrected = hear(MACHINE, AmdEvent(EventKind.CORRECTION, 3_000, Verdict.LIVE_PERSON, 0.8))
    assert (corrected.result, corrected.decided_after_ms) == (Verdict.LIVE_PERSON, 3_000)
    assert hear(MACHINE, AmdEvent(EventKind.CORRECTION, 3_000)) == MACHINE
    assert hear(None, AmdEvent(EventKind.VERDICT, 3_000)).result is Verdict.UNKNOWN
