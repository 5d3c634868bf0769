"""Whose webhook is tried next: turns, shares, moments, and what is left to the store."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fsbridge.model.ids import OrgId, SessionId
from fsbridge.webhook.schedule import Debtor, Schedule, Shares, shares_of

pytestmark = pytest.mark.unit

WIDE = Shares(total=100, org=100, host=100, own=1)


def a_debtor(session: str, org: str = "one", host: str = "a.example") -> Debtor:
    return Debtor(SessionId(session), OrgId(org), host)


def filled(shares: Shares, *debtors: Debtor) -> Schedule:
    schedule = Schedule(shares)
    for debtor in debtors:
        assert schedule.add(debtor, 0.0, 0.0, timed=False)
    return schedule


def taken(schedule: Schedule, now: float = 0.0) -> list[str]:
    """The sessions whose turn it is, in order; all of them stay under way."""
    return [turn.debtor.session_id for turn in iter(lambda: schedule.take(now), None)]


def test_what_is_due_comes_in_the_order_of_its_moments() -> None:
    schedule = Schedule(WIDE)
    for session, due in (("late", 30.0), ("soon", 10.0), ("now", 0.0)):
        schedule.add(a_debtor(session), due, 0.0, timed=False)
    assert taken(schedule, 0.0) == ["now"]
    assert schedule.pause(0.0) == 10.0
    assert taken(schedule, 9.999) == []
    assert taken(schedule, 30.0) == ["soon", "late"]
    assert schedule.pause(30.0) is None


def test_a_call_has_one_delivery_under_way() -> None:
    schedule = filled(WIDE, a_debtor("x"))
    assert taken(schedule) == ["x"]
    assert schedule.add(a_debtor("x"), 0.0, 0.0, timed=False)
    assert taken(schedule) == []
    schedule.postpone(SessionId("x"), 5.0)
    assert taken(schedule, 4.0) == []
    assert taken(schedule, 5.0) == ["x"]


def test_what_was_added_meanwhile_is_looked_for_before_a_call_is_settled() -> None:
    schedule = filled(WIDE, a_debtor("x"))
    taken(schedule)
    schedule.add(a_debtor("x"), 1.0, 1.0, timed=False)
    schedule.settle(SessionId("x"), 2.0)
    assert "x" in schedule
    assert taken(schedule, 2.0) == ["x"]
    schedule.settle(SessionId("x"), 3.0)
    assert "x" not in schedule
    assert len(schedule) == 0


def test_one_that_waits_is_not_hurried_by_something_new() -> None:
    schedule = filled(WIDE, a_debtor("x"))
    taken(schedule)
    schedule.postpone(SessionId("x"), 60.0)
    schedule.add(a_debtor("x"), 1.0, 1.0, timed=False)
    assert taken(schedule, 59.0) == []
    turn = schedule.take(60.0)
    assert turn is not None
    assert (turn.timed, turn.since) == (True, 0.0)


def test_organizations_take_turns_and_their_hosts_do() -> None:
    one = [a_debtor(f"1{host}{n}", "one", host) for host in "ab" for n in range(3)]
    two = [a_debtor(f"2{n}", "two") for n in range(2)]
    schedule = filled(WIDE, *one, *two)
    assert taken(schedule) == ["1a0", "20", "1b0", "21", "1a1", "1b1", "1a2", "1b2"]


def test_a_host_that_keeps_its_places_leaves_the_others_theirs() -> None:
    shares = Shares(total=10, org=4, host=2, own=1)
    stuck = [a_debtor(f"s{n}", host="tarpit.example") for n in range(9)]
    schedule = filled(shares, *stuck, a_debtor("g1", host="good.example"), a_debtor("g2", host="good.example"))
    assert sorted(taken(schedule)) == ["g1", "g2", "s0", "s1"]
    schedule.settle(SessionId("g1"), 1.0)
    assert taken(schedule) == []  # the host has its share
    schedule.settle(SessionId("s1"), 1.0)
    assert taken(schedule) == ["s2"]


def test_when_the_common_places_are_stuck_everybody_has_some_of_their_own() -> None:
    shares = Shares(total=6, org=4, host=4, own=2)
    schedule = filled(shares, *(a_debtor(f"{org}{n}", org) for org in ("bad", "worse") for n in range(9)))
    assert Counter(session[:3] for session in taken(schedule)) == {"bad": 3, "wor": 3}
    for n in range(3):
        schedule.add(a_debtor(f"good{n}", "good"), 0.0, 0.0, timed=False)
    assert taken(schedule) == ["good0", "good1"]
    schedule.settle(SessionId("good0"), 1.0)
    assert taken(schedule) == ["good2"]


@pytest.mark.parametrize("workers", [1, 2, 3, 16, 64, 256])
def test_shares_of_any_number_of_workers_let_everybody_work(workers: int) -> None:
    shares = shares_of(workers)
    assert 1 <= shares.host <= shares.org <= shares.total == workers
    assert 1 <= shares.own <= shares.org


def test_too_many_of_one_organization_are_left_to_the_store_the_last_ones_first() -> None:
    shares = Shares(total=10, org=10, host=10, own=1, known=10)
    schedule = Schedule(shares)
    for n in range(10):
        schedule.add(a_debtor(f"w{n}"), 100.0 + n, 0.0, timed=True)
    assert schedule.add(a_debtor("new"), 0.0, 0.0, timed=False)
    assert "w9" not in schedule
    assert len(schedule) == 10
    assert not schedule.add(a_debtor("w9"), 109.0, 0.0, timed=True)  # the store keeps it for now
    assert not schedule.add(a_debtor("more"), 300.0, 0.0, timed=True)
    assert schedule.add(a_debtor("other", "two"), 300.0, 0.0, timed=True)  # not another organization's trouble
    for _ in range(6):
        turn = schedule.take(200.0)
        assert turn is not None
        schedule.settle(turn.debtor.session_id, 200.0)
    assert schedule.add(a_debtor("w9"), 109.0, 0.0, timed=True)


def test_a_flood_that_is_due_at_once_is_refused_beyond_the_bound() -> None:
    schedule = Schedule(Shares(total=10, org=10, host=10, own=1, known=4))
    added = [schedule.add(a_debtor(str(n)), 0.0, 0.0, timed=False) for n in range(9)]
    assert added == [True] * 4 + [False] * 5


def test_a_retry_beyond_the_horizon_is_left_to_the_store() -> None:
    schedule = Schedule(Shares(total=10, org=10, host=10, own=1, known=2))
    schedule.add(a_debtor("x"), 0.0, 0.0, timed=False)
    assert taken(schedule) == ["x"]
    schedule.add(a_debtor("y"), 50.0, 0.0, timed=True)
    assert schedule.add(a_debtor("z"), 0.0, 0.0, timed=False)  # in place of y: the horizon is 50 now
    schedule.postpone(SessionId("x"), 60.0)
    assert "x" not in schedule


class Model(RuleBasedStateMachine):
    """Against what is plainly so: nothing is lost or doubled, shares hold, and nobody with a place waits in vain."""

    sessions = itertools.count()

    @initialize(total=st.integers(1, 6), org=st.integers(1, 6), host=st.integers(1, 6), own=st.integers(1, 3))
    def begin(self, total: int, org: int, host: int, own: int) -> None:
        self.shares = Shares(total, org, host, own)
        self.schedule = Schedule(self.shares)
        self.now = 0.0
        self.due: dict[str, tuple[Debtor, float]] = {}
        self.under_way: dict[str, Debtor] = {}
        self.news: set[str] = set()

    @rule(org=st.sampled_from("abc"), host=st.sampled_from("xyz"), later=st.sampled_from([0.0, 0.0, 1.0, 5.0]))
    def add(self, org: str, host: str, later: float) -> None:
        debtor = a_debtor(f"{next(self.sessions)}", org, host)
        assert self.schedule.add(debtor, self.now + later, self.now, timed=False)
        self.due[debtor.session_id] = (debtor, self.now + later)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def add_again(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(sorted(self.under_way)))
        assert self.schedule.add(self.under_way[session], self.now, self.now, timed=False)
        self.news.add(session)

    @rule(step=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
    def time_passes(self, step: float) -> None:
        self.now += step

    def eligible(self) -> set[str]:
        orgs = Counter(debtor.org_id for debtor in self.under_way.values())
        hosts = Counter((debtor.org_id, debtor.host) for debtor in self.under_way.values())
        return {
            session
            for session, (debtor, due) in self.due.items()
            if due <= self.now
            and orgs[debtor.org_id] < self.shares.org
            and hosts[debtor.org_id, debtor.host] < self.shares.host
            and (len(self.under_way) < self.shares.total or orgs[debtor.org_id] < self.shares.own)
        }

    @rule()
    def take(self) -> None:
        possible = self.eligible()
        turn = self.schedule.take(self.now)
        assert (turn is None) == (not possible)
        if turn is not None:
            assert turn.debtor.session_id in possible
            self.under_way[turn.debtor.session_id] = turn.debtor
            del self.due[turn.debtor.session_id]

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), later=st.sampled_from([None, 0.0, 2.0]))
    def end(self, data: st.DataObject, later: float | None) -> None:
        session = data.draw(st.sampled_from(sorted(self.under_way)))
        debtor = self.under_way.pop(session)
        if later is not None:
            self.schedule.postpone(SessionId(session), self.now + later)
            self.due[session] = (debtor, self.now + later)
        else:
            self.schedule.settle(SessionId(session), self.now)
            if session in self.news:
                self.due[session] = (debtor, self.now)
        self.news.discard(session)

    @invariant()
    def everybody_is_known(self) -> None:
        assert len(self.schedule) == len(self.due) + len(self.under_way)
        ahead = [due - self.now for _, due in self.due.values() if due > self.now]
        pause = self.schedule.pause(self.now)
        assert pause is None or pause == 0.0 or pause == min(ahead)

    @precondition(lambda self: self.due)
    @rule()
    def within_one_round_every_organization_with_a_place_begins_one(self) -> None:
        waiting = {self.due[session][0].org_id for session in self.eligible()}
        served = set()
        for _ in range(len(waiting)):
            if not self.eligible():
                return
            turn = self.schedule.take(self.now)
            assert turn is not None
            served.add(turn.debtor.org_id)
            self.under_way[turn.debtor.session_id] = turn.debtor
            del self.due[turn.debtor.session_id]
        assert served == waiting or not self.eligible() or len(self.under_way) >= self.shares.total


TestModel = Model.TestCase
