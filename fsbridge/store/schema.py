"""The tables of the embedded store, and what makes of an older file one of today."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fsbridge.store.base import StoreError

SCHEMA_VERSION = 2
APPLICATION_ID = 0x66736264
"""Marks the file as ours ("fsbd"): another program's database is refused, not written into."""

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


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables, or bring those of an older version up to date; look for damage.

    Raises StoreError for what is not ours to write into, sqlite3.Error for a damaged file.
    """
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
