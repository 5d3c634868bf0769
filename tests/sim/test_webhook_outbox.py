"""The outbox with a real store and a real receiver: order, retries, restarts, 410, giving up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
import structlog

from fsbridge.model.ids import SessionId
from fsbridge.model.notice import Notice
from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.store.base import Delivery, Owed, StoreError
from fsbridge.webhook import outbox as module
from fsbridge.webhook.delivery import Result
from fsbridge.webhook.outbox import remove_former_queue
from fsbridge.webhook.payload import deliveries
from fsbridge.webhook.schedule import Shares
from fsbridge.webhook.signing import verify
from tests.sim.webhook_service import FAST, Service
from tests.unit.webhook.helpers import (
    Answer,
    Got,
    Receiver,
    answered,
    completed,
    failed,
    receiver,
    reply,
    until,
    webhook_call,
)

pytestmark = pytest.mark.sim

Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Service] = []

    def begin(settings: WebhookSettings = FAST) -> Service:
        service = Service(tmp_path, settings)
        running.append(service)
        service.outbox.start()
        return service

    yield begin
    for service in running:
        if not service.outbox._stopping.is_set():
            service.stop()


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_delivers_signed_and_soon(start: Start, hook: Receiver) -> None:
    service = start()
    call = answered(webhook_call(hook.url + "/hook"))
    began = time.monotonic()
    service.tell(call, Notice.ANSWERED)
    until(lambda: len(hook.got) == 1, "the callback")
    assert time.monotonic() - began < 0.5  # it is about 10 ms on a quiet machine
    verify(hook.got[0].headers, hook.got[0].body, "s3cret", service.clock.wall())
    until(service.settled, "nothing owed")
    assert service.count("delivered") == 1


def test_order_within_a_call_is_kept_through_failures(start: Start, hook: Receiver) -> None:
    service = start()
    hook.script += [reply("500 Oops"), reply("503 Busy"), reply("200 OK")]
    call = webhook_call(hook.url)
    service.tell(answered(call), Notice.ANSWERED)
    until(lambda: len(hook.got) >= 1, "a first try")
    service.tell(completed(call), Notice.COMPLETED)
    until(service.settled, "nothing owed")
    assert [got.event for got in hook.got] == ["call.answered"] * 3 + ["call.completed"]
    assert len({got.headers["webhook-id"] for got in hook.got}) == 2
    assert len({got.body for got in hook.got[:3]}) == 1
    assert (service.count("retry"), service.count("delivered")) == (2, 2)


def test_many_calls_each_in_order(start: Start, hook: Receiver) -> None:
    service = start()
    calls = [webhook_call(hook.url) for _ in range(40)]
    for call in calls:
        service.tell(answered(call), Notice.ANSWERED)
    for call in calls:
        service.tell(completed(call), Notice.COMPLETED)
    until(service.settled, "nothing owed", 15)
    for call in calls:
        mine = [got.event for got in hook.got if call.session_id.encode() in got.body]
        assert mine == ["call.answered", "call.completed"]


def test_one_calls_slow_receiver_delays_no_other(start: Start, hook: Receiver) -> None:
    service = start()
    release = gevent.event.Event()

    def slow(_: Got) -> Answer:
        release.wait(5)
        return reply("200 OK")

    hook.script.append(slow)
    service.tell(failed(webhook_call(hook.url + "/slow")), Notice.FAILED)
    until(lambda: len(hook.got) == 1, "the slow one has begun")
    service.tell(failed(webhook_call(hook.url + "/quick")), Notice.FAILED)
    until(lambda: service.count("delivered") == 1, "the quick one")
    release.set()
    until(service.settled, "nothing owed")


def test_given_up_after_the_last_delay_and_the_next_goes_on(start: Start, hook: Receiver) -> None:
    service = start()
    hook.script += [reply("500 Oops")] * 4
    call = webhook_call(hook.url)
    with structlog.testing.capture_logs() as lines:
        service.tell(completed(call), Notice.ANSWERED, Notice.COMPLETED)
        until(service.settled, "nothing owed")
    assert [got.event for got in hook.got] == ["call.answered"] * 4 + ["call.completed"]
    assert (service.count("retry"), service.count("given_up"), service.count("delivered")) == (3, 1, 1)
    assert [line["reason"] for line in lines if line["event"] == "webhook_given_up"] == ["status 500"]


def test_410_stops_everything_of_the_call(start: Start, hook: Receiver) -> None:
    service = start()
    hook.script.append(reply("410 Gone"))
    call, other = webhook_call(hook.url), webhook_call(hook.url)
    service.tell(answered(call), Notice.ANSWERED)
    until(service.settled, "nothing owed")
    service.tell(completed(call), Notice.COMPLETED)
    service.tell(failed(other), Notice.FAILED)
    until(service.settled, "nothing owed")
    assert [got.event for got in hook.got] == ["call.answered", "call.failed"]
    assert service.count("gone") == 1


def test_what_is_owed_survives_a_restart(start: Start, hook: Receiver) -> None:
    first = start(FAST.model_copy(update={"retry_delays_s": (0.2, 0.2)}))
    hook.script += [reply("500 Oops")]
    call = webhook_call(hook.url)
    first.tell(answered(call), Notice.ANSWERED)
    until(lambda: first.count("retry") == 1, "the failed try")
    first.tell(completed(call), Notice.COMPLETED)
    first.stop()
    second = start()
    until(second.settled, "nothing owed")
    assert [got.event for got in hook.got] == ["call.answered", "call.answered", "call.completed"]
    assert hook.got[0].headers["webhook-id"] == hook.got[1].headers["webhook-id"]


def test_what_was_never_begun_is_taken_up_by_the_next_start(start: Start, hook: Receiver, tmp_path: Path) -> None:
    first = Service(tmp_path)  # never started: as if killed before its first delivery
    first.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    first.stop()
    second = start()
    until(second.settled, "nothing owed")
    assert [got.event for got in hook.got] == ["call.failed"]


def test_a_start_takes_up_more_than_a_page(
    start: Start, hook: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_PAGE", 3)
    first = Service(tmp_path)
    for _ in range(10):
        first.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    first.stop()
    second = start()
    until(second.settled, "nothing owed")
    assert len({got.body for got in hook.got}) == len(hook.got) == 10


def test_what_is_too_much_to_keep_in_mind_is_left_to_the_store_and_delivered_all_the_same(
    start: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "shares_of", lambda workers: Shares(total=2, org=2, host=2, own=1, known=3))
    monkeypatch.setattr(module, "SWEEP_S", 0.02)
    service = start()
    hook.script += [reply("500 Oops")] * 4
    for _ in range(12):
        service.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    assert len(service.outbox._schedule) <= 3
    until(lambda: service.count("delivered") == 12, "all of them", 20)
    until(service.settled, "nothing owed")


def test_the_files_of_a_former_queue_are_cleared_away(tmp_path: Path) -> None:
    for name in ("outbox.db", "outbox.db-wal", "calls.db"):
        (tmp_path / name).write_bytes(b"x")
    remove_former_queue(tmp_path)
    remove_former_queue(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["calls.db"]


def test_a_delivery_in_progress_is_interrupted_by_stop_and_kept(
    start: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.1)
    service = start(FAST.model_copy(update={"read_timeout_s": 30.0}))

    def never(_: Got) -> Answer:
        gevent.sleep(20)
        return reply("200 OK")

    hook.script.append(never)
    call = failed(webhook_call(hook.url))
    service.tell(call, Notice.FAILED)
    until(lambda: len(hook.got) == 1, "the delivery in progress")
    began = time.monotonic()
    service.outbox.stop()
    assert time.monotonic() - began < 3
    (owed,) = service.store.owing(None, 9)
    assert owed.session_id == call.session_id
    service.tell(call)  # after the end: nothing happens, nothing hangs
    service.supervisor.stop()
    service.store.close()


def test_a_store_that_fails_is_tried_again(start: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STORE_RETRY_S", 0.02)
    service = start()
    real, failures = service.store.delivered, [StoreError("the disk is full")] * 2

    def flaky(delivery_id: str) -> None:
        if failures:
            raise failures.pop()
        real(delivery_id)

    monkeypatch.setattr(service.store, "delivered", flaky)
    service.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(service.settled, "nothing owed")
    assert len(hook.got) == 1  # the receiver has it; the note of that failed twice
    assert service.count("delivered") == 1


def test_a_pause_that_the_store_cannot_note_is_kept_all_the_same(
    start: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(FAST.model_copy(update={"retry_delays_s": (0.3,)}))

    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(service.store, "postpone", full)
    hook.script += [reply("500 Oops")]
    began = time.monotonic()
    service.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(service.settled, "nothing owed")
    assert len(hook.got) == 2
    assert time.monotonic() - began >= 0.29


def test_a_sweep_survives_a_store_that_fails(start: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_S", 0.02)
    service = start()
    real, failures = service.store.owing, [StoreError("the disk is full")]

    def flaky(after: SessionId | None, limit: int) -> list[Owed]:
        if failures:
            raise failures.pop()
        return real(after, limit)

    monkeypatch.setattr(service.store, "owing", flaky)
    call = failed(webhook_call(hook.url))
    service.store.save(call, deliveries(call, [Notice.FAILED], lambda: "unkicked", 0.0))
    until(lambda: len(hook.got) == 1, "found by a later sweep")


def test_a_fault_of_ours_costs_a_call_a_pause_and_nothing_more(
    start: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STORE_RETRY_S", 0.02)
    service = start()
    real, faults = service.outbox._courier.attempt, [RuntimeError("a fault of ours")]

    def flaky(delivery: Delivery) -> Result:
        if faults:
            raise faults.pop()
        return real(delivery)

    monkeypatch.setattr(service.outbox._courier, "attempt", flaky)
    service.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(service.settled, "nothing owed")
    assert len(hook.got) == 1


def test_a_kick_of_a_call_at_work_does_not_send_twice_at_a_time(start: Start, hook: Receiver) -> None:
    service = start()
    release = gevent.event.Event()

    def slow(_: Got) -> Answer:
        release.wait(5)
        return reply("200 OK")

    hook.script.append(slow)
    call, other = failed(webhook_call(hook.url)), failed(webhook_call(hook.url))
    service.tell(call, Notice.FAILED)
    until(lambda: len(hook.got) == 1, "the delivery in progress")
    service.tell(call, Notice.FAILED)
    service.tell(other, Notice.FAILED)
    until(lambda: len(hook.got) == 2, "the other call's, so the dispatcher has looked")
    release.set()
    until(service.settled, "nothing owed")
    assert len(hook.got) == 2


def test_something_new_does_not_hurry_what_waits_in_the_store_alone(
    start: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose postponed webhook the schedule does not know, as after a restart and before its sweep."""
    monkeypatch.setattr(module, "SWEEP_S", 60.0)
    service = start()
    until(lambda: service.sweeps == 1, "the sweep at the start")
    call = webhook_call(hook.url)
    (first,) = deliveries(answered(call), [Notice.ANSWERED], lambda: "waits", service.clock.wall())
    service.store.save(answered(call), [first])
    service.store.postpone(first.id, 2, service.clock.wall() + 0.3)
    began = time.monotonic()
    service.tell(completed(call), Notice.COMPLETED)
    until(service.settled, "nothing owed")
    assert [got.event for got in hook.got] == ["call.answered", "call.completed"]
    assert time.monotonic() - began >= 0.29


