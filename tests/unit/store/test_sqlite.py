"""The embedded store: everything its interface promises, on real files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings

from fsbridge.model.call import Call
from fsbridge.model.ids import OrgId, SessionId
from fsbridge.model.notice import Notice
from fsbridge.model.status import Phase
from fsbridge.store import sqlite as module
from fsbridge.store.base import Delivery, Owed, Store, StoreError
from fsbridge.store.secrets import SecretBox
from fsbridge.store.sqlite import SqliteStore
from fsbridge.webhook.payload import deliveries, event_delivery
from tests.unit.store.strategies import calls
from tests.unit.webhook.helpers import ORG, answered, completed, failed, webhook_call

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


def owed(call: Call, *notices: Notice, prefix: str = "") -> list[Delivery]:
    count = iter(range(99))
    return deliveries(call, notices, lambda: f"{prefix}{call.session_id}{next(count)}", 100.0)


def test_it_is_a_store(store: SqliteStore) -> None:
    promised: Store = store
    promised.ping()


def test_save_get_and_replace(store: SqliteStore) -> None:
    call = webhook_call()
    store.save(call)
    assert store.get(ORG, call.session_id) == call
    store.save(answered(call))
    assert store.get(ORG, call.session_id) == answered(call)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=calls)
def test_any_call_comes_back_exactly(store: SqliteStore, call: Call) -> None:
    store.save(call)
    assert store.get(call.org_id, call.session_id) == call


def test_another_orgs_call_is_not_seen(store: SqliteStore) -> None:
    call = webhook_call()
    store.save(call)
    assert store.get(OrgId("99999999-9999-4999-8999-999999999999"), call.session_id) is None
    assert store.get(ORG, SessionId("99999999-9999-4999-8999-999999999999")) is None


def test_what_was_kept_is_there_after_a_restart(path: Path) -> None:
    first = SqliteStore(path, BOX)
    call = answered(webhook_call())
    first.save(call, owed(call, Notice.ANSWERED))
    first.close()
    first.close()  # a second time does no harm
    second = SqliteStore(path, BOX)
    assert second.get(ORG, call.session_id) == call
    assert second.unfinished() == [call]
    delivery = second.first_delivery(call.session_id)
    assert delivery is not None
    assert (delivery.secret, delivery.url) == ("s3cret", "https://example.com/hook")
    second.close()


def test_files_hold_no_secret_and_are_ours_alone(path: Path) -> None:
    store = SqliteStore(path, BOX)
    call = answered(webhook_call(auth="very-secret-auth"))
    store.save(call, owed(call, Notice.ANSWERED))
    for file in path.parent.iterdir():
        assert b"very-secret-auth" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["fsbridge.db"]


def test_unfinished(store: SqliteStore) -> None:
    live, done = [webhook_call(), answered(webhook_call())], [completed(webhook_call()), failed(webhook_call())]
    for call in (*live, *done):
        store.save(call)
    assert {call.session_id for call in store.unfinished()} == {call.session_id for call in live}


def test_an_unreadable_record_does_not_hide_the_others(store: SqliteStore, path: Path) -> None:
    good, bad = webhook_call(), webhook_call()
    store.save(good)
    store.save(bad)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE calls SET record = '{}' WHERE session = ?", (bad.session_id,))
    db.close()
    assert store.unfinished() == [good]
    with pytest.raises(StoreError, match=f"{bad.session_id} cannot be read"):
        store.get(ORG, bad.session_id)


def test_deliveries_in_order_until_none_is_left(store: SqliteStore) -> None:
    call = completed(webhook_call())
    second, first = owed(call, Notice.COMPLETED, prefix="b")[0], owed(call, Notice.ANSWERED, prefix="a")[0]
    store.save(call, [second])
    store.save(call, [first])
    assert store.first_delivery(call.session_id) == first
    store.postpone(first.id, 3, 500.0)
    assert store.first_delivery(call.session_id) == replace(first, attempts=3, next_at=500.0)
    assert store.owing(None, 9) == [Owed(call.session_id, ORG, first.url, first.created_at, 3, 500.0)]
    store.delivered(first.id)
    assert store.first_delivery(call.session_id) == second
    store.delivered(second.id)
    assert store.first_delivery(call.session_id) is None
    assert store.owing(None, 9) == []


def test_what_is_owed_comes_in_pages(store: SqliteStore) -> None:
    calls = sorted((webhook_call() for _ in range(7)), key=lambda call: call.session_id)
    for call in calls:
        store.save(call, owed(call, Notice.ANSWERED, Notice.COMPLETED))
    found, after = [], None
    while page := store.owing(after, 3):
        assert len(page) <= 3
        found += page
        after = page[-1].session_id
    assert [one.session_id for one in found] == [call.session_id for call in calls]
    assert {one.org_id for one in found} == {ORG}


def test_a_change_kept_twice_is_told_once(store: SqliteStore) -> None:
    call = failed(webhook_call(auth=None))
    store.save(call, owed(call, Notice.FAILED, prefix="first"))
    store.save(call, owed(call, Notice.FAILED, prefix="again"))
    delivery = store.first_delivery(call.session_id)
    assert delivery is not None
    assert delivery.id.startswith("msg_first")
    assert delivery.secret is None
    store.delivered(delivery.id)
    assert store.owing(None, 9) == []


def test_a_flow_s_events_stay_between_the_answer_and_the_end(store: SqliteStore) -> None:
    call = answered(webhook_call())
    events = [event_delivery(call, name, None, name, 100.0) for name in ("a", "b", "c")]
    assert all(events)
    store.save(completed(call), owed(call, Notice.COMPLETED, prefix="z"))
    store.save(call, owed(call, Notice.ANSWERED))
    for event in events[:2]:
        store.owe(event)
        store.owe(event)  # kept twice, told once
    told = []
    while (first := store.first_delivery(call.session_id)) is not None:
        told.append(json.loads(first.body).get("name", json.loads(first.body)["event"]))
        store.delivered(first.id)
        if told[-1] == "a":
            store.save(call, events[2:])
    assert told == ["call.answered", "a", "b", "c", "call.completed"]


def test_a_call_owes_so_much_and_no_more(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OWED", 2)
    call = answered(webhook_call())
    store.save(call, owed(call, Notice.ANSWERED))
    first, second = (event_delivery(call, name, None, name, 100.0) for name in ("a", "b"))
    assert first is not None
    assert second is not None
    store.owe(first)
    with pytest.raises(StoreError, match="owes 2 webhooks already"):
        store.owe(second)
    store.delivered(first.id)
    store.owe(second)
    store.save(completed(call), owed(call, Notice.COMPLETED, prefix="z"))  # the end is always told


def test_a_timeline_is_kept_with_its_call_and_goes_with_it(store: SqliteStore) -> None:
    call = completed(webhook_call())
    store.save_timeline(call.session_id, "[0]")  # of a call that nobody knows: nothing is kept
    store.save(call)
    assert store.timeline(ORG, call.session_id) is None
    for text in ("[1]", "[2]"):
        store.save_timeline(call.session_id, text)
        assert store.timeline(ORG, call.session_id) == text
    store.save(call)
    assert store.timeline(ORG, call.session_id) == "[2]"
    assert store.timeline(OrgId("99999999-9999-4999-8999-999999999999"), call.session_id) is None
    assert store.purge(1e12) == 1
    store.save(call)
    assert store.timeline(ORG, call.session_id) is None


def test_a_store_of_before_there_were_timelines_is_taken_over(path: Path) -> None:
    call = completed(webhook_call())
    store = SqliteStore(path, BOX)
    store.save(call)
    store.close()
    with sqlite3.connect(path) as db:
        db.executescript("DROP TRIGGER calls_forgotten; DROP TABLE timelines; PRAGMA user_version = 1")
    for _ in range(2):
        store = SqliteStore(path, BOX)
        store.save_timeline(call.session_id, "[]")
        assert store.timeline(ORG, call.session_id) == "[]"
        store.close()


def test_purge_keeps_the_recent_the_living_and_those_that_owe(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PURGE_CHUNK", 2)
    old = [completed(webhook_call()) for _ in range(5)]
    recent = replace(completed(webhook_call()), completed_at=2_000.0)
    living = answered(webhook_call())
    debtor = failed(webhook_call())
    for call in (*old, recent, living):
        store.save(call)
    store.save(debtor, owed(debtor, Notice.FAILED))
    assert store.purge(1_500.0) == 5
    assert [store.get(ORG, call.session_id) for call in old] == [None] * 5
    assert all(store.get(ORG, call.session_id) for call in (recent, living, debtor))
    assert store.purge(1_500.0) == 0


def test_an_ended_call_without_its_time_is_purged_too(store: SqliteStore) -> None:
    store.save(replace(webhook_call(), phase=Phase.ENDED))
    assert store.purge(1_500.0) == 1


def test_all_or_nothing(store: SqliteStore) -> None:
    call = answered(webhook_call())
    good = owed(call, Notice.ANSWERED)[0]
    unkeepable = replace(good, id="other", seq=2**70)
    with pytest.raises(StoreError):
        store.save(call, [good, unkeepable])
    assert store.get(ORG, call.session_id) is None
    assert store.owing(None, 9) == []


def test_another_key_is_refused_at_the_start(path: Path) -> None:
    SqliteStore(path, BOX).close()
    with pytest.raises(StoreError, match="put the old key back"):
        SqliteStore(path, SecretBox(Fernet.generate_key()))
