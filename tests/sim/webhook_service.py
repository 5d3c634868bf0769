"""A store and an outbox on the files of one folder, as the composition root makes them."""

from __future__ import annotations

import itertools
from pathlib import Path

from fsbridge.clock import Clock, SystemClock
from fsbridge.metrics import Metrics
from fsbridge.model.call import Call
from fsbridge.model.ids import SessionId
from fsbridge.model.notice import Notice
from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.store.base import Owed
from fsbridge.store.secrets import SecretBox
from fsbridge.store.sqlite import SqliteStore
from fsbridge.supervise import Supervisor
from fsbridge.webhook.outbox import Outbox
from fsbridge.webhook.payload import deliveries
from tests.unit.webhook.helpers import OPEN

KEY = b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
FAST = OPEN.model_copy(update={"retry_delays_s": (0.01, 0.02, 0.02)})

_ids = itertools.count()


class _Watched(SqliteStore):
    sweeps = 0

    def owing(self, after: SessionId | None, limit: int) -> list[Owed]:
        found = super().owing(after, limit)
        self.sweeps += after is None
        return found


class Service:
    """`outbox.start()` it; `randomness` 0.5 makes pauses as long as planned."""

    def __init__(self, folder: Path, settings: WebhookSettings = FAST, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.supervisor = Supervisor()
        self.metrics = Metrics()
        self.store = _Watched(folder / "fsbridge.db", SecretBox(KEY))
        self.outbox = Outbox(self.store, settings, self.supervisor, self.clock, self.metrics, randomness=lambda: 0.5)

    @property
    def sweeps(self) -> int:
        return self.store.sweeps

    def tell(self, call: Call, *notices: Notice) -> None:
        made = deliveries(call, notices, lambda: f"{next(_ids)}", self.clock.wall())
        self.store.save(call, made)
        for delivery in made:
            self.outbox.kick(delivery)

    def count(self, result: str) -> float:
        found = self.metrics.registry.get_sample_value("fsbridge_webhook_deliveries_total", {"result": result})
        return found or 0.0

    def settled(self) -> bool:
        pending = self.metrics.registry.get_sample_value("fsbridge_webhook_pending_calls")
        return not self.store.owing(None, 1) and pending == 0

    def stop(self) -> None:
        self.outbox.stop()
        self.supervisor.stop()
        self.store.close()
