"""Delivers what calls owe: durable, in order per call, retried, and never twice at a time.

What is owed stands in the store, written together with the change that it tells of. This module turns it into
huey tasks, one for a call that owes something: it sends the call's oldest webhook, then the next, and puts itself
on huey's schedule when one has to wait. So the order within a call holds, and a slow receiver keeps only its own
calls waiting (and one worker each). After a restart huey's queue goes on where it was, and a sweep adds
whatever the store owes and the queue has lost. Delivery is at least once: a crash between the receiver's 200 and
the store's note of it sends again, under the same `webhook-id`.

One process may run an outbox on one store: who is at work on which call is known in memory.
"""

from __future__ import annotations

import random
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import structlog
from gevent.event import Event
from huey import Huey
from huey.exceptions import HueyException

from fsbridge.clock import Clock
from fsbridge.egress.guard import host_of
from fsbridge.metrics import Metrics
from fsbridge.model.ids import SessionId
from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.store.base import Delivery, Store, StoreError
from fsbridge.supervise import Supervisor
from fsbridge.webhook.delivery import Courier, Delivered, Gone, Retry
from fsbridge.webhook.engine import EmbeddedConsumer, open_huey

log = structlog.get_logger(__name__)

QUEUE_FILE = "outbox.db"
JITTER = 0.2
"""Retries are spread by this share either way, so that a receiver's recovery is not met by all at once."""
SWEEP_S = 30.0
STORE_RETRY_S = 10.0
STOP_S = 5.0
GONE_MEMORY = 10_000


