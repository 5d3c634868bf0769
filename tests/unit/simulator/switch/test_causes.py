"""Causes and statuses, each from the other."""

from __future__ import annotations

import pytest

from fsbridge.simulator.switch import causes

pytestmark = pytest.mark.unit


def test_every_status_has_a_cause_and_every_cause_a_code() -> None:
    assert causes.of_status(486) == "USER_BUSY"
    assert causes.of_status(499) == "NORMAL_UNSPECIFIED"
    assert causes.q850("ORIGINATOR_CANCEL") == 16
    assert causes.q850("SOMETHING_NEW") == 31
    assert causes.phrase(486) == "Busy Here"
    assert causes.phrase(499) == "Failure"
    assert all(causes.of_status(status) in causes.CODES for status in range(400, 700))
