"""Verdict × what the caller asked for → may the flow run, and why not. Pure.

The rule is the REST contract's: the flow runs only for a verdict in `callAnalysis`; a fax is never in it.
"""

from __future__ import annotations

from dataclasses import replace

from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Mode, Verdict
from fsbridge.model.call import Analysis
from fsbridge.model.outcome import FailureReason

_EXCLUDED = {
    Verdict.ANSWERING_MACHINE: FailureReason.ANSWERING_MACHINE,
    Verdict.FAX: FailureReason.FAX,
    Verdict.UNKNOWN: FailureReason.UNKNOWN,
    # The contract has no word for "a person answered, and persons were not wanted".
    Verdict.LIVE_PERSON: FailureReason.UNKNOWN,
}


def refusal(result: Verdict, allowed: frozenset[Verdict]) -> FailureReason | None:
    """Why the flow may not run for this verdict, or None if it may."""
    if result in allowed and result is not Verdict.FAX:
        return None
    return _EXCLUDED[result]


def waits_for_message_end(analysis: Analysis, options: AmdOptions | None) -> bool:
    """Whether the flow has to wait for the greeting's end: a machine, in message_end mode, not yet heard out."""
    return (
        analysis.result is Verdict.ANSWERING_MACHINE
        and options is not None
        and options.mode is Mode.MESSAGE_END
        and analysis.beep_ms is None
        and analysis.greeting_end_ms is None
    )


def hear(analysis: Analysis | None, event: AmdEvent) -> Analysis:
    """What is known after one more event of the detector.

    A second verdict is ignored (the detector gives one; a duplicated event must change nothing); a correction
    replaces the first one.
    """
    if analysis is None or event.kind is EventKind.CORRECTION:
        if event.result is None:
            return analysis or Analysis(Verdict.UNKNOWN)
        return Analysis(
            result=event.result,
            confidence=event.confidence,
            reason=event.reason,
            decided_after_ms=event.at_ms,
            greeting_end_ms=event.greeting_end_ms,
            beep_ms=event.beep_ms,
            model_version=event.model_version,
            answerer=event.answerer,
            language=event.language,
            transcript=event.transcript,
        )
    beep, ended = analysis.beep_ms, analysis.greeting_end_ms
    if event.kind is EventKind.BEEP and beep is None:
        beep = event.beep_ms if event.beep_ms is not None else event.at_ms
    if event.kind in (EventKind.GREETING_END, EventKind.BEEP) and ended is None:
        ended = event.greeting_end_ms
        if ended is None and event.kind is EventKind.GREETING_END:
            ended = event.at_ms
    return replace(analysis, beep_ms=beep, greeting_end_ms=ended)
