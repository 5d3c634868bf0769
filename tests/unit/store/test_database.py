"""The store's file: shared commits that never stop the hub, and everything that can be wrong with the disk."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
from cryptography.fernet import Fernet
from gevent import monkey
from gevent.pool import Group

from fsbridge.model.notice import Notice
from fsbridge.store import database, file
from fsbridge.store.base import StoreError
from fsbridge.store.schema import SCHEMA_VERSION
from fsbridge.store.secrets import SecretBox
from fsbridge.store.sqlite import SqliteStore
from tests.unit.store.test_sqlite import owed
from tests.unit.webhook.helpers import answered, webhook_call

pytestmark = pytest.mark.unit

BOX = SecretBox(Fernet.generate_key())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "fsbridge.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path, BOX)
    yield opened
    opened.close()


def test_one_failing_job_does_not_take_its_neighbours_along(store: SqliteStore) -> None:
    bad = answered(webhook_call())
    unkeepable = [replace(owed(bad, Notice.ANSWERED)[0], seq=2**70)]
    good = [webhook_call() for _ in range(20)]
    tasks = Group()

    def refused() -> None:
        with pytest.raises(StoreError):
            store.save(bad, unkeepable)

    for call in good[:10]:
        tasks.spawn(store.save, call)
    tasks.spawn(refused)
    for call in good[10:]:
        tasks.spawn(store.save, call)
    tasks.join(timeout=5, raise_error=True)
    assert {call.session_id for call in store.unfinished()} == {call.session_id for call in good}


def test_many_at_once_share_commits(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    served = []
    real = database._run

    def counting(db: sqlite3.Connection, batch: list[database._Job]) -> None:
        served.append(len(batch))
        real(db, batch)

    monkeypatch.setattr(database, "_run", counting)
    tasks = Group()
    for _ in range(600):
        tasks.spawn(store.save, webhook_call())
    tasks.join(timeout=10, raise_error=True)
    assert len(store.unfinished()) == 600
    assert len(served) < 20
    assert max(served) <= database.BATCH


def test_a_killed_caller_leaves_nobody_waiting(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real, go = database._serve, monkey.get_original("threading", "Event")()

    def held(*args: object) -> None:
        go.wait(5)
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "_serve", held)
    calls = [webhook_call() for _ in range(3)]
    leader, follower = Group().spawn(store.save, calls[0]), Group().spawn(store.save, calls[1])
    gevent.sleep(0.01)
    leader.kill()
    last = Group().spawn(store.save, calls[2])
    go.set()
    gevent.joinall([follower, last], raise_error=True, timeout=5)
    assert follower.ready()
    assert last.ready()
    assert {call.session_id for call in store.unfinished()} == {call.session_id for call in calls}


def test_a_slow_disk_does_not_stop_the_hub(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real_sleep, real = monkey.get_original("time", "sleep"), database._run
    main, seen = threading.get_native_id(), []

    def slow(db: sqlite3.Connection, batch: list[database._Job]) -> None:
        seen.append(monkey.get_original("threading", "get_native_id")())
        real_sleep(0.3)
        real(db, batch)

    monkeypatch.setattr(database, "_run", slow)
    task, beats, began = Group().spawn(store.save, webhook_call()), 0, time.monotonic()
    while not task.ready() and time.monotonic() - began < 5:
        gevent.sleep(0.005)
        beats += 1
    task.get()
    assert beats >= 20
    assert main not in seen


# --- what can be wrong with the files ------------------------------------------------------------------


def test_a_full_disk_is_told_and_outlived(store: SqliteStore) -> None:
    # SQLite's own limit gives the same error as a full file system.
    store._database.do(lambda db: db.execute("PRAGMA max_page_count = 30") and None)
    big = replace(webhook_call(), failure_detail="x" * 20_000)
    kept = []

    def fill() -> None:
        for _ in range(50):
            call = replace(big, session_id=webhook_call().session_id)
            store.save(call)
            kept.append(call.session_id)

    with pytest.raises(StoreError, match="disk is full"):
        fill()
    assert kept
    assert {call.session_id for call in store.unfinished()} == set(kept)
    store._database.do(lambda db: db.execute("PRAGMA max_page_count = 100000") and None)
    store.save(webhook_call())


def test_a_damaged_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database " * 1_000)
    with pytest.raises(StoreError, match=r"damaged.*move the file aside"):
        SqliteStore(path, BOX)


def test_damage_inside(path: Path) -> None:
    store = SqliteStore(path, BOX)
    for _ in range(50):
        store.save(webhook_call())
    store.close()
    raw = bytearray(path.read_bytes())
    raw[4_096 * 2 : 4_096 * 6] = b"\xa5" * (4_096 * 4)
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="damaged"):
        SqliteStore(path, BOX)


def test_another_programs_database(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    db.close()
    with pytest.raises(StoreError, match="another program's database"):
        SqliteStore(path, BOX)


def test_a_newer_schema(path: Path) -> None:
    SqliteStore(path, BOX).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}"):
        SqliteStore(path, BOX)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be opened.*data_dir"):
        SqliteStore(tmp_path / "file" / "fsbridge.db", BOX)


def test_another_process_holds_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "BUSY_TIMEOUT_MS", 50)
    store = SqliteStore(path, BOX)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match="another process"):
            store.ping()
    finally:
        other.execute("ROLLBACK")
        other.close()
    store.ping()
    store.close()


def test_a_file_made_read_only_under_us(store: SqliteStore) -> None:
    store._database.do(lambda db: db.execute("PRAGMA query_only = ON") and None)
    with pytest.raises(StoreError, match=r"cannot be written|failed"):
        store.ping()


def test_after_the_close_everything_says_so(path: Path) -> None:
    store = SqliteStore(path, BOX)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.save(webhook_call())
