"""Work on one SQLite file without stopping the hub, many callers to a commit.

Rules. One native thread owns the connection and does all disk work; callers wait in their greenlets, so a slow
disk never stops the hub. Callers that come while the thread is busy are served together, in order, in one
transaction (each in its own savepoint, so one's failure is not another's): commits per second then do not limit
calls per second. A greenlet killed while it waits leaves its job to run, and nobody else waiting in vain.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from fsbridge.store.base import StoreError
from fsbridge.store.file import check_space, close_file, explain, open_file
from fsbridge.supervise import run_in_thread

T = TypeVar("T")

BATCH = 256
"""Jobs of one transaction at most: bounds how long the first of them waits for its commit."""


@dataclass(slots=True)
class _Job:
    """Work for the database's thread, which fills in `outcome` (a result or an exception) and sets `done` last."""

    work: Callable[[sqlite3.Connection], Any]
    outcome: Any = None
    done: bool = False


class Database:
    """The file, opened by the constructor. Everything raises StoreError, with what to do about it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPool(1)
        self._waiting: deque[_Job] = deque()
        self._serving: Event | None = None
        self._closed = False
        try:
            self._db = run_in_thread(self._pool, open_file, path)
        except (sqlite3.Error, StoreError) as error:
            self._pool.kill()
            raise error if isinstance(error, StoreError) else explain(path, error) from error

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run the work on the thread, in a transaction; returns after the commit."""
        job = _Job(work)
        self._waiting.append(job)
        while not job.done:
            if self._serving is not None:
                self._serving.wait()  # bounded: the thread's work is, by BUSY_TIMEOUT_MS
            elif self._closed:
                raise StoreError(f"{self._path}: the store is closed")
            else:
                self._serve_all()
        if isinstance(job.outcome, Exception):
            raise explain(self._path, job.outcome) from job.outcome
        return cast(T, job.outcome)

    def check_space(self) -> None:
        """Raise StoreError while the disk has hardly any room left."""
        try:
            run_in_thread(self._pool, check_space, self._path)
        except OSError as error:
            raise explain(self._path, error) from error

    def close(self) -> None:
        """Let work in progress end, then let go of the file; a second time does no harm."""
        if self._closed:
            return
        self._closed = True
        if self._serving is not None:
            self._serving.wait()
        run_in_thread(self._pool, close_file, self._db)
        self._pool.kill()

    def _serve_all(self) -> None:
        served = self._serving = Event()
        try:
            # Whoever else is about to ask comes along in this transaction.
            gevent.sleep(0)
            run_in_thread(self._pool, _serve, self._db, self._waiting)
        finally:
            self._serving = None
            served.set()


def _serve(db: sqlite3.Connection, waiting: deque[_Job]) -> None:
    """Everything that waits, a transaction per BATCH. Runs on the database's thread: no gevent objects, no logging."""
    left = len(waiting)
    while left > 0:
        batch = [waiting.popleft() for _ in range(min(left, BATCH))]
        left -= len(batch)
        _run(db, batch)
        for job in batch:
            job.done = True


def _run(db: sqlite3.Connection, batch: list[_Job]) -> None:
    try:
        db.execute("BEGIN IMMEDIATE")
        for job in batch:
            db.execute("SAVEPOINT job")
            try:
                job.outcome = job.work(db)
            except Exception as error:
                if not db.in_transaction:  # a full disk or an I/O error has rolled the whole batch back
                    raise
                db.execute("ROLLBACK TO job")
                job.outcome = error
            db.execute("RELEASE job")
        db.execute("COMMIT")
    except Exception as error:
        # Whatever it was, nobody may be left waiting, and nothing of the batch may be left for the next one's commit.
        for job in batch:
            job.outcome = error
        if db.in_transaction:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
