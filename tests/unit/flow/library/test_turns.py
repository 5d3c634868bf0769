"""Places shared by organizations: one at a time each, and nobody waits for more than everybody else's one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fsbridge.flow.library.turns import Ticket, Turns

pytestmark = pytest.mark.unit


def test_one_organization_has_one_place_and_a_bounded_queue() -> None:
    turns = Turns(2, 2)
    tickets = [turns.ask("a") for _ in range(3)]
    assert tickets[2] is None
    assert turns.due() == [tickets[0]]
    assert turns.due() == []
    other = turns.ask("b")
    assert turns.due() == [other]
    assert isinstance(tickets[0], Ticket)
    turns.leave(tickets[0])
    assert turns.due() == [tickets[1]]


def test_a_call_goes_before_its_own_organizations_other_wishes_and_is_never_refused() -> None:
    turns = Turns(1, 1)
    running, waiting, call = turns.ask("a"), None, None
    assert turns.due() == [running]
    waiting, call = turns.ask("a"), turns.ask("a", first=True)
    assert running is not None
    turns.leave(running)
    assert turns.due() == [call]
    assert call is not None
    turns.leave(call)
    assert turns.due() == [waiting]


def test_who_tires_of_waiting_leaves_nothing_behind() -> None:
    turns = Turns(1, 5)
    first, second, third = (turns.ask(who) for who in ("a", "b", "b"))
    assert turns.due() == [first]
    assert first is not None
    assert second is not None
    turns.leave(second)
    turns.leave(first)
    assert turns.due() == [third]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40), st.integers(1, 3))
def test_between_two_turns_of_one_everybody_who_waits_has_one(asked: list[str], places: int) -> None:
    turns = Turns(places, 100)
    for who in asked:
        turns.ask(who)
    order: list[str] = []
    running: list[Ticket] = []
    while True:
        begun = turns.due()
        order += [ticket.who for ticket in begun]
        running += begun
        if not running:
            break
        turns.leave(running.pop(0))
    assert sorted(order) == sorted(asked)
    for number, who in enumerate(order):
        again = next((n for n in range(number + 1, len(order)) if order[n] == who), None)
        if again is not None:
            still = {other for other in order[again:] if other != who}
            assert still <= set(order[number + 1 : again])


class Sharing(RuleBasedStateMachine):
    """Any order of asking, beginning and leaving."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns(2, 3)
        self.waiting: list[Ticket] = []
        self.running: list[Ticket] = []

    @rule(who=st.sampled_from("abc"), first=st.booleans())
    def ask(self, who: str, first: bool) -> None:
        ticket = self.turns.ask(who, first=first)
        full = sum(1 for each in self.waiting if each.who == who) >= 3
        assert (ticket is None) == (full and not first)
        if ticket is not None:
            self.waiting.append(ticket)

    @rule()
    def begin(self) -> None:
        for ticket in self.turns.due():
            self.waiting.remove(ticket)
            self.running.append(ticket)
        held = {ticket.who for ticket in self.running}
        assert len(self.running) == 2 or all(ticket.who in held for ticket in self.waiting)

    @precondition(lambda self: self.running or self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from([*self.running, *self.waiting]))
        (self.running if ticket in self.running else self.waiting).remove(ticket)
        self.turns.leave(ticket)

    @invariant()
    def nobody_has_two_places(self) -> None:
        held = [ticket.who for ticket in self.running]
        assert len(held) == len(set(held)) <= 2


TestSharing = Sharing.TestCase
