"""Outcomes of cases → figures with their uncertainty. Pure numbers; nothing is read, run or printed here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from amd_model.detector.spec import CLASSES, TICK_MS
from amd_model.verdict import Verdict

SECONDS_HEARD: Final = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
BEEP_TOLERANCE_MS: Final = 250  # further away it is another sound
MAX_SUBSETS: Final = 20
"""Of one column; of one with more values the largest are shown, and all others together."""
_Z: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case; times in ms since the first sample, −1 where unknown."""

    file: str
    label: Verdict
    verdict: Verdict
    confidence: float
    decided_ms: int
    reason: str
    posteriors: Sequence[Sequence[float]]
    rule: Verdict
    rule_ms: int
    first_word_ms: int = -1
    turn_end_ms: int = -1
    beep_ms: int = -1
    beep_known: bool = False
    found_beep_ms: int = -1
    subsets: dict[str, str] = field(default_factory=dict)


def rate(hits: int, total: int) -> dict[str, Any]:
    """A share with its 95 % Wilson interval; ``value`` is None when there was nothing to count."""
    if not total:
        return {"value": None, "low": None, "high": None, "n": 0}
    share = hits / total
    spread = _Z * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    low = (share + _Z**2 / (2 * total) - spread) / (1 + _Z**2 / total)
    high = (share + _Z**2 / (2 * total) + spread) / (1 + _Z**2 / total)
    return {"value": round(share, 5), "low": round(max(0.0, low), 5), "high": round(min(1.0, high), 5), "n": total}


def quantiles(values: Sequence[float]) -> dict[str, Any]:
    """Median and 95th percentile (nearest rank), None when empty."""
    if not values:
        return {"p50": None, "p95": None, "n": 0}
    ordered = sorted(values)
    ranks = (max(0, math.ceil(share * len(ordered)) - 1) for share in (0.5, 0.95))
    p50, p95 = (ordered[rank] for rank in ranks)
    return {"p50": p50, "p95": p95, "n": len(ordered)}


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything the report shows about these cases, subsets included."""
    body = _core(outcomes, lambda o: o.verdict)
    body["decisionMs"] = _timing(outcomes, lambda o: o.decided_ms)
    body["sinceFirstWordMs"] = _timing(
        [o for o in outcomes if o.first_word_ms >= 0], lambda o: o.decided_ms - o.first_word_ms
    )
    people = [
        o for o in outcomes if o.verdict is o.label is Verdict.LIVE_PERSON and 0 <= o.first_word_ms < o.turn_end_ms
    ]
    short = [o for o in people if o.turn_end_ms - o.first_word_ms < 1_000]
    long = [o for o in people if o.turn_end_ms - o.first_word_ms >= 1_000]
    body["person"] = {
        "shortSinceFirstWordMs": quantiles([o.decided_ms - o.first_word_ms for o in short]),
        "longSinceTurnEndMs": quantiles([o.decided_ms - o.turn_end_ms for o in long]),
    }
    body["bySecondsHeard"] = {str(seconds): _heard(outcomes, seconds) for seconds in SECONDS_HEARD}
    body["calibration"] = calibration(outcomes)
    body["beep"] = beeps(outcomes)
    rule = _core(outcomes, lambda o: o.rule)
    rule["decisionMs"] = _timing(outcomes, lambda o: o.rule_ms)
    rule["ran"] = any(o.rule_ms for o in outcomes)
    body["timingRule"] = rule
    body["subsets"], body["subsetNotes"] = _subsets(outcomes)
    return body


def _subsets(outcomes: Sequence[Outcome]) -> tuple[dict[str, Any], list[str]]:
    """Figures by the values of each column, and what is not shown of them."""
    subsets: dict[str, Any] = {}
    notes = []
    for name in sorted({name for o in outcomes for name in o.subsets}):
        counts = Counter(o.subsets[name] for o in outcomes if name in o.subsets)
        shown = {value: value for value in counts}
        if len(counts) > MAX_SUBSETS:
            if max(counts.values()) == 1:
                notes.append(f"{name}: each of its {len(counts)} values is one case's own, which makes no subsets")
                continue
            largest = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_SUBSETS]
            others = f"({len(counts) - MAX_SUBSETS} others)"
            shown = {value: value if value in largest else others for value in counts}
            notes.append(f"{name}: has {len(counts)} values; the {MAX_SUBSETS} with the most cases are shown")
        groups: dict[str, list[Outcome]] = {}
        for o in outcomes:
            if name in o.subsets:
                groups.setdefault(shown[o.subsets[name]], []).append(o)
        subsets[name] = {group: _core(groups[group], lambda o: o.verdict) for group in sorted(groups)}
    return subsets, notes


def _core(outcomes: Sequence[Outcome], verdict: Callable[[Outcome], Verdict]) -> dict[str, Any]:
    confusion = {
        label.value: {said.value: sum(o.label is label and verdict(o) is said for o in outcomes) for said in CLASSES}
        for label in CLASSES
    }
    totals = {name: sum(row.values()) for name, row in confusion.items()}
    live, machine = Verdict.LIVE_PERSON.value, Verdict.ANSWERING_MACHINE.value
    return {
        "cases": len(outcomes),
        "accuracy": rate(sum(confusion[c.value][c.value] for c in CLASSES), len(outcomes)),
        "recall": {c.value: rate(confusion[c.value][c.value], totals[c.value]) for c in CLASSES},
        "peopleTakenForMachines": rate(confusion[live][machine], totals[live]),
        "machinesTakenForPeople": rate(confusion[machine][live], totals[machine]),
        "confusion": confusion,
    }


def _timing(outcomes: Sequence[Outcome], value: Callable[[Outcome], int]) -> dict[str, Any]:
    return {c.value: quantiles([value(o) for o in outcomes if o.label is c]) for c in CLASSES}


def _heard(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Would the likeliest class after so many seconds (of what there is) have been right?"""
    tick = int(seconds * 1_000 / TICK_MS)
    right = 0
    for o in outcomes:
        if o.posteriors:
            posterior = o.posteriors[min(tick, len(o.posteriors)) - 1]
            right += CLASSES[max(range(len(CLASSES)), key=posterior.__getitem__)] is o.label
    return rate(right, len(outcomes))


