"""Identifiers and times."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.clock import SystemClock, rfc3339
from fsbridge.model.ids import is_uuid, new_uuid

pytestmark = pytest.mark.unit


@given(st.uuids())
def test_canonical_uuids(value: uuid.UUID) -> None:
    assert is_uuid(str(value))
    assert not is_uuid(str(value).upper()) or str(value).upper() == str(value)
    assert not is_uuid(value.hex)
    assert not is_uuid(f"{{{value}}}")


@pytest.mark.parametrize(
    "text", ["", "x", "6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10\n", " 6f1c0a52-3a51-4d0c-9a0e-0f2f1f6f4a10"]
)
def test_nothing_else_is_one(text: str) -> None:
    assert not is_uuid(text)


def test_new_uuids_are_random_version_4() -> None:
    made = {new_uuid() for _ in range(100)}
    assert len(made) == 100
    assert {uuid.UUID(text).version for text in made} == {4}
    assert all(is_uuid(text) for text in made)


@pytest.mark.parametrize(
    ("wall", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_769_860_800.25, "2026-01-31T12:00:00.250Z"),
        (1_769_860_800.9999, "2026-01-31T12:00:00.999Z"),
    ],
)
def test_rfc3339(wall: float, text: str) -> None:
    assert rfc3339(wall) == text


@given(st.floats(0, 4e9))
def test_rfc3339_reads_back_to_the_millisecond(wall: float) -> None:
    assert datetime.fromisoformat(rfc3339(wall)).timestamp() == pytest.approx(wall, abs=0.0011)


def test_the_machines_clocks() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert abs(clock.wall() - datetime.now(UTC).timestamp()) < 5
    assert abs(clock.monotonic() - time.monotonic()) < 5
