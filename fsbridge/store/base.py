"""What keeps calls and their undelivered webhooks. SQLite is the embedded implementation; others may follow.

Calls are saved together with the webhook deliveries that their change caused, in one transaction: a delivery
exists exactly if the change that it tells of was kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fsbridge.errors import FsbridgeError
from fsbridge.model.call import Call
from fsbridge.model.ids import OrgId, SessionId

NEXT_SEQ = 0
"""A delivery's `seq` that lets the store choose: after every other of its call that is there, but `LAST_SEQ`."""
MAX_OWED = 1_000
"""Deliveries that one call may owe at a time: a flow that tells things in a loop must not fill the disk."""
LAST_SEQ = 1_000_000
"""The `seq` of a call's last delivery, whatever came before it."""


class StoreError(FsbridgeError):
    """The store cannot be read or written; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook to be delivered. `id` is the `webhook-id`; `seq` orders the deliveries of one call (see `NEXT_SEQ`).

    `attempts` counts the tries so far; `next_at` is Unix seconds. `secret` signs the body (None: unsigned).
    """

    id: str
    session_id: SessionId
    org_id: OrgId
    seq: int
    url: str
    secret: str | None
    body: bytes
    created_at: float
    attempts: int = 0
    next_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Owed:
    """A call that owes webhooks, and what its oldest one says of when it is due. Times are Unix seconds."""

    session_id: SessionId
    org_id: OrgId
    url: str
    created_at: float
    attempts: int
    next_at: float


class Store(Protocol):
    """Blocks only the calling greenlet, never the hub. Raises StoreError (disk full, database damaged)."""

    def save(self, call: Call, deliveries: Sequence[Delivery] = ()) -> None:
        """Insert or replace the call and append the deliveries, all or nothing."""

    def owe(self, delivery: Delivery) -> None:
        """Append one delivery of a call that is kept, without a word about the call itself.

        For what happens beside the call's changes: who has seen an older version of it must not save that again.
        Raises StoreError also when the call owes `MAX_OWED` already.
        """

    def get(self, org_id: OrgId, session_id: SessionId) -> Call | None:
        """The call, if it exists and belongs to the organization."""

    def unfinished(self) -> list[Call]:
        """Every call that is not terminal: what a restarted controller has to settle."""

    def purge(self, ended_before: float) -> int:
        """Forget calls that ended before that Unix time and owe no delivery; returns how many."""

    def save_timeline(self, session_id: SessionId, events: str) -> None:
        """Keep the call's timeline, a JSON list, in place of an earlier one; forgotten together with the call.

        Nothing is kept for a call that is not there.
        """

    def timeline(self, org_id: OrgId, session_id: SessionId) -> str | None:
        """The call's timeline as it was kept, if the call exists and belongs to the organization."""

    def first_delivery(self, session_id: SessionId) -> Delivery | None:
        """The call's oldest undelivered webhook."""

    def owing(self, after: SessionId | None, limit: int) -> list[Owed]:
        """Calls with undelivered webhooks, `limit` at most, in the order of their ids and behind `after`."""

    def delivered(self, delivery_id: str) -> None:
        """Remove a delivery that has arrived or was given up."""

    def postpone(self, delivery_id: str, attempts: int, next_at: float) -> None:
        """Keep a delivery for another try."""

    def ping(self) -> None:
        """Raise StoreError unless the store can be written, and will be for a while."""

    def close(self) -> None:
        """Flush and let go of the files."""
