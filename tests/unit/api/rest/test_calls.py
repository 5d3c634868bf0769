"""The call endpoints through WSGI: every code of the contract, and the order in which faults are told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amd_model.verdict import AmdOptions, Mode, Verdict
from api.rest.app import build_app
from fsbridge.clock import SystemClock
from fsbridge.dialing.trunks import NotDiallable
from fsbridge.errors import FsbridgeError
from fsbridge.flow.document.errors import FlowInvalid, FlowMissing, Problem
from fsbridge.model.call import Call
from fsbridge.model.ids import is_uuid, new_uuid
from fsbridge.model.outcome import FailureReason
from fsbridge.model.status import Phase
from tests.unit.api.support import (
    CREATED,
    FLOW,
    KEY,
    MUTE_KEY,
    MUTE_ORG,
    ORG,
    OTHER_KEY,
    OTHER_ORG,
    Answer,
    Client,
    MemoryCalls,
    completed,
    make_settings,
)

pytestmark = pytest.mark.unit

NUMBER = {"destinationNumber": "+12025550123"}
HOOK = {**NUMBER, "mode": "webhook", "webhookUrl": "https://example.com/hook"}


@pytest.fixture
def service() -> MemoryCalls:
    return MemoryCalls()


def _client(service: MemoryCalls, key: str | None = KEY, **settings: Any) -> Client:
    return Client(build_app(make_settings(**settings), service, SystemClock()), key)


@pytest.fixture
def client(service: MemoryCalls) -> Client:
    return _client(service)


def _only(service: MemoryCalls) -> Call:
    (call,) = service.calls.values()
    return call


# -- success ---------------------------------------------------------------------------------------------------


def test_poll_is_201_with_the_queued_call(client: Client, service: MemoryCalls) -> None:
    answer = client.place({**NUMBER, "metadata": {"ticket": [1, {"x": None}]}, "variables": {"name": "Ada"}})
    assert answer.status == 201
    shown = answer.json
    assert is_uuid(shown["sessionId"])
    assert (shown["status"], shown["mode"], shown["flowId"]) == ("Queued", "poll", FLOW)
    assert shown["metadata"] == {"ticket": [1, {"x": None}]}
    assert "Ada" not in answer.body.decode()
    assert dict(_only(service).request.variables) == {"name": "Ada"}
    assert answer.headers["location"] == f"/cgw/outbound/v1/orgs/{ORG}/calls/{shown['sessionId']}"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    again = client.get(answer.headers["location"])
    assert again.status == 200
    assert again.json == shown


def test_sync_is_200_with_the_whole_outcome(client: Client, service: MemoryCalls) -> None:
    service.end_at_once = completed
    answer = client.place({**NUMBER, "mode": "sync"})
    assert answer.status == 200
    assert (answer.json["status"], answer.json["durationSeconds"]) == ("Completed", 8)


def test_a_failed_call_is_a_200_in_sync_mode_too(client: Client, service: MemoryCalls) -> None:
    def busy(call: Call) -> Call:
        return replace(call, phase=Phase.ENDED, failure=FailureReason.BUSY, completed_at=CREATED + 1)

    service.end_at_once = busy
    answer = client.place({**NUMBER, "mode": "sync"})
    assert (answer.status, answer.json["status"], answer.json["failureReason"]) == (200, "Failed", "busy")


def test_sync_holds_the_request_until_the_call_has_ended(client: Client, service: MemoryCalls) -> None:
    held = gevent.Greenlet.spawn(client.place, {**NUMBER, "mode": "sync"})
    with gevent.Timeout(5):
        while not service.calls:
            gevent.sleep(0.001)
    assert not held.ready()
    service.end(completed(_only(service)))
    assert held.get(timeout=5).json["status"] == "Completed"


def test_sync_timeout_names_the_call_that_goes_on(service: MemoryCalls) -> None:
    client = _client(service, sync_timeout_s=0.05)
    answer = client.place({**NUMBER, "mode": "sync"})
    assert (answer.status, answer.code) == (504, "SYNC_TIMEOUT")
    session = answer.json["error"]["sessionId"]
    assert answer.headers["location"].endswith(session)
    assert client.call(session).json["status"] == "Queued"


def test_a_store_that_fails_after_the_wait_does_not_hide_the_call(service: MemoryCalls) -> None:
    client = _client(service, sync_timeout_s=0.5)
    held = gevent.Greenlet.spawn(client.place, {**NUMBER, "mode": "sync"})
    with gevent.Timeout(5):
        while not service.calls:
            gevent.sleep(0.001)
    service.refuse = FsbridgeError("database is locked")
    answer = held.get(timeout=5)
    assert (answer.status, answer.code) == (504, "SYNC_TIMEOUT")
    assert answer.json["error"]["sessionId"] in service.calls


def test_webhook_is_201_and_the_secret_is_never_shown(client: Client, service: MemoryCalls) -> None:
    answer = client.place({**HOOK, "webhookAuth": "hush-hush"})
    assert answer.status == 201
    assert "hush" not in answer.body.decode()
    request = _only(service).request
    assert (request.webhook_url, request.webhook_auth) == ("https://example.com/hook", "hush-hush")


def test_upper_case_uuids_are_the_same_uuids(client: Client) -> None:
    answer = client.place(NUMBER, flow=FLOW.upper())
    assert answer.json["flowId"] == FLOW
    assert client.call(answer.json["sessionId"].upper()).status == 200


def test_the_caller_id_is_passed_on_or_left_to_the_service(client: Client, service: MemoryCalls) -> None:
    shown = [client.place({**NUMBER, **fields}).json["callerId"] for fields in ({"callerId": "+15559998888"}, {})]
    assert shown == ["+15559998888", "+15550001111"]
    assert [call.request.caller_id for call in service.placed] == ["+15559998888", None]


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, None),
        ({"callAnalysis": ["live_person"]}, AmdOptions()),
        ({"callAnalysis": ["unknown", "answering_machine"]}, AmdOptions(mode=Mode.MESSAGE_END)),
        (
            {"callAnalysis": ["answering_machine"], "callAnalysisOptions": {"mode": "fast", "sensitivity": 3}},
            AmdOptions(mode=Mode.FAST, sensitivity=3.0),
        ),
        (
            {
                "callAnalysis": ["live_person"],
                "callAnalysisOptions": {
                    "mode": "message_end",
                    "totalTimeoutMs": 501,
                    "initialSilenceMs": 502,
                    "afterGreetingSilenceMs": 203,
                    "messageEndTimeoutMs": 1004,
                },
            },
            AmdOptions(Mode.MESSAGE_END, 501, 502, 203, 1004),
        ),
    ],
)
def test_analysis_options(
    client: Client, service: MemoryCalls, fields: dict[str, Any], options: AmdOptions | None
) -> None:
    assert client.place({**NUMBER, **fields}).status == 201
    request = _only(service).request
    assert request.amd == options
    wanted = fields.get("callAnalysis")
    assert request.call_analysis == (None if wanted is None else frozenset(map(Verdict, wanted)))


# -- refusals --------------------------------------------------------------------------------------------------


def _both(client: Client, org: str = ORG) -> Iterator[Answer]:
    yield client.place(NUMBER, org=org)
    yield client.call(new_uuid(), org=org)


def test_401(service: MemoryCalls) -> None:
    for answer in _both(_client(service, None)):
        assert (answer.status, answer.code) == (401, "AUTH_HEADER_MISSING")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for answer in _both(_client(service, "fsb_wrong")):
        assert (answer.status, answer.code) == (401, "INVALID_TOKEN")
    assert not service.calls


def test_403(service: MemoryCalls) -> None:
    for answer in _both(_client(service, MUTE_KEY), org=MUTE_ORG):
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
        assert "outbound_calling" in answer.message
    for answer in _both(_client(service), org=OTHER_ORG):
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    assert not service.calls


def test_another_organization_s_call_is_unknown(client: Client, service: MemoryCalls) -> None:
    session = client.place(NUMBER).json["sessionId"]
    foreign = _client(service, OTHER_KEY).call(session, org=OTHER_ORG)
    never = _client(service, OTHER_KEY).call(new_uuid(), org=OTHER_ORG)
    assert (foreign.status, foreign.code) == (404, "NOT_FOUND")
    assert foreign.body == never.body


@pytest.mark.parametrize(
    "text", ["x", "1", FLOW + "0", FLOW.replace("-", ""), "{" + FLOW[:34] + "}", "%00", "%0a", "ü"]
)
def test_malformed_uuids_are_named(client: Client, text: str) -> None:
    for name, answer in (
        ("flowId", client.place(NUMBER, flow=text)),
        ("orgId", client.place(NUMBER, org=text)),
        ("orgId", client.call(FLOW, org=text)),
        ("sessionId", client.call(text)),
    ):
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
        assert answer.message.startswith(f"{name}: must be a UUID")


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        (b"{", "INVALID_REQUEST", "body: not JSON"),
        (b"", "INVALID_REQUEST", "body: empty"),
        (b"[]", "INVALID_REQUEST", "body: must be a JSON object"),
        ({}, "INVALID_REQUEST", "destinationNumber: missing"),
        ({**NUMBER, "foo": 1}, "INVALID_REQUEST", "foo: unknown field"),
        ({"destinationNumber": ""}, "INVALID_DESTINATION", "destinationNumber"),
        ({"destinationNumber": "5551234"}, "INVALID_DESTINATION", "destinationNumber"),
        ({"destinationNumber": "+1202555012x"}, "INVALID_DESTINATION", "destinationNumber"),
        ({"destinationNumber": "+12025550123\n"}, "INVALID_DESTINATION", "destinationNumber"),
        ({"destinationNumber": "+12025550123,+12025550124"}, "INVALID_DESTINATION", "destinationNumber"),
        ({"destinationNumber": "{a=b}sip:a@b.example"}, "INVALID_DESTINATION", "destinationNumber"),
        ({"destinationNumber": "sip:a@b.example &park()"}, "INVALID_DESTINATION", "destinationNumber"),
        ({"destinationNumber": "sip:" + "a" * 5000 + "@b.example"}, "INVALID_DESTINATION", "destinationNumber"),
        ({"destinationNumber": "http://b.example"}, "INVALID_DESTINATION", "destinationNumber"),
        ({**NUMBER, "callAnalysisOptions": {}}, "INVALID_REQUEST", "callAnalysisOptions: only together"),
        ({**NUMBER, "mode": "webhook"}, "INVALID_WEBHOOK_URL", "webhookUrl: missing"),
        ({**HOOK, "webhookUrl": None}, "INVALID_WEBHOOK_URL", "webhookUrl: missing"),
        ({**HOOK, "webhookUrl": ""}, "INVALID_WEBHOOK_URL", "webhookUrl"),
        ({**HOOK, "webhookUrl": "http://example.com/"}, "INVALID_WEBHOOK_URL", "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://127.0.0.1/"}, "INVALID_WEBHOOK_URL", "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://user:pw@example.com/"}, "INVALID_WEBHOOK_URL", "webhookUrl"),
        ({**HOOK, "webhookUrl": "https://example.com/\r\nX: y"}, "INVALID_WEBHOOK_URL", "webhookUrl"),
    ],
)
def test_400(client: Client, service: MemoryCalls, body: Any, code: str, word: str) -> None:
    answer = client.place(body)
    assert (answer.status, answer.code) == (400, code)
    assert word in answer.message
    assert not service.calls


@pytest.mark.parametrize("mode", ["poll", "webhook"])
def test_a_flow_s_own_events_go_to_the_webhook_in_every_mode(client: Client, service: MemoryCalls, mode: str) -> None:
    assert client.place({**HOOK, "mode": mode, "webhookAuth": "x"}).status == 201
    assert (_only(service).request.webhook_url, _only(service).request.webhook_auth) == (HOOK["webhookUrl"], "x")


@pytest.mark.parametrize("url", [{}, {"webhookUrl": "http://example.com/"}, {"webhookUrl": "https://127.0.0.1/"}])
def test_what_no_callback_needs_is_neither_a_fault_nor_kept(
    client: Client, service: MemoryCalls, url: dict[str, str]
) -> None:
    assert client.place({**NUMBER, "mode": "poll", "webhookAuth": "x", **url}).status == 201
    assert (_only(service).request.webhook_url, _only(service).request.webhook_auth) == (None, None)


@pytest.mark.parametrize(
    ("refusal", "status", "code", "word"),
    [
        (FlowMissing("gone"), 404, "NOT_FOUND", "flowId"),
        (
            FlowInvalid(Problem("f.yaml", "missing", 1, "a", "text"), Problem("b", "bad")),
            400,
            "INVALID_REQUEST",
            "step a: text: missing; b: bad",
        ),
        (NotDiallable("no SIP URIs on this trunk"), 400, "INVALID_DESTINATION", "no SIP URIs"),
        (FsbridgeError("/var/db: disk full"), 503, "SERVICE_UNAVAILABLE", "try again"),
        (ValueError("/var/db: bug"), 500, "INTERNAL_ERROR", "request id"),
    ],
)
def test_the_service_s_refusals(
    client: Client, service: MemoryCalls, refusal: Exception, status: int, code: str, word: str
) -> None:
    service.refuse = refusal
    answer = client.place(NUMBER)
    assert (answer.status, answer.code) == (status, code)
    assert word in answer.message
    assert "/var/db" not in answer.message
    assert ("retry-after" in answer.headers) == (status == 503)


def test_a_store_that_fails_makes_get_503(client: Client, service: MemoryCalls) -> None:
    service.refuse = FsbridgeError("database is locked")
    answer = client.call(new_uuid())
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "SERVICE_UNAVAILABLE", "5")


def test_429_says_when_to_come_again(service: MemoryCalls) -> None:
    client = _client(service, requests_per_second=0.5)
    assert client.call(new_uuid()).status == 404
    for answer in _both(client):
        assert (answer.status, answer.code) == (429, "RATE_LIMIT_EXCEEDED")
        assert answer.headers["retry-after"] == "2"
    assert replace(client, key=OTHER_KEY).call(new_uuid(), org=OTHER_ORG).status == 404
    assert replace(client, key="fsb_wrong").call(new_uuid()).status == 401


def test_faults_are_told_in_order(service: MemoryCalls) -> None:
    service.refuse = FlowMissing("gone")
    told = [
        _client(service, None).place(b"{", org="x", flow="y"),
        _client(service, "wrong").place(b"{", org="x", flow="y"),
        _client(service, MUTE_KEY).place(b"{", org="x", flow="y"),
        _client(service).place(b"{", org=OTHER_ORG, flow="y"),
        _client(service).place(b"{", flow="y"),
        _client(service).place(b"{"),
        _client(service).place({"destinationNumber": "x", "mode": "webhook"}),
        _client(service).place({**NUMBER, "mode": "webhook"}),
        _client(service).place(NUMBER),
    ]
    assert [answer.code for answer in told] == [
        "AUTH_HEADER_MISSING",
        "INVALID_TOKEN",
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
        "INVALID_DESTINATION",
        "INVALID_WEBHOOK_URL",
        "NOT_FOUND",
    ]


# -- the edge --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/cgw", "/cgw/outbound/v1/orgs", "/healthz/", "/%2e%2e/etc/passwd", "/\xff", "//"]
)
def test_unknown_paths_are_404_in_json(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "GET", "BREW"])
def test_wrong_methods_are_405_in_json(client: Client, method: str) -> None:
    answer = client.request(method, f"/cgw/outbound/v1/orgs/{ORG}/flows/{FLOW}/calls")
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "POST")


def test_head_is_get_without_a_body(client: Client) -> None:
    answer = client.request("HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")


def test_request_ids_are_echoed_or_made(client: Client) -> None:
    assert client.get("/healthz", x_request_id="abc-1.2_3").headers["x-request-id"] == "abc-1.2_3"
    for bad in ("", "a b", "x" * 65, "a\r\nSet-Cookie: x", "<script>"):
        assert is_uuid(client.get("/healthz", x_request_id=bad).headers["x-request-id"])


def test_a_body_over_the_limit_is_413_and_ends_the_connection(service: MemoryCalls) -> None:
    client = _client(service, max_body_bytes=1024)
    document = json.dumps(NUMBER).encode()
    assert client.place(document + b" " * (1024 - len(document))).status == 201
    for answer in (
        client.place(document + b" " * (1025 - len(document))),
        client.place(document, CONTENT_LENGTH="9" * 30),
        client.place(document + b" " * 2000, CONTENT_LENGTH=""),
    ):
        assert (answer.status, answer.code) == (413, "INVALID_REQUEST")
        assert answer.headers["connection"] == "close"
    answer = client.place(document, CONTENT_LENGTH="1x")
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")


def test_an_organization_holds_its_share_of_requests_and_no_more(service: MemoryCalls) -> None:
    client, other = _client(service, max_connections=10), {**NUMBER, "mode": "sync"}
    held = [gevent.Greenlet.spawn(client.place, other) for _ in range(7)]
    gevent.joinall(held, count=2, timeout=5)
    refused = [answer.value for answer in held if answer.ready()]
    assert [(answer.status, answer.code) for answer in refused] == [(429, "RATE_LIMIT_EXCEEDED")] * 2
    assert "poll" in refused[0].message
    assert int(refused[0].headers["retry-after"]) >= 1
    assert client.place(NUMBER).status == 201, "what is answered at once is"
    for call in list(service.calls.values()):
        service.end(completed(call))
    assert Counter(answer.get(timeout=5).status for answer in held) == {200: 5, 429: 2}
    again = gevent.Greenlet.spawn(client.place, other)
    _until(lambda: len(service.calls) == 7)
    service.end(completed(list(service.calls.values())[-1]))
    assert again.get(timeout=5).status == 200


def _until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.002)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = ["destinationNumber", "callerId", "mode", "callAnalysis", "callAnalysisOptions", "variables", "metadata"]
_FIELDS += ["webhookUrl", "webhookAuth", "x"]


@given(st.dictionaries(st.sampled_from(_FIELDS), _json))
def test_whatever_comes_is_a_call_or_a_400(document: dict[str, Any]) -> None:
    service = MemoryCalls()
    answer = _client(service).place({**NUMBER, **document})
    if answer.status == 201:
        assert len(service.calls) == 1
        assert answer.json["metadata"] == document.get("metadata")
    else:
        assert answer.status == 400
        assert answer.code in ("INVALID_REQUEST", "INVALID_DESTINATION", "INVALID_WEBHOOK_URL")
        assert not service.calls


# -- what happened in a call -----------------------------------------------------------------------------------


def _below(client: Client, session: str, what: str, org: str = ORG) -> Answer:
    return client.get(f"/cgw/outbound/v1/orgs/{org}/calls/{session}/{what}")


def test_a_call_s_timeline(client: Client, service: MemoryCalls) -> None:
    session = client.place(NUMBER).json["sessionId"]
    assert _below(client, session, "timeline").json == {"sessionId": session, "events": []}
    events = [{"at": "2026-01-01T00:00:00.250Z", "event": "placed"}, {"at": "2026-01-01T00:00:01.000Z", "event": "x"}]
    service.timelines[session] = events
    assert _below(client, session.upper(), "timeline").json["events"] == events


def test_a_call_s_sound(client: Client, service: MemoryCalls) -> None:
    session = client.place(NUMBER).json["sessionId"]
    assert _below(client, session, "audio").code == "NOT_FOUND"
    service.sounds[session] = b"RIFF\x00\xff"
    answer = _below(client, session, "audio")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"RIFF\x00\xff", "audio/wav")


@pytest.mark.parametrize("what", ["timeline", "audio"])
def test_nobody_else_s_and_no_unknown_call(service: MemoryCalls, what: str) -> None:
    session = _client(service).place(NUMBER).json["sessionId"]
    service.sounds[session] = b"RIFF"
    assert _below(_client(service), new_uuid(), what).code == "NOT_FOUND"
    assert _below(_client(service), "not-a-uuid", what).code == "INVALID_REQUEST"
    assert _below(_client(service, OTHER_KEY), session, what, OTHER_ORG).code == "NOT_FOUND"
    assert _below(_client(service, OTHER_KEY), session, what).code == "PERMISSION_DENIED"
    service.refuse = FsbridgeError("the disk is gone")
    assert _below(_client(service), session, what).code == "SERVICE_UNAVAILABLE"
