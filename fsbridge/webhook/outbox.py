"""Delivers what calls owe: durable, in order per call, retried, fairly among organizations, never twice at a time.

What is owed stands in the store, written together with the change that it tells of; `webhook.schedule` says whose
turn it is. This module makes the attempts and notes in the store what came of them. After a restart a sweep takes up
whatever the store owes. Delivery is at least once: a crash between the receiver's 200 and the store's note of it
sends again, under the same `webhook-id`.

One process may run an outbox on one store: who is at work on which call is known in memory.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import structlog
from gevent.event import Event

from fsbridge.clock import Clock
from fsbridge.egress.guard import host_of
from fsbridge.metrics import Metrics
from fsbridge.model.ids import SessionId
from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.store.base import Delivery, Owed, Store, StoreError
from fsbridge.supervise import Supervisor
from fsbridge.webhook.delivery import Courier, Delivered, Gone, Retry
from fsbridge.webhook.patience import left_of, next_pause
from fsbridge.webhook.schedule import Debtor, Schedule, Turn, shares_of

log = structlog.get_logger(__name__)

SWEEP_S = 30.0
SWEEP_PAGE = 1_000
SWEEP_PAUSE_S = 0.05
"""Between two pages of a sweep: after a long outage millions may be owed, and calls use the store meanwhile."""
STORE_RETRY_S = 10.0
IDLE_S = 60.0
"""The dispatcher looks round at least that often."""
LEAST_PAUSE_S = 0.001
"""A timer that fires a hair early must not make it spin."""
STOP_S = 5.0
GONE_MEMORY = 10_000
FORMER_QUEUE = ("outbox.db", "outbox.db-wal", "outbox.db-shm")
"""A queue that held nothing but what the store holds."""


class Outbox:
    """`start()` begins delivering, `kick(delivery)` tells of something new, `stop()` ends; the rest is inside."""

    def __init__(
        self,
        store: Store,
        settings: WebhookSettings,
        supervisor: Supervisor,
        clock: Clock,
        metrics: Metrics,
        courier: Courier | None = None,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._settings = settings
        self._supervisor = supervisor
        self._clock = clock
        self._metrics = metrics
        self._courier = courier or Courier(settings, clock)
        self._random = randomness
        self._schedule = Schedule(shares_of(settings.workers))
        self._under_way: set[gevent.Greenlet[..., Any]] = set()
        # Calls whose receiver said 410. Forgotten by a restart: the next try then hears 410 again.
        self._gone: OrderedDict[SessionId, None] = OrderedDict()
        # Deliveries that are over although the store could not note it: not to be sent again, only to be noted.
        self._over: set[str] = set()
        self._changed = Event()
        self._stopping = Event()

    def start(self) -> None:
        """Take up whatever is owed; returns at once."""
        self._supervisor.spawn_essential("webhook.dispatch", self._dispatch)
        self._supervisor.spawn_essential("webhook.sweep", self._sweep)

    def kick(self, delivery: Delivery) -> None:
        """The call owes something new, already in the store. Never raises: what fails here the sweep finds."""
        now = self._clock.monotonic()
        debtor = Debtor(delivery.session_id, delivery.org_id, host_of(delivery.url))
        self._schedule.add(debtor, now, now, timed=False)
        self._look()

    def stop(self) -> None:
        """End within seconds; deliveries in progress get that long, the rest waits for the next start."""
        self._stopping.set()
        self._changed.set()
        gevent.joinall(list(self._under_way), timeout=STOP_S)
        gevent.killall(list(self._under_way), timeout=1.0)

    # --- whose turn it is --------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            self._changed.clear()
            now = self._clock.monotonic()
            while (turn := self._schedule.take(now)) is not None:
                task = self._supervisor.spawn("webhook.deliver", self._deliver, turn)
                self._under_way.add(task)
                task.rawlink(self._under_way.discard)
            pause = self._schedule.pause(now)
            self._changed.wait(IDLE_S if pause is None else min(max(pause, LEAST_PAUSE_S), IDLE_S))

    def _look(self) -> None:
        """Something has changed: let the dispatcher look at it, and the metrics tell it."""
        self._metrics.webhook_pending.set(len(self._schedule))
        self._changed.set()

    def _sweep(self) -> None:
        while not self._stopping.is_set():
            try:
                self._take_up_all()
            except StoreError as error:
                log.error("webhook_sweep_failed", error=str(error), again_in_s=SWEEP_S)
            self._stopping.wait(SWEEP_S)

    def _take_up_all(self) -> None:
        """Add whatever the store owes and the schedule does not know."""
        page = self._store.owing(None, SWEEP_PAGE)
        while page and not self._stopping.is_set():
            for owed in page:
                if owed.session_id not in self._schedule:
                    self._take_up(owed)
            self._look()
            if len(page) < SWEEP_PAGE:
                return
            self._stopping.wait(SWEEP_PAUSE_S)
            page = self._store.owing(page[-1].session_id, SWEEP_PAGE)

    def _take_up(self, owed: Owed) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        left_s = left_of(owed.next_at, owed.attempts, self._settings.retry_delays_s, wall)
        debtor = Debtor(owed.session_id, owed.org_id, host_of(owed.url))
        self._schedule.add(debtor, now + left_s, now - max(0.0, wall - owed.created_at), timed=True)

    # --- a turn ------------------------------------------------------------------------------------------

    def _deliver(self, turn: Turn) -> None:
        """One attempt for the call, and when its next is to be."""
        session_id = turn.debtor.session_id
        wait_s: float | None = STORE_RETRY_S
        try:
            wait_s = self._attempt(turn)
        except StoreError as error:
            log.error("webhook_store_failed", session_id=session_id, error=str(error), again_in_s=STORE_RETRY_S)
        finally:
            now = self._clock.monotonic()
            if wait_s is None:
                self._schedule.settle(session_id, now)
            else:
                self._schedule.postpone(session_id, now + wait_s)
            self._look()

    def _attempt(self, turn: Turn) -> float | None:
        """Seconds to the call's next turn; None when it owes nothing more."""
        session_id = turn.debtor.session_id
        delivery = self._store.first_delivery(session_id)
        if delivery is None:
            return None
        if session_id in self._gone or delivery.id in self._over:
            self._is_over(delivery)
            return 0.0
        if not turn.timed and delivery.attempts:
            # Something new of a call whose older webhook waits in the store alone: the older one keeps its moment.
            left_s = left_of(delivery.next_at, delivery.attempts, self._settings.retry_delays_s, self._clock.wall())
            if left_s > 0:
                return left_s
        return self._try(delivery, turn.since)

    def _try(self, delivery: Delivery, since: float) -> float:
        """One attempt, noted in the store. Seconds to wait before the call's next."""
        result = self._courier.attempt(delivery)
        attempts = delivery.attempts + 1
        facts = log.bind(
            session_id=delivery.session_id, webhook_id=delivery.id, host=host_of(delivery.url), attempt=attempts
        )
        match result:
            case Delivered(status):
                self._count("delivered")
                self._metrics.webhook_seconds.observe(max(0.0, self._clock.monotonic() - since))
                facts.info("webhook_delivered", status=status)
            case Gone():
                self._remember_gone(delivery.session_id)
                self._count("gone")
                facts.warning("webhook_gone", detail="410: nothing more of this call is sent")
            case Retry(reason, retry_after_s):
                wait_s = next_pause(attempts, self._settings.retry_delays_s, retry_after_s, self._random())
                if wait_s is not None:
                    self._count("retry")
                    facts.warning("webhook_failed", reason=reason, again_in_s=round(wait_s, 1))
                    return self._postpone(delivery, attempts, wait_s)
                self._count("given_up")
                facts.error("webhook_given_up", reason=reason)
        self._is_over(delivery)
        return 0.0

    def _is_over(self, delivery: Delivery) -> None:
        self._over.add(delivery.id)
        self._store.delivered(delivery.id)
        self._over.discard(delivery.id)

    def _postpone(self, delivery: Delivery, attempts: int, wait_s: float) -> float:
        try:
            self._store.postpone(delivery.id, attempts, self._clock.wall() + wait_s)
        except StoreError as error:
            # The pause holds all the same; only the try is not counted.
            log.error("webhook_store_failed", session_id=delivery.session_id, error=str(error), again_in_s=wait_s)
        return wait_s

    def _remember_gone(self, session_id: SessionId) -> None:
        self._gone[session_id] = None
        while len(self._gone) > GONE_MEMORY:
            self._gone.popitem(last=False)

    def _count(self, result: str) -> None:
        self._metrics.webhook_deliveries.labels(result).inc()


def remove_former_queue(data_dir: Path) -> None:
    """Clear away the files of a queue that earlier versions kept beside the store."""
    for name in FORMER_QUEUE:
        with suppress(OSError):
            (data_dir / name).unlink(missing_ok=True)
