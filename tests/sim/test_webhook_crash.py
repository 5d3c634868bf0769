"""kill -9 amid deliveries: nothing owed is lost, and the order within each call holds."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from fsbridge.clock import SystemClock
from fsbridge.metrics import Metrics
from fsbridge.model.notice import Notice
from fsbridge.store.secrets import load_box
from fsbridge.store.sqlite import SqliteStore
from fsbridge.supervise import Supervisor
from fsbridge.webhook.outbox import Outbox
from fsbridge.webhook.payload import deliveries
from tests.unit.webhook.helpers import (
    OPEN,
    Answer,
    Got,
    Receiver,
    answered,
    completed,
    receiver,
    reply,
    until,
    webhook_call,
)

pytestmark = pytest.mark.sim

CALLS = 40

VICTIM = """
from gevent import monkey; monkey.patch_all()
import sys
from pathlib import Path
import gevent
from fsbridge.clock import SystemClock
from fsbridge.metrics import Metrics
from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.store.secrets import load_box
from fsbridge.store.sqlite import SqliteStore
from fsbridge.supervise import Supervisor
from fsbridge.webhook.outbox import Outbox
folder = Path(sys.argv[1])
store = SqliteStore(folder / "calls.db", load_box(None, folder))
settings = WebhookSettings(allow_private=True, allow_http=True, workers=2)
Outbox(store, settings, Supervisor(), SystemClock(), Metrics()).start()
gevent.sleep(60)
"""


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_a_killed_service_delivers_everything_after_its_restart(hook: Receiver, tmp_path: Path) -> None:
    calls = [webhook_call(hook.url) for _ in range(CALLS)]
    ids = itertools.count()
    store = SqliteStore(tmp_path / "calls.db", load_box(None, tmp_path))
    for call in calls:
        store.save(answered(call), deliveries(answered(call), [Notice.ANSWERED], lambda: str(next(ids)), 0.0))
        store.save(completed(call), deliveries(completed(call), [Notice.COMPLETED], lambda: str(next(ids)), 0.0))
    store.close()

    def unhurried(_: Got) -> Answer:
        gevent.sleep(0.01)  # leaves time to kill
        return reply("200 OK")

    hook.script += [unhurried] * CALLS
    victim = subprocess.Popen([sys.executable, "-c", VICTIM, str(tmp_path)])
    try:
        until(lambda: len(hook.got) >= CALLS // 2, "the victim at work", 30)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait(5)
    assert len(hook.got) < CALLS * 2

    supervisor, clock = Supervisor(), SystemClock()
    store = SqliteStore(tmp_path / "calls.db", load_box(None, tmp_path))
    outbox = Outbox(store, OPEN, supervisor, clock, Metrics())
    outbox.start()
    until(lambda: not store.owing(None, 1), "nothing owed", 20)
    outbox.stop()
    supervisor.stop()
    store.close()

    for call in calls:
        mine = [got.event for got in hook.got if call.session_id.encode() in got.body]
        assert list(dict.fromkeys(mine)) == ["call.answered", "call.completed"]
        assert mine == sorted(mine)  # a repetition may follow the crash, never a step back
    assert len({got.headers["webhook-id"] for got in hook.got}) == CALLS * 2
