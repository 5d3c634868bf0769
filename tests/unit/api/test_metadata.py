"""Metadata comes back byte for byte, whatever JSON it is and whichever way it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.rest.app import build_app
from fsbridge.clock import SystemClock
from fsbridge.model.call import Call
from fsbridge.model.notice import Notice
from fsbridge.model.outcome import FailureReason
from fsbridge.model.request import Mode
from fsbridge.store.secrets import load_box
from fsbridge.store.sqlite import SqliteStore
from fsbridge.webhook.payload import deliveries, event_delivery
from tests.unit.api.support import Client, MemoryCalls, completed, make_settings

pytestmark = pytest.mark.unit

NUMBER = b'"destinationNumber": "+15551234567"'
HOOK = b', "mode": "webhook", "webhookUrl": "https://example.com/"'

blanks = st.text(" \t\n\r", max_size=2)
integers = st.from_regex(r"-?(0|[1-9][0-9]{0,400})", fullmatch=True)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
words = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
strings = words.map(json.dumps) | words.map(lambda text: json.dumps(text, ensure_ascii=False))
escaped = st.sampled_from(['"\\/"', '"\\u0041"', '"\\uD83D\\uDE00"', '"\\u2028"', '"\\u0000"'])
scalars = st.sampled_from(["null", "true", "false"]) | integers | numbers | strings | escaped


def _listed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda parts, blank: f"[{blank}{f'{blank},'.join(parts)}]", st.lists(inner, max_size=3), blanks)


def _keyed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.lists(st.tuples(strings, inner), max_size=3, unique_by=lambda member: json.loads(member[0]))
    return st.builds(
        lambda parts, blank: f"{{{blank}{f'{blank},'.join(f'{k}:{blank}{v}' for k, v in parts)}{blank}}}",
        members,
        blanks,
    )


objects = _keyed(st.recursive(scalars, lambda inner: _listed(inner) | _keyed(inner), max_leaves=8))


@contextmanager
def _placed(metadata: str) -> Iterator[tuple[Client, Call, bytes]]:
    """A caller, the call that was placed with the metadata, and what the POST was answered."""
    service = MemoryCalls()
    client = Client(build_app(make_settings(), service, SystemClock()))
    answer = client.place(b"{" + NUMBER + HOOK + b', "metadata":\n' + metadata.encode() + b" }")
    assert answer.status == 201, answer.body
    (call,) = service.calls.values()
    yield client, call, answer.body


def _echoed(body: bytes, metadata: str) -> bool:
    json.loads(body)
    return b'"metadata":' + metadata.encode() + b"," in body or body.endswith(b'"metadata":' + metadata.encode() + b"}")


@given(objects)
def test_answers_to_post_and_get_hold_the_same_bytes(metadata: str) -> None:
    with _placed(metadata) as (client, call, answered):
        assert _echoed(answered, metadata)
        assert _echoed(client.call(call.session_id).body, metadata)


@given(objects)
def test_every_webhook_holds_the_same_bytes(metadata: str) -> None:
    with _placed(metadata) as (_, call, _answer):
        ended = replace(completed(call), failure=FailureReason.BUSY)
        told = deliveries(ended, list(Notice), lambda: "x", 0.0)
        event = event_delivery(ended, "name", {"data": 1}, "x", 0.0)
        assert event is not None
        for delivery in (*told, event):
            assert _echoed(delivery.body, metadata)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    folder: Path = tmp_path_factory.mktemp("store")
    opened = SqliteStore(folder / "calls.db", load_box(None, folder))
    yield opened
    opened.close()


@settings(max_examples=50)
@given(objects)
def test_the_store_keeps_the_same_bytes(store: SqliteStore, metadata: str) -> None:
    with _placed(metadata) as (_, call, _answer):
        store.save(call)
        kept = store.get(call.org_id, call.session_id)
        assert kept is not None
        assert (kept.request.metadata, kept.request.mode) == (call.request.metadata, Mode.WEBHOOK)
        assert kept.request.metadata is not None
        assert kept.request.metadata.text == metadata


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": {"b": [{"c": 1, "c": 1}]}}', "'c' stands twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": 01}', "not JSON"),
        ('{"a": +1}', "not JSON"),
        ('{"a": 1.}', "not JSON"),
        ('{"a": "\t"}', "not JSON"),
        ("[" * 40 + "]" * 40, "levels"),
        ("[" * 20_000, "levels"),
        ("7", "metadata: must be a JSON object"),
        ('{"a": "' + "x" * 16_384 + '"}', "metadata: is 16392 bytes"),
        ('{"a": ' + "9" * 16_384 + "}", "metadata: is 16390 bytes"),
    ],
)
def test_what_is_no_metadata_is_refused_in_words(metadata: str, words: str) -> None:
    client = Client(build_app(make_settings(), MemoryCalls(), SystemClock()))
    answer = client.place(b"{" + NUMBER + b', "metadata": ' + metadata.encode() + b"}")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert words in answer.message


def test_white_space_between_its_parts_does_not_count() -> None:
    wide = '{"a": [' + ",\n    ".join(["1"] * 8_000) + "]}"
    assert len(wide) > 32_768
    with _placed(wide) as (_, _call, answered):
        assert _echoed(answered, wide)


def test_null_is_none_and_a_name_may_be_spelled_with_escapes() -> None:
    client = Client(build_app(make_settings(), MemoryCalls(), SystemClock()))
    assert client.place(b"{" + NUMBER + b', "metadata": null}').json["metadata"] is None
    answer = client.place(b"{" + NUMBER + b', "met\\u0061data": {"a": 1.10}}')
    assert b'"metadata":{"a": 1.10}' in answer.body
