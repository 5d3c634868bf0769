"""How long a failed webhook waits: planned, asked for, and what is left of it after a restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.webhook.patience import JITTER, RETRY_AFTER_MAX_S, left_of, next_pause

pytestmark = pytest.mark.unit

DELAYS = WebhookSettings().retry_delays_s


def test_pauses_follow_the_plan_with_jitter() -> None:
    assert [next_pause(n, DELAYS, None, 1.0) for n in (1, 2, 3)] == pytest.approx([6.0, 36.0, 144.0])
    assert next_pause(1, DELAYS, None, 0.0) == pytest.approx(4.0)
    assert next_pause(len(DELAYS), DELAYS, None, 0.5) == pytest.approx(86_400)
    assert next_pause(len(DELAYS) + 1, DELAYS, 5.0, 0.5) is None
    assert next_pause(1, (), None, 0.5) is None


def test_a_receiver_may_ask_for_more_but_not_for_less() -> None:
    assert next_pause(1, DELAYS, 90.0, 1.0) == 90.0
    assert next_pause(3, DELAYS, 1.0, 0.5) == pytest.approx(120.0)


def test_what_is_left_after_a_restart() -> None:
    assert left_of(1_030.0, 2, DELAYS, 1_010.0) == 20.0
    assert left_of(1_030.0, 2, DELAYS, 1_031.0) == 0.0
    assert left_of(1_000.0, 0, DELAYS, 100.0) == 0.0  # never tried: due, whatever the clock says


@given(
    attempts=st.integers(0, 20),
    next_at=st.floats(-1e12, 1e12),
    wall=st.floats(-1e12, 1e12),
    delays=st.lists(st.floats(0, 1e6), max_size=10),
)
def test_no_clock_makes_a_pause_longer_than_it_can_be(
    attempts: int, next_at: float, wall: float, delays: list[float]
) -> None:
    left = left_of(next_at, attempts, delays, wall)
    assert 0.0 <= left <= max([RETRY_AFTER_MAX_S, *(delay * (1 + JITTER) for delay in delays)])


@given(attempts=st.integers(1, len(DELAYS)), chance=st.floats(0, 1), asked=st.none() | st.floats(0, RETRY_AFTER_MAX_S))
def test_a_pause_just_begun_is_left_whole(attempts: int, chance: float, asked: float | None) -> None:
    pause = next_pause(attempts, DELAYS, asked, chance)
    assert pause is not None
    assert left_of(1_000.0 + pause, attempts, DELAYS, 1_000.0) == pytest.approx(pause)