class Outbox:
    """`start()` begins delivering, `kick(session)` tells of something new, `stop()` ends; the rest is inside."""

    def __init__(
        self,
        store: Store,
        settings: WebhookSettings,
        data_dir: Path,
        supervisor: Supervisor,
        clock: Clock,
        metrics: Metrics,
        courier: Courier | None = None,
        schedule_interval_s: float = 0.5,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._settings = settings
        self._supervisor = supervisor
        self._clock = clock
        self._metrics = metrics
        self._courier = courier or Courier(settings, clock)
        self._random = randomness
        self._huey: Huey = open_huey(data_dir / QUEUE_FILE)
        self._task = self._huey.task(name="deliver")(self._deliver)
        self._consumer = EmbeddedConsumer(self._huey, supervisor, settings.workers, schedule_interval_s)
        # Calls that have a task queued, scheduled or running; True: something new came while it ran.
        self._at_work: dict[SessionId, bool] = {}
        self._running: set[SessionId] = set()
        # Calls whose receiver said 410. Forgotten by a restart: the next try then hears 410 again.
        self._gone: OrderedDict[SessionId, None] = OrderedDict()
        self._stopping = Event()

    def start(self) -> None:
        """Take up the queue of the last run and whatever else is owed; returns at once."""
        for task in (*self._huey.pending(), *self._huey.scheduled()):
            self._note(SessionId(task.args[0]))
        self._consumer.start()
        self._supervisor.spawn_essential("webhook.sweep", self._sweep)

    def kick(self, session_id: SessionId) -> None:
        """The call owes something new, already in the store. Never raises: what fails here the sweep finds."""
        if session_id in self._at_work:
            self._at_work[session_id] = True
            return
        if self._stopping.is_set():
            return
        self._note(session_id)
        self._enqueue(session_id, 0.0)

    def stop(self) -> None:
        """End within seconds; deliveries in progress get that long, the rest waits for the next start."""
        self._stopping.set()
        self._consumer.shut_down(STOP_S)
        self._huey.storage.close()

    # --- bookkeeping -------------------------------------------------------------------------------------

    def _note(self, session_id: SessionId) -> None:
        self._at_work[session_id] = False
        self._metrics.webhook_pending.set(len(self._at_work))

    def _done(self, session_id: SessionId) -> None:
        self._at_work.pop(session_id, None)
        self._metrics.webhook_pending.set(len(self._at_work))

    def _enqueue(self, session_id: SessionId, delay_s: float) -> None:
        try:
            if delay_s > 0:
                self._task.schedule((session_id,), delay=delay_s)
            else:
                self._task(session_id)
        except (sqlite3.Error, HueyException) as error:
            self._done(session_id)
            log.error("webhook_not_queued", session_id=session_id, error=str(error), again_in_s=SWEEP_S)

    def _sweep(self) -> None:
        while not self._stopping.is_set():
            try:
                for session_id in self._store.owing():
                    if self._stopping.is_set():
                        return
                    if session_id not in self._at_work:
                        self._note(session_id)
                        self._enqueue(session_id, 0.0)
            except StoreError as error:
                log.error("webhook_sweep_failed", error=str(error), again_in_s=SWEEP_S)
            self._stopping.wait(SWEEP_S)

    # --- the task ----------------------------------------------------------------------------------------

    def _deliver(self, session: str) -> None:
        """Deliver what the call owes, until nothing is left or something has to wait."""
        session_id = SessionId(session)
        if session_id in self._running:  # a message doubled by a crash must not break the order
            return
        self._note(session_id)
        self._running.add(session_id)
        try:
            wait = self._work_off(session_id)
        except StoreError as error:
            log.error("webhook_store_failed", session_id=session_id, error=str(error), again_in_s=STORE_RETRY_S)
            wait = STORE_RETRY_S
        except BaseException:
            self._done(session_id)
            raise
        finally:
            self._running.discard(session_id)
        if wait is not None:
            self._enqueue(session_id, wait)

    def _work_off(self, session_id: SessionId) -> float | None:
        """Seconds until the call's next try; None when it owes nothing more and has been taken off the list."""
        while not self._stopping.is_set():
            delivery = self._store.first_delivery(session_id)
            if delivery is None:
                if self._at_work.get(session_id):  # a kick came while we looked
                    self._at_work[session_id] = False
                    continue
                self._done(session_id)
                return None
            if session_id in self._gone:
                self._store.delivered(delivery.id)
                continue
            early = delivery.next_at - self._clock.wall()
            if early > 0:
                return early
            wait = self._try(delivery)
            if wait is not None:
                return wait
        return STORE_RETRY_S  # stays in huey's schedule for the next start

    def _try(self, delivery: Delivery) -> float | None:
        """One attempt, noted in the store. Seconds to wait before the next, None to go on at once."""
        result = self._courier.attempt(delivery)
        attempts = delivery.attempts + 1
        facts = log.bind(
            session_id=delivery.session_id, webhook_id=delivery.id, host=host_of(delivery.url), attempt=attempts
        )
        match result:
            case Delivered(status):
                self._store.delivered(delivery.id)
                self._count("delivered")
                self._metrics.webhook_seconds.observe(max(0.0, self._clock.wall() - delivery.created_at))
                facts.info("webhook_delivered", status=status)
                return None
            case Gone():
                self._remember_gone(delivery.session_id)
                self._store.delivered(delivery.id)
                self._count("gone")
                facts.warning("webhook_gone", detail="410: nothing more of this call is sent")
                return None
            case Retry(reason, retry_after_s):
                wait = self._next_wait(attempts, retry_after_s)
                if wait is None:
                    self._store.delivered(delivery.id)
                    self._count("given_up")
                    facts.error("webhook_given_up", reason=reason)
                    return None
                self._store.postpone(delivery.id, attempts, self._clock.wall() + wait)
                self._count("retry")
                facts.warning("webhook_failed", reason=reason, again_in_s=round(wait, 1))
                return wait

    def _next_wait(self, attempts: int, retry_after_s: float | None) -> float | None:
        delays = self._settings.retry_delays_s
        if attempts > len(delays):
            return None
        planned = delays[attempts - 1] * (1 - JITTER + 2 * JITTER * self._random())
        return max(planned, retry_after_s or 0.0)

    def _remember_gone(self, session_id: SessionId) -> None:
        self._gone[session_id] = None
        while len(self._gone) > GONE_MEMORY:
            self._gone.popitem(last=False)

    def _count(self, result: str) -> None:
        self._metrics.webhook_deliveries.labels(result).inc()
