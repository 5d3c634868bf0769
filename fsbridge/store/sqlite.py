"""The embedded store: one SQLite file beside the service.

What a call, a delivery and a timeline are in it. How the file is worked on without stopping the hub is
`store.database`'s matter. JSON and encryption are done by the caller's greenlet, not in the database's thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from fsbridge.model.call import Call
from fsbridge.model.ids import OrgId, SessionId
from fsbridge.store.base import LAST_SEQ, MAX_OWED, NEXT_SEQ, Delivery, Owed, StoreError
from fsbridge.store.codec import CodecError, from_dict, to_dict
from fsbridge.store.database import Database
from fsbridge.store.secrets import SecretBox

log = structlog.get_logger(__name__)

PURGE_CHUNK = 500

_DELIVERY = "id, session, seq, url, secret, body, created_at, attempts, next_at"
_ORG = "coalesce((SELECT org FROM calls WHERE calls.session = deliveries.session), '')"
_OWE = f"""
INSERT OR IGNORE INTO deliveries ({_DELIVERY})
SELECT ?1, ?2, iif(?3 = {NEXT_SEQ}, coalesce(max(seq), 1) + 1, ?3), ?4, ?5, ?6, ?7, ?8, ?9
FROM deliveries WHERE session = ?2 AND seq < {LAST_SEQ}
"""


class SqliteStore:
    """`fsbridge.store.base.Store` on one file. The constructor opens it and raises StoreError if it cannot."""

    def __init__(self, path: Path, secrets: SecretBox) -> None:
        self._path = path
        self._secrets = secrets
        self._database = Database(path)
        try:
            self._check_key()
        except StoreError:
            self._database.close()
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

        self._database.do(write)

    def owe(self, delivery: Delivery) -> None:
        row = self._delivery_row(delivery)
        count = "SELECT count(*) FROM deliveries WHERE session = ?"

        def write(db: sqlite3.Connection) -> bool:
            if db.execute(count, (delivery.session_id,)).fetchone()[0] >= MAX_OWED:
                return False
            db.execute(_OWE, row)
            return True

        if not self._database.do(write):
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
        while (count := self._database.do(write)) > 0:
            purged += count
        return purged

    def save_timeline(self, session_id: SessionId, events: str) -> None:
        sql = "INSERT OR REPLACE INTO timelines SELECT session, ? FROM calls WHERE session = ?"
        self._write(sql, (events, session_id))

    def timeline(self, org_id: OrgId, session_id: SessionId) -> str | None:
        sql = "SELECT events FROM timelines JOIN calls USING (session) WHERE session = ? AND org = ?"
        rows = self._rows(sql, (session_id, org_id))
        return str(rows[0][0]) if rows else None

    def first_delivery(self, session_id: SessionId) -> Delivery | None:
        sql = f"SELECT {_ORG}, {_DELIVERY} FROM deliveries WHERE session = ? ORDER BY seq LIMIT 1"
        rows = self._rows(sql, (session_id,))
        if not rows:
            return None
        org, id_, session, seq, url, secret, body, created_at, attempts, next_at = rows[0]
        opened = None if secret is None else self._secrets.open(secret)
        return Delivery(id_, SessionId(session), OrgId(org), seq, url, opened, body, created_at, attempts, next_at)

    def owing(self, after: SessionId | None, limit: int) -> list[Owed]:
        sql = (
            f"SELECT session, {_ORG}, url, created_at, attempts, next_at FROM deliveries WHERE session > ? AND "
            "seq = (SELECT min(seq) FROM deliveries AS own WHERE own.session = deliveries.session) "
            "ORDER BY session LIMIT ?"
        )
        return [Owed(*row) for row in self._rows(sql, (after or "", limit))]

    def delivered(self, delivery_id: str) -> None:
        self._write("DELETE FROM deliveries WHERE id = ?", (delivery_id,))

    def postpone(self, delivery_id: str, attempts: int, next_at: float) -> None:
        row = (attempts, next_at, delivery_id)
        self._write("UPDATE deliveries SET attempts = ?, next_at = ? WHERE id = ?", row)

    def ping(self) -> None:
        self._database.check_space()
        self._write("INSERT OR REPLACE INTO meta VALUES ('ping', hex(randomblob(4)))")

    def close(self) -> None:
        self._database.close()

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
        self._write("INSERT INTO meta VALUES ('key_check', ?)", (proof,))

    def _write(self, sql: str, values: Sequence[Any] = ()) -> None:
        self._database.do(lambda db: db.execute(sql, values) and None)

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._database.do(lambda db: db.execute(sql, values).fetchall())
