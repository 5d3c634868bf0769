"""huey, embedded: its SQLite queue and its greenlet consumer, made fit for a process with one event loop.

Three things differ from huey as it comes. The queue's SQLite file is touched on a native thread only, so a slow
disk does not stop the hub. Workers are woken by what is put in the queue instead of polling it. Greenlets belong
to a `Supervisor`, and no signal handlers are set. Messages are JSON, not pickles: the file holds no code.

Knows nothing of webhooks; `webhook.outbox` does.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent
import structlog
from gevent import monkey
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool
from huey import Huey
from huey.consumer import Consumer, GreenletEnvironment, Scheduler
from huey.registry import Message
from huey.serializer import Serializer
from huey.storage import SqliteStorage

from fsbridge.store.base import StoreError
from fsbridge.supervise import Supervisor, run_in_thread

log = structlog.get_logger(__name__)

RECHECK_S = 5.0
"""How long a worker sleeps before it looks at the queue without having been woken."""


class JsonSerializer(Serializer):  # type: ignore[misc]  # huey is untyped
    """Messages of tasks with JSON arguments and no pipelines."""

    def _serialize(self, data: Message) -> bytes:
        eta = None if data.eta is None else data.eta.isoformat()
        return json.dumps({"id": data.id, "name": data.name, "eta": eta, "args": data.args}).encode()

    def _deserialize(self, data: bytes) -> Message:
        values = json.loads(data)
        eta = None if values["eta"] is None else datetime.fromisoformat(values["eta"])
        return Message(values["id"], values["name"], eta, retries=0, retry_delay=0, args=tuple(values["args"]))


class ThreadedSqliteStorage(SqliteStorage):  # type: ignore[misc]
    """Waits for its disk on a native thread; `dequeue` blocks until there is something or it is time to look."""

    blocking = True

    def __init__(self, name: str, filename: str) -> None:
        self._pool = ThreadPool(1)
        super().__init__(name, filename=filename, cache_mb=1, timeout=5, strict_fifo=True, create_tables=False)
        self.lock = monkey.get_original("threading", "Lock")()  # used on the native thread, where gevent's is none
        run_in_thread(self._pool, self.initialize_schema)
        # One permit for each waiting message, so that every one of them wakes a worker.
        self._ready = Semaphore(self.queue_size())

    def _create_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._create_connection()
        # What is owed stands in the store; this queue can be made again from it. No fsync a message, then.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        run_in_thread(self._pool, super().enqueue, data, priority)
        self._ready.release()

    def dequeue(self) -> bytes | None:
        self._ready.acquire(timeout=RECHECK_S)
        data: bytes | None = run_in_thread(self._pool, super().dequeue)
        return data

    def wake(self, workers: int) -> None:
        """Let that many waiting workers look round, e.g. at the stop flag."""
        for _ in range(workers):
            self._ready.release()

    def add_to_schedule(self, data: bytes, ts: datetime) -> None:
        run_in_thread(self._pool, super().add_to_schedule, data, ts)

    def read_schedule(self, ts: datetime) -> list[bytes]:
        return run_in_thread(self._pool, super().read_schedule, ts)

    def queue_size(self) -> int:
        return int(run_in_thread(self._pool, super().queue_size))

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        return run_in_thread(self._pool, super().enqueued_items, limit)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return run_in_thread(self._pool, super().scheduled_items, limit)

    # Results and revocations are not used. Huey asks after them around every task; it need not ask the disk.

    def peek_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {}

    def delete_data(self, key: str) -> bool:
        return False

    def close(self) -> bool:
        closed = run_in_thread(self._pool, super().close)
        self._pool.kill()
        return bool(closed)


def open_huey(path: Path) -> Huey:
    """The queue in that file. A damaged file is put aside and a new one begun: the store knows what is owed.

    Raises StoreError if the file can be neither read nor made.
    """
    try:
        return _huey(path)
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreError(f"{path}: the webhook queue cannot be opened: {error}; check service.data_dir") from error
    aside = path.with_suffix(".damaged")
    log.error("webhook_queue_damaged", file=path.name, put_aside=aside.name)
    path.replace(aside)
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)
    return _huey(path)


def _huey(path: Path) -> Huey:
    # Messages name calls: readable by the service only. The WAL takes over the mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return Huey(
        "fsbridge",
        results=False,
        serializer=JsonSerializer(),
        storage_class=ThreadedSqliteStorage,
        filename=str(path),
    )


class _Owned:
    """What huey takes for its process object: a greenlet of a Supervisor, once started."""

    def __init__(self, supervisor: Supervisor, name: str, task: Callable[[], None]) -> None:
        self._supervisor, self._name, self._task = supervisor, name, task
        self.greenlet: gevent.Greenlet[..., Any] | None = None

    def start(self) -> None:
        self.greenlet = self._supervisor.spawn(self._name, self._task)

    def join(self, timeout: float | None = None) -> None:
        if self.greenlet is not None:
            self.greenlet.join(timeout)

    @property
    def dead(self) -> bool:
        return self.greenlet is None or self.greenlet.dead


class _Environment(GreenletEnvironment):  # type: ignore[misc]
    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__()
        self._supervisor = supervisor

    def create_process(self, runnable: Callable[[], None], name: str) -> _Owned:
        return _Owned(self._supervisor, f"webhook.{name.lower()}", runnable)

    def interrupt_workers(self, procs: list[_Owned]) -> None:
        greenlets = [owned.greenlet for owned in procs if owned.greenlet is not None]
        gevent.killall(greenlets, KeyboardInterrupt, timeout=1.0)  # what huey's tasks take for an interruption


class _QuickScheduler(Scheduler):  # type: ignore[misc]
    def __init__(self, huey: Huey, stop_flag: Any, interval: float, periodic: bool) -> None:
        super().__init__(huey, stop_flag, 1, periodic)
        self.interval = interval  # huey allows whole seconds only


class EmbeddedConsumer(Consumer):  # type: ignore[misc]
    """huey's consumer inside this process: `start()`, then `shut_down()`; `run()` is not used."""

    scheduler_class = _QuickScheduler

    def __init__(self, huey: Huey, supervisor: Supervisor, workers: int, schedule_interval_s: float) -> None:
        self._supervisor = supervisor
        self._schedule_interval_s = schedule_interval_s
        super().__init__(huey, workers=workers, periodic=False, worker_type="greenlet", check_worker_health=False)

    def get_environment(self, worker_type: str) -> _Environment:
        return _Environment(self._supervisor)

    def _create_scheduler(self) -> _QuickScheduler:
        return _QuickScheduler(self.huey, self.stop_flag, self._schedule_interval_s, periodic=False)

    def _set_signal_handlers(self) -> None:
        pass  # signals are the launcher's

    def shut_down(self, timeout_s: float) -> None:
        """Let tasks in progress end, at most `timeout_s`; then interrupt them."""
        self.shutdown_timeout = timeout_s
        self.stop_flag.set()
        self.huey.storage.wake(self.workers)
        with suppress(KeyboardInterrupt):
            self.stop(graceful=True)
