"""The embedded store: one SQLite file beside the service.

Rules. One native thread owns the connection and does all disk work; callers wait in their greenlets, so a slow
disk never stops the hub. Callers that come while the thread is busy are served together, in order, in one
transaction (each in its own savepoint, so one's failure is not another's): commits per second then do not limit
calls per second. A greenlet killed while it waits leaves its job to run, and nobody else waiting in vain. JSON and
encryption are done by the caller's greenlet, not in the thread.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import gevent
import structlog
from gevent.event import Event
from gevent.threadpool import ThreadPool

from fsbridge.model.call import Call
from fsbridge.model.ids import OrgId, SessionId
from fsbridge.store.base import LAST_SEQ, MAX_OWED, NEXT_SEQ, Delivery, StoreError
from fsbridge.store.codec import CodecError, from_dict, to_dict
from fsbridge.store.secrets import SecretBox
from fsbridge.supervise import run_in_thread

T = TypeVar("T")

log = structlog.get_logger(__name__)

SCHEMA_VERSION = 2
APPLICATION_ID = 0x66736264
"""Marks the file as ours ("fsbd"): another program's database is refused, not written into."""

BUSY_TIMEOUT_MS = 5_000
BATCH = 256
"""Jobs of one transaction at most: bounds how long the first of them waits for its commit."""
PURGE_CHUNK = 500

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE calls (
    session TEXT PRIMARY KEY,
    org TEXT NOT NULL,
    phase TEXT NOT NULL,
    created_at REAL NOT NULL,
    ended_at REAL,
    record TEXT NOT NULL
);
CREATE INDEX calls_org ON calls (org, created_at);
CREATE INDEX calls_ended ON calls (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX calls_live ON calls (phase) WHERE ended_at IS NULL;
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    url TEXT NOT NULL,
    secret TEXT,
    body BLOB NOT NULL,
    created_at REAL NOT NULL,
    attempts INTEGER NOT NULL,
    next_at REAL NOT NULL,
    UNIQUE (session, seq)
);
"""
_TIMELINES = """
CREATE TABLE timelines (session TEXT PRIMARY KEY, events TEXT NOT NULL);
CREATE TRIGGER calls_forgotten AFTER DELETE ON calls
    BEGIN DELETE FROM timelines WHERE session = old.session; END;
"""
_UPGRADES = {1: _TIMELINES}
"""What makes of each older version the next one."""
_DELIVERY = "id, session, seq, url, secret, body, created_at, attempts, next_at"
_OWE = f"""
INSERT OR IGNORE INTO deliveries ({_DELIVERY})
SELECT ?1, ?2, iif(?3 = {NEXT_SEQ}, coalesce(max(seq), 1) + 1, ?3), ?4, ?5, ?6, ?7, ?8, ?9
FROM deliveries WHERE session = ?2 AND seq < {LAST_SEQ}
"""


@dataclass(slots=True)
class _Job:
    """Work for the store's thread, which fills in `outcome` (a result or an exception) and sets `done` last."""

    work: Callable[[sqlite3.Connection], Any]
    outcome: Any = None
    done: bool = False


