"""Look-ups in native threads: whose name server does not answer holds up nobody else."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent.pool import Group

from fsbridge.egress import names as module
from fsbridge.egress.names import NAMES_OF_ONE, Names
from tests.unit.webhook.helpers import Gate, until

pytestmark = pytest.mark.unit


class Servers:
    """Names that begin with dead are not answered until the gate is opened; `asked` are all look-ups."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = Gate()

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host.startswith("dead"):
            self.gate.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [f"192.0.2.{port}"]


@pytest.fixture
def servers() -> Any:
    found = Servers()
    yield found
    found.gate.open()


def test_the_systems_own() -> None:
    assert "127.0.0.1" in Names().resolver("one")("localhost", 80)
    with pytest.raises(socket.gaierror):
        Names().resolver()("nowhere.invalid", 80)


def test_one_organizations_dead_names_leave_the_others_theirs(servers: Servers) -> None:
    names, tasks = Names(servers), Group()
    for n in range(NAMES_OF_ONE * 3):
        tasks.spawn(_try, names, "one", f"dead{n}.example")
    until(lambda: len(servers.asked) == NAMES_OF_ONE, "its share of names asked")
    assert names.resolver("two")("good.example", 7) == ["192.0.2.7"]
    assert names.resolver()("good.example", 8) == ["192.0.2.8"]
    assert len([host for host in servers.asked if host.startswith("dead")]) == NAMES_OF_ONE
    servers.gate.open()
    tasks.join(timeout=10)
    assert not tasks
    assert names.resolver("one")("good.example", 9) == ["192.0.2.9"]


def test_a_name_that_is_being_asked_is_waited_for(servers: Servers) -> None:
    names, tasks = Names(servers), Group()
    for n in range(20):
        tasks.spawn(_try, names, f"org{n}", "dead.example")
    until(lambda: servers.asked == ["dead.example"], "asked once")
    servers.gate.open()
    tasks.join(timeout=10)
    assert servers.asked == ["dead.example"]
    _try(names, "one", "dead.example")  # what was answered is not remembered: the next look is a new one
    assert len(servers.asked) == 2


def test_who_loses_patience_keeps_the_place_until_the_thread_is_free(servers: Servers) -> None:
    names, tasks = Names(servers), Group()
    for n in range(NAMES_OF_ONE):
        tasks.spawn(_try, names, "one", f"dead{n}.example", 0.02)
    tasks.join(timeout=5)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        names.resolver("one")("good.example", 1)
    servers.gate.open()
    assert names.resolver("one")("good.example", 1) == ["192.0.2.1"]


def test_who_has_no_deadline_gets_one(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_S", 0.02)
    names = Names(servers)
    for n in range(NAMES_OF_ONE + 1):  # the last one does not even get a place
        with pytest.raises(socket.gaierror, match="in time"):
            names.resolver("one")(f"dead{n}.example", 1)
    assert len(servers.asked) == NAMES_OF_ONE


def _try(names: Names, share: str, host: str, patience_s: float = 20.0) -> None:
    with gevent.Timeout(patience_s, False), suppress(socket.gaierror):
        names.resolver(share)(host, 1)
