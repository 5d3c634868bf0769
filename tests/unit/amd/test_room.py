"""How many streams more the detector's workers can take."""

from __future__ import annotations

import pytest

from fsbridge.amd.workers import Worker, WorkerPool
from fsbridge.clock import SystemClock
from fsbridge.settings.amd import AmdSettings
from fsbridge.supervise import Supervisor

pytestmark = pytest.mark.unit

URLS = ("ws://one/amd", "ws://two/amd")


def pool(*workers: dict[str, object]) -> WorkerPool:
    made = WorkerPool(AmdSettings(urls=URLS), Supervisor(), SystemClock())
    for worker, known in zip(made.workers, workers, strict=True):
        assert isinstance(worker, Worker)
        for name, value in known.items():
            setattr(worker, name, value)
    return made


@pytest.mark.parametrize(
    ("first", "second", "listening", "room"),
    [
        ({"ready": True, "capacity": 10, "streams": 4}, {"ready": True, "capacity": 10, "streams": 0}, 0, 16),
        # What we know of is more than what the last health check had seen.
        ({"ready": True, "capacity": 10, "streams": 4}, {"ready": True, "capacity": 10, "streams": 0}, 9, 11),
        # One that is full, or drains, takes none, whatever its capacity.
        ({"ready": True, "capacity": 10, "streams": 4, "free": False}, {"ready": True, "capacity": 10}, 0, 10),
        ({"ready": False, "capacity": 10}, {"ready": True, "capacity": 2, "streams": 2, "free": False}, 0, 0),
    ],
)
def test_room(first: dict[str, object], second: dict[str, object], listening: int, room: int) -> None:
    assert pool(first, second).room(listening) == room
