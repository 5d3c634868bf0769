"""Fixtures of the tests that speak to a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fsbridge.clock import SystemClock
from fsbridge.simulator import Simulator, SimulatorSettings
from tests.sim.simulator_helpers import simulated


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulated node with the built-in far ends, twenty times as fast as real time."""
    with simulated(SimulatorSettings(speed=20.0), SystemClock()) as (running, _):
        yield running
