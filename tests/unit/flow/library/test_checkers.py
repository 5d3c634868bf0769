"""Documents checked by processes: the same answers, and what is slow or dies is nobody else's trouble."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
import pytest
from gevent.pool import Group

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.model import Defaults
from fsbridge.flow.library import checking
from fsbridge.flow.library.checker import Checker, Here
from fsbridge.flow.library.checkers import COMMAND, WAITING_OF_ONE, Checkers
from fsbridge.flow.library.entry import FlowBusy

pytestmark = pytest.mark.unit

GOOD = "name: Grüße 😀\nvariables: {a: 1.5, b: [1, null, true], big: 123456789012345678}\nsteps: [{id: a, pause: 1}]\n"
DEFAULTS = Defaults(voice="kal", prompts_dir="/prompts", prompt_hosts=("a.example",))

STUBBORN = """
import os, struct, sys, time
from fsbridge.flow.library.checking import LENGTH, answer, frame
import orjson
while head := sys.stdin.buffer.read(4):
    asked = orjson.loads(sys.stdin.buffer.read(*LENGTH.unpack(head)))
    if "sleep" in asked["text"]:
        time.sleep(60)
    if "die" in asked["text"]:
        os._exit(3)
    if "garbage" in asked["text"]:
        sys.stdout.buffer.write(b"\\x00\\x00\\x00\\x02]]")
    elif "endless" in asked["text"]:
        sys.stdout.buffer.write(b"\\xff\\xff\\xff\\xff")
    else:
        sys.stdout.buffer.write(frame(answer(asked)))
    sys.stdout.buffer.flush()
"""
"""A checker that does what it is told to in the document."""


@pytest.fixture(scope="module")
def processes() -> Iterator[Checkers]:
    found = Checkers(check_s=60)
    yield found
    found.close()


@pytest.fixture
def stubborn() -> Iterator[Callable[..., Checkers]]:
    made: list[Checkers] = []

    def make(**settings: Any) -> Checkers:
        made.append(Checkers(command=(sys.executable, "-c", STUBBORN), **{"check_s": 60, **settings}))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("which", ["here", "processes"])
def test_both_ways_give_the_same(which: str, processes: Checkers) -> None:
    checker: Checker = Here() if which == "here" else processes
    assert checker.check("a", GOOD, "f", DEFAULTS) == parse(GOOD, "f", DEFAULTS)
    assert checker.value("a", GOOD)["name"] == "Grüße 😀"
    assert checker.value("a", "a: [") is None
    for text in ("steps: [{id: a, paus: 1}]\nnamee: x", "a: [", "[", "steps: [{id: a, play: '\ud800'}]"):
        with pytest.raises(FlowInvalid) as here:
            parse(text.encode("utf-8", "replace").decode() if which == "processes" else text, "f", DEFAULTS)
        with pytest.raises(FlowInvalid) as there:
            checker.check("a", text, "f", DEFAULTS)
        assert there.value.faults == here.value.faults


def test_a_process_that_takes_too_long_is_killed_and_the_next_document_is_checked(
    stubborn: Callable[..., Checkers],
) -> None:
    checkers = stubborn(processes=1)
    checkers.check("a", GOOD, "f", DEFAULTS)  # started: what is short from here on is the document's time
    checkers._check_s = 0.2
    with pytest.raises(FlowBusy, match="could not be checked") as busy:
        checkers.check("a", "sleep", "f", DEFAULTS)
    assert not busy.value.own
    checkers._check_s = 60
    assert checkers.check("a", GOOD, "f", DEFAULTS).body.name == "Grüße 😀"


@pytest.mark.parametrize("what", ["die", "garbage", "endless"])
def test_a_process_that_is_lost_is_replaced(stubborn: Callable[..., Checkers], what: str) -> None:
    checkers = stubborn(processes=1)
    with pytest.raises(FlowBusy, match="could not be checked"):
        checkers.check("a", what, "f", DEFAULTS)
    assert checkers.check("a", GOOD, "f", DEFAULTS).places == {"a": 0}


def test_one_that_was_killed_while_it_was_idle_is_not_noticed_by_anybody(processes: Checkers) -> None:
    processes.check("a", GOOD, "f", DEFAULTS)
    for process in processes._idle:
        os.kill(process._process.pid, signal.SIGKILL)
        process._process.wait()
    assert processes.check("a", GOOD, "f", DEFAULTS).places == {"a": 0}


def test_one_organizations_documents_do_not_hold_another_up(stubborn: Callable[..., Checkers]) -> None:
    checkers = stubborn(processes=2)
    mine = Group()
    told: list[str] = []

    def slow() -> None:
        try:
            checkers.check("mine", "sleep", "f", DEFAULTS)
        except FlowBusy as busy:
            told.append(f"{busy.own}")

    for _ in range(WAITING_OF_ONE + 2):
        mine.spawn(slow)
    gevent.sleep(0)
    with gevent.Timeout(60):
        assert checkers.check("other", GOOD, "f", DEFAULTS).places == {"a": 0}
    assert told == ["True"]  # one has the place, eight wait, the tenth is told to come again
    mine.kill()


def test_who_waits_too_long_is_told_to_come_again(stubborn: Callable[..., Checkers]) -> None:
    checkers = stubborn(processes=1, wait_s=0.1)
    slow = Group()
    slow.spawn(checkers.check, "a", "sleep", "f", DEFAULTS)
    gevent.sleep(0)
    with pytest.raises(FlowBusy) as busy:
        checkers.check("b", GOOD, "f", DEFAULTS)
    assert not busy.value.own
    assert busy.value.retry_after_s > 0
    slow.kill()
    assert checkers.check("b", GOOD, "f", DEFAULTS).places == {"a": 0}


def test_after_the_close_nothing_is_started() -> None:
    checkers = Checkers()
    checkers.close()
    with pytest.raises(FlowBusy, match="going down"):
        checkers.check("a", GOOD, "f", DEFAULTS)


def test_a_checker_ends_with_its_input() -> None:
    asked = {"text": GOOD, "source": "f", "defaults": DEFAULTS.model_dump(mode="json")}
    told = io.BytesIO()
    checking.main(io.BytesIO(checking.frame(asked) * 2), told)
    first = told.getvalue()[: len(told.getvalue()) // 2]
    assert told.getvalue() == first * 2
    assert orjson.loads(first[4:])["value"]["variables"]["big"] == 123456789012345678
    assert COMMAND[-1] == checking.__name__
