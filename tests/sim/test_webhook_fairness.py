"""Receivers that accept and never answer, and the others whose webhooks arrive all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
from gevent.server import StreamServer

from fsbridge.model.ids import OrgId
from fsbridge.model.notice import Notice
from tests.sim.webhook_service import Service
from tests.unit.webhook.helpers import (
    OPEN,
    ORG,
    Receiver,
    answered,
    completed,
    failed,
    receiver,
    until,
    webhook_call,
)

pytestmark = pytest.mark.sim

OTHER = OrgId("55555555-5555-4555-8555-555555555555")
THIRD = OrgId("66666666-6666-4666-8666-666666666666")
PATIENT = OPEN.model_copy(update={"workers": 16, "connect_timeout_s": 60.0, "read_timeout_s": 60.0})
"""Longer than any test: a place at a tarpit is not given back."""


class Tarpit:
    """Accepts, reads nothing, never answers."""

    def __init__(self) -> None:
        self.held: list[socket.socket] = []
        self.server = StreamServer(("127.0.0.1", 0), self._hold, backlog=512)

    def _hold(self, sock: socket.socket, _: object) -> None:
        self.held.append(sock)
        gevent.sleep(600)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def a_tarpit() -> Iterator[Tarpit]:
    tarpit = Tarpit()
    tarpit.server.start()
    try:
        yield tarpit
    finally:
        tarpit.server.stop(timeout=0)


@pytest.fixture
def tarpit() -> Iterator[Tarpit]:
    with a_tarpit() as found:
        yield found


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr("fsbridge.webhook.outbox.STOP_S", 0.1)
    running = Service(tmp_path, PATIENT)
    running.outbox.start()
    yield running
    running.stop()


def stick(service: Service, tarpit: Tarpit, places: int, org: OrgId = ORG) -> None:
    """300 calls of the organization owe webhooks to the tarpit, which holds as many as it gets."""
    before = len(tarpit.held)
    for _ in range(300):
        service.tell(replace(failed(webhook_call(tarpit.url)), org_id=org), Notice.FAILED)
    until(lambda: len(tarpit.held) == before + places, "the tarpit holds its share", 20)


def test_a_tarpit_of_one_organization_delays_no_other(service: Service, tarpit: Tarpit, hook: Receiver) -> None:
    stick(service, tarpit, places=8)
    calls = [replace(webhook_call(hook.url), org_id=OTHER) for _ in range(20)]
    for call in calls:
        service.tell(answered(call), Notice.ANSWERED)
        service.tell(completed(call), Notice.COMPLETED)
    until(lambda: len(hook.got) == 40, "the other organization's", 20)
    for call in calls:
        mine = [got.event for got in hook.got if call.session_id.encode() in got.body]
        assert mine == ["call.answered", "call.completed"]
    assert len(tarpit.held) == 8  # all of its places are stuck, and it got no more


def test_another_receiver_of_the_same_organization_is_reached(service: Service, tarpit: Tarpit, hook: Receiver) -> None:
    stick(service, tarpit, places=8)
    for _ in range(20):
        service.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(lambda: len(hook.got) == 20, "the good receiver's", 20)


def test_when_every_common_place_is_stuck_the_others_have_places_of_their_own(
    service: Service, tarpit: Tarpit, hook: Receiver
) -> None:
    stick(service, tarpit, places=8)
    with a_tarpit() as second:
        stick(service, second, places=8, org=OTHER)
        for _ in range(20):
            service.tell(replace(failed(webhook_call(hook.url)), org_id=THIRD), Notice.FAILED)
        until(lambda: len(hook.got) == 20, "the third organization's", 20)


def test_organizations_take_turns_at_one_receiver(tmp_path: Path, hook: Receiver) -> None:
    """A flood of one organization that came first does not go first as a whole."""
    running = Service(tmp_path, OPEN.model_copy(update={"workers": 1}))
    flood = [failed(webhook_call(hook.url + "/flood")) for _ in range(50)]
    late = [replace(failed(webhook_call(hook.url + "/late")), org_id=OTHER) for _ in range(5)]
    for call in (*flood, *late):
        running.tell(call, Notice.FAILED)
    running.outbox.start()
    until(running.settled, "nothing owed", 20)
    order = [got.path for got in hook.got]
    assert max(at for at, path in enumerate(order) if path == "/late") < 20
    running.stop()


def test_a_place_is_given_back_when_the_tarpit_is_given_up(tmp_path: Path, tarpit: Tarpit, hook: Receiver) -> None:
    brief = OPEN.model_copy(
        update={"workers": 2, "connect_timeout_s": 0.2, "read_timeout_s": 0.2, "retry_delays_s": ()}
    )
    running = Service(tmp_path, brief)
    running.outbox.start()
    for _ in range(6):
        running.tell(failed(webhook_call(tarpit.url)), Notice.FAILED)
    running.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(running.settled, "nothing owed", 20)
    assert running.count("given_up") == 6
    assert [got.event for got in hook.got] == ["call.failed"]
    running.stop()
