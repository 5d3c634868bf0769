"""Figures from outcomes, checked against hand counts."""

import pytest

from amd_model.evaluation.metrics import Outcome, beeps, calibration, quantiles, rate, summarise
from amd_model.verdict import Verdict

pytestmark = pytest.mark.unit

LIVE, MACHINE, FAX, UNKNOWN = Verdict


def outcome(label, verdict, confidence=0.9, decided=2_000, **more):
    values = {"first_word_ms": 500, "turn_end_ms": 1_200, "posteriors": [(0.7, 0.1, 0.1, 0.1)] * 30, **more}
    return Outcome("f", label, verdict, confidence, decided, "phrase", rule=UNKNOWN, rule_ms=5_000, **values)


def test_wilson():
    assert rate(0, 0)["value"] is None
    share = rate(95, 100)
    # The textbook value for 95 of 100.
    assert (share["value"], share["low"], share["high"]) == (
        0.95,
        pytest.approx(0.8882, abs=5e-4),
        pytest.approx(0.9785, abs=5e-4),
    )
    assert rate(10, 10)["high"] == 1.0


def test_quantiles_are_nearest_rank():
    assert quantiles([]) == {"p50": None, "p95": None, "n": 0}
    assert quantiles(list(range(1, 101))) == {"p50": 50, "p95": 95, "n": 100}
    assert quantiles([7.0]) == {"p50": 7.0, "p95": 7.0, "n": 1}


def test_summary_counts():
    outcomes = [
        outcome(LIVE, LIVE, subsets={"voice": "human"}),
        outcome(LIVE, MACHINE, subsets={"voice": "synthetic"}),
        outcome(LIVE, LIVE, decided=4_000, turn_end_ms=3_400, subsets={"voice": "human"}),
        outcome(MACHINE, LIVE),
        outcome(FAX, FAX, first_word_ms=-1, turn_end_ms=-1),
    ]
    body = summarise(outcomes)
    assert body["accuracy"]["value"] == 0.6
    assert body["recall"]["live_person"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert body["peopleTakenForMachines"]["n"] == 3
    assert body["machinesTakenForPeople"]["value"] == 1.0
    assert body["confusion"]["live_person"]["answering_machine"] == 1
    assert body["person"]["shortSinceFirstWordMs"] == {"p50": 1_500, "p95": 1_500, "n": 1}
    assert body["person"]["longSinceTurnEndMs"]["p50"] == 600
    assert body["subsets"]["voice"]["human"]["accuracy"]["value"] == 1.0
    assert body["bySecondsHeard"]["1.0"]["value"] == 0.6
    assert body["timingRule"]["accuracy"]["value"] == 0.0


def test_calibration():
    outcomes = [outcome(LIVE, LIVE, 0.75)] * 3 + [outcome(LIVE, MACHINE, 0.75)] + [outcome(FAX, FAX, 1.0)] * 4
    body = calibration(outcomes)
    assert body["ece"] == 0.0
    assert calibration([outcome(LIVE, MACHINE, 0.95)])["ece"] == 0.95


def test_beeps():
    outcomes = [
        outcome(MACHINE, MACHINE, beep_known=True, beep_ms=5_000, found_beep_ms=5_040),
        outcome(MACHINE, MACHINE, beep_known=True, beep_ms=5_000, found_beep_ms=3_000),
        outcome(MACHINE, MACHINE, beep_known=True, beep_ms=-1, found_beep_ms=-1),
        outcome(MACHINE, MACHINE, found_beep_ms=100),
    ]
    body = beeps(outcomes)
    assert (body["recall"]["value"], body["precision"]["value"]) == (0.5, 0.5)
    assert body["falseInGreetings"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert body["errorMs"]["p50"] == 40