class SqliteStore:
    """`fsbridge.store.base.Store` on one file. The constructor opens it and raises StoreError if it cannot."""

    def __init__(self, path: Path, secrets: SecretBox) -> None:
        self._path = path
        self._secrets = secrets
        self._pool = ThreadPool(1)
        self._waiting: deque[_Job] = deque()
        self._serving: Event | None = None
        self._closed = False
        try:
            self._db = run_in_thread(self._pool, _open, path)
            self._check_key()
        except sqlite3.Error as error:
            self._pool.kill()
            raise _explain(path, error) from error
        except StoreError:
            self._pool.kill()
            raise

    def save(self, call: Call, deliveries: Sequence[Delivery] = ()) -> None:
        # ASCII JSON: lone surrogates and integers of any size come back as they were.
        record = json.dumps(to_dict(call, self._secrets.seal), separators=(",", ":"))
        ended_at = (call.completed_at or call.created_at) if call.ended else None
        row = (call.session_id, call.org_id, call.phase.value, call.created_at, ended_at, record)
        owed = [self._delivery_row(delivery) for delivery in deliveries]

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO calls (session, org, phase, created_at, ended_at, record) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (session) DO UPDATE SET org = excluded.org, phase = excluded.phase, "
                "created_at = excluded.created_at, ended_at = excluded.ended_at, record = excluded.record",
                row,
            )
            # A change that is saved again after a failure in doubt must not be told twice: (session, seq) is unique.
            db.executemany(_OWE, owed)

        self._do(write)

    def owe(self, delivery: Delivery) -> None:
        row = self._delivery_row(delivery)
        count = "SELECT count(*) FROM deliveries WHERE session = ?"

        def write(db: sqlite3.Connection) -> bool:
            if db.execute(count, (delivery.session_id,)).fetchone()[0] >= MAX_OWED:
                return False
            db.execute(_OWE, row)
            return True

        if not self._do(write):
            raise StoreError(f"call {delivery.session_id} owes {MAX_OWED} webhooks already; is their receiver up?")

    def get(self, org_id: OrgId, session_id: SessionId) -> Call | None:
        rows = self._rows("SELECT record FROM calls WHERE session = ? AND org = ?", (session_id, org_id))
        return self._decode(rows[0][0], session_id) if rows else None

    def unfinished(self) -> list[Call]:
        calls = []
        for session, record in self._rows("SELECT session, record FROM calls WHERE ended_at IS NULL"):
            try:
                calls.append(self._decode(record, session))
            except StoreError as error:
                # One unreadable record must not keep the service from starting.
                log.error("call_record_unreadable", session_id=session, error=str(error))
        return calls

    def purge(self, ended_before: float) -> int:
        def write(db: sqlite3.Connection) -> int:
            return db.execute(
                "DELETE FROM calls WHERE session IN (SELECT session FROM calls WHERE ended_at < ? AND NOT EXISTS "
                "(SELECT 1 FROM deliveries WHERE deliveries.session = calls.session) LIMIT ?)",
                (ended_before, PURGE_CHUNK),
            ).rowcount

        # In chunks, so that calls in progress are not kept waiting by a long clean-up.
        purged = 0
        while (count := self._do(write)) > 0:
            purged += count
        return purged

    def save_timeline(self, session_id: SessionId, events: str) -> None:
        sql = "INSERT OR REPLACE INTO timelines SELECT session, ? FROM calls WHERE session = ?"
        self._do(lambda db: db.execute(sql, (events, session_id)) and None)

    def timeline(self, org_id: OrgId, session_id: SessionId) -> str | None:
        sql = "SELECT events FROM timelines JOIN calls USING (session) WHERE session = ? AND org = ?"
        rows = self._rows(sql, (session_id, org_id))
        return str(rows[0][0]) if rows else None

    def first_delivery(self, session_id: SessionId) -> Delivery | None:
        sql = f"SELECT {_DELIVERY} FROM deliveries WHERE session = ? ORDER BY seq LIMIT 1"
        rows = self._rows(sql, (session_id,))
        if not rows:
            return None
        id_, session, seq, url, secret, body, created_at, attempts, next_at = rows[0]
        opened = None if secret is None else self._secrets.open(secret)
        return Delivery(id_, SessionId(session), seq, url, opened, body, created_at, attempts, next_at)

    def owing(self) -> list[SessionId]:
        rows = self._rows("SELECT session FROM deliveries GROUP BY session ORDER BY min(created_at)")
        return [SessionId(session) for (session,) in rows]

    def delivered(self, delivery_id: str) -> None:
        self._do(lambda db: db.execute("DELETE FROM deliveries WHERE id = ?", (delivery_id,)) and None)

    def postpone(self, delivery_id: str, attempts: int, next_at: float) -> None:
        row = (attempts, next_at, delivery_id)
        self._do(lambda db: db.execute("UPDATE deliveries SET attempts = ?, next_at = ? WHERE id = ?", row) and None)

    def ping(self) -> None:
        self._do(lambda db: db.execute("INSERT OR REPLACE INTO meta VALUES ('ping', hex(randomblob(4)))") and None)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._serving is not None:
            self._serving.wait()
        # WAL is folded into the main file, so that a copy of that one file is a whole backup.
        run_in_thread(self._pool, _close, self._db)
        self._pool.kill()

    def _delivery_row(self, delivery: Delivery) -> tuple[Any, ...]:
        secret = None if delivery.secret is None else self._secrets.seal(delivery.secret)
        head = (delivery.id, delivery.session_id, delivery.seq, delivery.url, secret, delivery.body)
        return (*head, delivery.created_at, delivery.attempts, delivery.next_at)

    def _decode(self, record: str, session: str) -> Call:
        try:
            return from_dict(json.loads(record), self._secrets.open)
        except (CodecError, json.JSONDecodeError) as error:
            raise StoreError(f"{self._path}: call {session} cannot be read: {error}") from error

    def _check_key(self) -> None:
        """Refuse at the start a key that is not the one the file was written with."""
        rows = self._rows("SELECT value FROM meta WHERE name = 'key_check'")
        if rows:
            self._secrets.open(rows[0][0])
            return
        proof = self._secrets.seal("fsbridge")
        self._do(lambda db: db.execute("INSERT INTO meta VALUES ('key_check', ?)", (proof,)) and None)

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._do(lambda db: db.execute(sql, values).fetchall())

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run the work on the store's thread in a transaction; returns after the commit."""
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
            raise _explain(self._path, job.outcome) from job.outcome
        return cast(T, job.outcome)

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
    """Everything that waits, a transaction per BATCH. Runs on the store's thread: no gevent objects, no logging."""
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
            except (sqlite3.Error, ValueError, OverflowError) as error:  # the latter: values SQLite cannot take
                if not db.in_transaction:  # a full disk or an I/O error has rolled the whole batch back
                    raise
                db.execute("ROLLBACK TO job")
                job.outcome = error
            db.execute("RELEASE job")
        db.execute("COMMIT")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        for job in batch:
            job.outcome = error


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Records hold phone numbers: readable by the service only. WAL files take over the mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: the store cannot be opened: {error.strerror}; check service.data_dir") from error
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    try:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        db.execute("PRAGMA journal_mode = WAL")
        # NORMAL: in WAL a crash of the process loses nothing, and a power cut at most the last moments before it,
        # never the file's consistency. FULL would cost an fsync a commit, and the calls of such a moment are gone
        # with the machine anyhow.
        db.execute("PRAGMA synchronous = NORMAL")
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    mark = db.execute("PRAGMA application_id").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0:
        db.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} {_TIMELINES} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    elif mark != APPLICATION_ID:
        raise StoreError(f"{path}: this is another program's database; set service.data_dir to a folder of our own")
    elif version not in (*_UPGRADES, SCHEMA_VERSION):
        raise StoreError(
            f"{path}: schema version {version}, this fsbridge knows {SCHEMA_VERSION}; start the fsbridge that wrote it"
        )
    else:
        for older in range(version, SCHEMA_VERSION):
            db.executescript(f"BEGIN IMMEDIATE; {_UPGRADES[older]} PRAGMA user_version = {older + 1}; COMMIT;")
    damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise sqlite3.DatabaseError(f"malformed: {damage}")


def _close(db: sqlite3.Connection) -> None:
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:
        pass  # the WAL stays beside the file and is read at the next start: nothing is lost
    finally:
        db.close()


def _explain(path: Path, error: Exception) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte: without the extended detail
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"{path}: the disk is full; free space or move service.data_dir")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "malformed" in str(error):
        return StoreError(
            f"{path}: the database is damaged ({error}); stop the service, move the file aside and start again "
            "(`sqlite3 FILE .recover` can save what it holds)"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{path}: another process holds the database; only one service may use a data_dir")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreError(f"{path}: the database cannot be written ({error}); check the owner of service.data_dir")
    return StoreError(f"{path}: the database failed: {error}")
