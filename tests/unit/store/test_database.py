"""The store's file: shared commits that never stop the hub, and everything that can be wrong with the disk."""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
from cryptography.fernet import Fernet
from gevent import monkey
from gevent.pool import Group

from fsbridge.model.call import Call
from fsbridge.model.notice import Notice
from fsbridge.store import database, file
from fsbridge.store.base import StoreError
from fsbridge.store.schema import SCHEMA_VERSION
from fsbridge.store.secrets import SecretBox
from fsbridge.store.sqlite import SqliteStore
from fsbridge.webhook.payload import event_delivery
from tests.unit.store.test_sqlite import owed
from tests.unit.webhook.helpers import Gate, answered, completed, webhook_call

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
    real, gate = database._serve, Gate()

    def held(*args: object) -> None:
        gate.wait(5)
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(database, "_serve", held)
    calls = [webhook_call() for _ in range(3)]
    leader, follower = Group().spawn(store.save, calls[0]), Group().spawn(store.save, calls[1])
    gevent.sleep(0.01)
    leader.kill()
    last = Group().spawn(store.save, calls[2])
    gate.open()
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


@contextmanager
def full(store: SqliteStore) -> Iterator[None]:
    """SQLite's own limit gives the same error as a full file system."""
    pages = store._database.do(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    store._database.do(lambda db: db.execute(f"PRAGMA max_page_count = {pages}") and None)
    try:
        yield
    finally:
        store._database.do(lambda db: db.execute("PRAGMA max_page_count = 100000") and None)


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """The kernel lets no file grow beyond that many bytes, as on a disk that is full or fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def big(letter: str) -> str:
    return letter * 50_000


def test_a_full_disk_is_told_and_outlived(store: SqliteStore) -> None:
    kept = answered(webhook_call())
    store.save(kept, owed(kept, Notice.ANSWERED))
    changed = replace(completed(kept), failure_detail=big("x"))
    event = event_delivery(kept, "e", big("y"), "e", 100.0)
    assert event is not None
    with full(store):
        for write in (
            lambda: store.save(changed, owed(changed, Notice.COMPLETED, prefix="z")),
            lambda: store.save(replace(changed, session_id=webhook_call().session_id)),
            lambda: store.owe(event),
            lambda: store.save_timeline(kept.session_id, big("z")),
        ):
            with pytest.raises(StoreError, match=r"disk is full; free space"):
                write()
    assert store.unfinished() == [kept]  # neither the change nor its webhook
    assert store.timeline(kept.org_id, kept.session_id) is None
    told = []
    while (first := store.first_delivery(kept.session_id)) is not None:
        told.append(first.seq)
        store.delivered(first.id)
    assert told == [1]
    store.save(changed, owed(changed, Notice.COMPLETED))
    assert store.get(kept.org_id, kept.session_id) == changed


def test_on_a_full_disk_each_call_of_a_batch_is_kept_or_refused(store: SqliteStore) -> None:
    calls = [replace(webhook_call(), failure_detail=big("x")) for _ in range(20)]
    refused: list[str] = []

    def keep(call: Call) -> None:
        try:
            store.save(call)
        except StoreError:
            refused.append(call.session_id)

    with full(store):
        tasks = Group()
        for call in calls:
            tasks.spawn(keep, call)
        tasks.join(timeout=10, raise_error=True)
    assert refused
    assert {call.session_id for call in store.unfinished()} == {call.session_id for call in calls} - set(refused)


def test_a_kernel_that_refuses_to_write(store: SqliteStore, path: Path) -> None:
    kept = webhook_call()
    store.save(kept)
    with small_files(path.with_name(f"{path.name}-wal").stat().st_size), pytest.raises(StoreError, match="disk"):
        store.save(replace(webhook_call(), failure_detail=big("x")))
    assert store.unfinished() == [kept]
    store.save(answered(kept))
    assert store.unfinished() == [answered(kept)]


def test_a_store_that_cannot_be_made_leaves_nothing_that_stops_the_next_start(path: Path) -> None:
    with small_files(4_096), pytest.raises(StoreError, match="disk"):
        SqliteStore(path, BOX)
    SqliteStore(path, BOX).close()


def test_a_disk_that_will_soon_be_full_is_told_by_the_ping(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.ping()
    monkeypatch.setattr(file, "LEAST_FREE", 2**62)
    with pytest.raises(StoreError, match="disk is full"):
        store.ping()
    store.save(webhook_call())  # there is room, so it is used


def test_work_that_breaks_is_its_callers_trouble_alone(store: SqliteStore) -> None:
    tasks, call = Group(), webhook_call()

    def breaks(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM calls")
        raise KeyError("a fault of ours")

    store.save(call)
    other = tasks.spawn(store.ping)
    with pytest.raises(StoreError, match="a fault of ours"):
        store._database.do(breaks)
    tasks.join(timeout=5)
    assert other.successful()
    assert store.unfinished() == [call]


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
