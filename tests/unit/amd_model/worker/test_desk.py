"""The worker's side of the words, against real processes that read: quick, slow, dying, talking nonsense."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from amd_model.detector.evidence import WordEvidence
from amd_model.worker.desk import DEADLINE_S, MOST_WAITING, Budget, Desk

pytestmark = pytest.mark.unit

PATIENCE_S = 20.0

GOOD = """
import os, sys
from amd_model.words.desk import Answer, Requests
from amd_model.words.process import READY
from amd_model.detector.evidence import WordEvidence
os.write(1, READY)
requests = Requests()
while data := os.read(0, 1 << 16):
    for request in requests.feed(data):
        text = str(len(request.pcm))
        os.write(1, Answer(request.key, WordEvidence(0.9, 0.8, request.until_ms, text=text), cpu_s=0.01).encode())
"""
SILENT = """
import os
from amd_model.words.process import READY
os.write(1, READY)
while os.read(0, 1 << 16):
    pass
"""
DYING = """
import os
from amd_model.words.process import READY
os.write(1, READY)
os.read(0, 1)
"""
NONSENSE = """
import os
from amd_model.words.process import READY
os.write(1, READY)
while os.read(0, 1 << 16):
    os.write(1, b"what?\\n")
"""


class Told:
    def __init__(self) -> None:
        self.words: list[WordEvidence | None] = []

    def looked(self, words: WordEvidence | None) -> None:
        self.words.append(words)


class House:
    def __init__(self, program: str, clock: Callable[[], float] = time.monotonic, budget: float = 4.0) -> None:
        self.counts: Counter[str] = Counter()
        self.spent: list[float] = []
        self.desk = Desk(
            [sys.executable, "-c", program],
            clock,
            lambda outcome: self.counts.update([outcome]),
            self.spent.append,
            budget,
        )

    def until(self, condition: Callable[[], bool]) -> None:
        """Turn as the sweep does, until it holds; the deadline is for a test that fails."""
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, self.counts
            self.desk.turn()
            time.sleep(0.005)


@pytest.fixture
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    made = House(request.param)
    yield made
    made.desk.close()


@pytest.mark.parametrize("house", [GOOD], indirect=True)
def test_a_look_comes_back_with_its_words(house: House) -> None:
    house.until(lambda: house.desk.ready)
    told = Told()
    assert house.desk.ask(b"\0" * 3_200, 1_700, told)
    house.until(lambda: bool(told.words))
    assert told.words == [WordEvidence(0.9, 0.8, 1_700, text="3200")]
    assert house.counts == {"words": 1}
    assert house.spent == [0.01]


@pytest.mark.parametrize("house", [GOOD], indirect=True)
def test_nothing_is_taken_before_it_is_ready(house: House) -> None:
    assert not house.desk.ask(b"\0" * 320, 100, Told())
    assert house.counts == {"no_reader": 1}


@pytest.mark.parametrize("house", [SILENT], indirect=True)
def test_no_more_than_can_be_done_is_taken_and_what_is_late_is_given_up(house: House) -> None:
    house.until(lambda: house.desk.ready)
    told = [Told() for _ in range(MOST_WAITING + 3)]
    taken = [house.desk.ask(b"\0" * 320, 100, one) for one in told]
    assert taken == [True] * MOST_WAITING + [False] * 3
    assert house.counts["busy"] == 3
    began = time.monotonic()
    house.until(lambda: all(one.words == [None] for one in told[:MOST_WAITING]))
    assert time.monotonic() - began >= DEADLINE_S / 2
    assert all(one.words == [] for one in told[MOST_WAITING:])


@pytest.mark.parametrize("house", [DYING, NONSENSE], indirect=True)
def test_a_reader_that_fails_gives_looks_back_and_comes_again(house: House) -> None:
    house.until(lambda: house.desk.ready)
    told = Told()
    assert house.desk.ask(b"\0" * 320, 100, told)
    house.until(lambda: not house.desk.ready)
    assert told.words == [None]
    assert house.counts == {"lost": 1}
    house.until(lambda: house.desk.ready)


def test_one_that_cannot_be_started_is_tried_again_and_harms_nobody() -> None:
    desk = Desk(["/nonexistent/reader"], time.monotonic, lambda outcome: None, lambda seconds: None)
    desk.turn()
    assert not desk.ready
    desk.close()


def test_closing_gives_back_what_is_under_way() -> None:
    house = House(SILENT)
    house.until(lambda: house.desk.ready)
    told = Told()
    assert house.desk.ask(b"\0" * 320, 100, told)
    house.desk.close()
    assert told.words == [None]
    house.desk.turn()
    assert not house.desk.ready


def test_the_budget_is_a_share_of_a_core() -> None:
    budget = Budget(0.5, 0.0, look_s=0.1)
    done, now = 0, 0.0
    while now < 100.0:
        if budget.allows(now):
            reserved = budget.look_s
            budget.reserve()
            budget.pay(reserved, 0.1)
            done += 1
        else:
            now += 0.01
    assert done * 0.1 <= 0.5 * 100.0 + 2.1
    assert done * 0.1 >= 0.5 * 100.0 * 0.95


def test_the_budget_learns_what_a_look_costs() -> None:
    budget = Budget(1.0, 0.0, look_s=0.1)
    for _ in range(60):
        budget.reserve()
        budget.pay(budget.look_s, 0.3)
    assert budget.look_s == pytest.approx(0.3, abs=0.01)


def test_without_credit_nothing_is_looked_at() -> None:
    house = House(SILENT, budget=0.01)
    house.until(lambda: house.desk.ready)
    assert not house.desk.ask(b"\0" * 320, 100, Told())
    assert house.counts == {"budget": 1}
    house.desk.close()