def calibration(outcomes: Sequence[Outcome], bins: int = 10) -> dict[str, Any]:
    """Confidence of the verdicts against how often they were right, and the expected calibration error."""
    groups: list[list[Outcome]] = [[] for _ in range(bins)]
    for o in outcomes:
        groups[min(bins - 1, int(o.confidence * bins))].append(o)
    diagram = []
    error = 0.0
    for group in groups:
        if group:
            confidence = sum(o.confidence for o in group) / len(group)
            right = sum(o.verdict is o.label for o in group) / len(group)
            error += len(group) / len(outcomes) * abs(confidence - right)
            diagram.append({"confidence": round(confidence, 4), "right": round(right, 4), "n": len(group)})
    return {"ece": round(error, 4), "diagram": diagram}


def beeps(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Beeps of the cases that say where theirs is (or that there is none); the start is compared."""
    known = [o for o in outcomes if o.beep_known]
    having = [o for o in known if o.beep_ms >= 0]
    errors = [
        abs(o.found_beep_ms - o.beep_ms)
        for o in having
        if o.found_beep_ms >= 0 and abs(o.found_beep_ms - o.beep_ms) <= BEEP_TOLERANCE_MS
    ]
    found = sum(o.found_beep_ms >= 0 for o in known)
    greetings = [o for o in known if o.label is Verdict.ANSWERING_MACHINE]
    false = sum(
        o.found_beep_ms >= 0 and (o.beep_ms < 0 or abs(o.found_beep_ms - o.beep_ms) > BEEP_TOLERANCE_MS)
        for o in greetings
    )
    return {
        "recall": rate(len(errors), len(having)),
        "precision": rate(len(errors), found),
        "falseInGreetings": rate(false, len(greetings)),
        "errorMs": quantiles(errors),
    }
