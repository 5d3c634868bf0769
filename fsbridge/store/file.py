"""One SQLite file: opened for us alone, closed whole, and its faults in words that say what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from fsbridge.store.base import StoreError
from fsbridge.store.schema import prepare

BUSY_TIMEOUT_MS = 5_000
LEAST_FREE = 16 * 1024 * 1024
"""Bytes below which the disk counts as full: minutes of calls, in which somebody may act."""


def open_file(path: Path) -> sqlite3.Connection:
    """The file, made or brought up to date where needed. Raises sqlite3.Error (see `explain`) and StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Records hold phone numbers: readable by the service only. WAL files take over the mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(path) from error
        raise StoreError(f"{path}: the store cannot be opened: {error.strerror}; check service.data_dir") from error
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    try:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        db.execute("PRAGMA journal_mode = WAL")
        # NORMAL: in WAL a crash of the process loses nothing, and a power cut at most the last moments before it,
        # never the file's consistency. FULL would cost an fsync a commit, and the calls of such a moment are gone
        # with the machine anyhow.
        db.execute("PRAGMA synchronous = NORMAL")
        prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def close_file(db: sqlite3.Connection) -> None:
    """Let go of it; the WAL is folded into the main file, so that a copy of that one file is a whole backup."""
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:
        pass  # the WAL stays beside the file and is read at the next start: nothing is lost
    finally:
        db.close()


def check_space(path: Path) -> None:
    """Raise OSError while the file's disk has less than `LEAST_FREE` bytes for us."""
    disk = os.statvfs(path.parent)
    if disk.f_bavail * disk.f_frsize < LEAST_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def explain(path: Path, error: Exception) -> StoreError:
    """What went wrong and what to do about it."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return _full(path) if full else StoreError(f"{path}: {error.strerror}; check service.data_dir")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte: without the extended detail
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if code == sqlite3.SQLITE_IOERR:
        # Also a disk so full that not even the index of the WAL finds room.
        return StoreError(f"{path}: the disk is full or fails ({error}); check the disk of service.data_dir")
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


def _full(path: Path) -> StoreError:
    return StoreError(f"{path}: the disk is full; free space or move service.data_dir")