def test_a_kick_while_the_last_one_goes_out_is_not_lost(start: Start, hook: Receiver) -> None:
    service = start()
    call = webhook_call(hook.url)

    def meanwhile(_: Got) -> Answer:
        service.tell(completed(call), Notice.COMPLETED)
        return reply("200 OK")

    hook.script.append(meanwhile)
    service.tell(answered(call), Notice.ANSWERED)
    until(lambda: len(hook.got) == 2, "both")
    until(service.settled, "nothing owed")
    assert [got.event for got in hook.got] == ["call.answered", "call.completed"]


def test_only_so_many_refusals_are_remembered(start: Start, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GONE_MEMORY", 2)
    service = start()
    hook.script += [reply("410 Gone")] * 4
    for _ in range(4):
        service.tell(failed(webhook_call(hook.url)), Notice.FAILED)
    until(service.settled, "nothing owed")
    assert len(service.outbox._gone) == 2


def test_logs_hold_neither_secret_nor_path(start: Start, hook: Receiver) -> None:
    service = start()
    hook.script.append(reply("500 Oops"))
    call = webhook_call(hook.url + "/t0ken-in-path?key=hidden", auth="the-webhook-auth")
    with structlog.testing.capture_logs() as lines:
        service.tell(failed(replace(call)), Notice.FAILED)
        until(service.settled, "nothing owed")
    text = repr(lines)
    assert {line["event"] for line in lines} == {"webhook_failed", "webhook_delivered"}
    assert "127.0.0.1" in text
    for secret in ("t0ken", "hidden", "the-webhook-auth", "order"):
        assert secret not in text
