"""`make demo`, as its user runs it: every outcome is the expected one, and `--json` prints call resources."""

from __future__ import annotations

import json

import pytest

from api.demo.run import run
from api.demo.scenarios import SCENARIOS, differences

pytestmark = pytest.mark.sim


def test_every_outcome_is_the_expected_one(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(as_json=True)
    output = capsys.readouterr()
    resources = [json.loads(line) for line in output.out.splitlines()]
    assert code == 0, output.err
    assert len(resources) == len(SCENARIOS)
    assert {resource["mode"] for resource in resources} == {"sync", "poll", "webhook"}


def test_a_wrong_outcome_is_found() -> None:
    scenario = SCENARIOS[0]
    assert differences(scenario, dict(scenario.expected), ()) == []
    assert differences(scenario, {**scenario.expected, "status": "Failed"}, ()) == [
        "status is 'Failed', expected 'Completed'"
    ]
    told = next(scenario for scenario in SCENARIOS if scenario.callbacks)
    assert "callbacks were none" in differences(told, dict(told.expected), ())[0]
