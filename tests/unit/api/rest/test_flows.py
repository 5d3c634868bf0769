"""The flow endpoints through WSGI, on real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.rest.app import build_app
from fsbridge.clock import SystemClock
from fsbridge.flow.document.source import MAX_BYTES
from fsbridge.flow.library.library import FlowLibrary
from fsbridge.model.ids import FlowId, OrgId, is_uuid
from fsbridge.settings.flows import FlowSettings
from tests.unit.api.support import (
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
    make_settings,
)

pytestmark = pytest.mark.unit

DOCUMENT = {"name": "Reminder", "steps": [{"id": "a", "pause": 1}]}
YAML = b"name: Reminder  # as written\nsteps:\n  - {id: a, pause: 1}\n"
AS_YAML = {"CONTENT_TYPE": "application/yaml; charset=utf-8"}
BROKEN = {"steps": [{"id": "a", "pause": "long"}, {"id": "b", "sing": "la"}]}


@pytest.fixture
def service(tmp_path: Path) -> MemoryCalls:
    return MemoryCalls(flows=FlowLibrary(FlowSettings(dir=tmp_path, max_per_org=3)))


def _client(service: MemoryCalls, key: str | None = KEY) -> Client:
    return Client(build_app(make_settings(), service, SystemClock()), key)


@pytest.fixture
def client(service: MemoryCalls) -> Client:
    return _client(service)


def _id(number: int) -> str:
    return f"aaaaaaaa-aaaa-4aaa-8aaa-{number:012}"


def _put(client: Client, flow: str = FLOW, body: Any = DOCUMENT) -> str:
    """Create a flow; its ETag."""
    answer = client.flow("PUT", flow, body)
    assert answer.status == 201, answer.body
    return answer.headers["etag"]


# -- a flow's life ---------------------------------------------------------------------------------------------


def test_created_read_replaced_and_deleted(client: Client, service: MemoryCalls) -> None:
    made = client.flow("PUT", FLOW.upper(), DOCUMENT)
    assert made.status == 201
    assert made.headers["location"] == f"/cgw/outbound/v1/orgs/{ORG}/flows/{FLOW}"
    assert (made.json["flowId"], made.json["name"], made.json["valid"]) == (FLOW, "Reminder", True)
    assert made.headers["etag"] == f'"{made.json["version"]}"'
    assert made.json["updatedAt"].endswith("Z")
    assert service.flows.find(OrgId(ORG), FlowId(FLOW)).version == made.json["version"]

    shown = client.flow("GET", FLOW)
    assert (shown.status, shown.json, shown.headers["etag"]) == (200, DOCUMENT, made.headers["etag"])
    assert shown.headers["content-type"] == "application/json"

    changed = {**DOCUMENT, "name": "Second"}
    replaced = client.flow("PUT", FLOW, changed, if_match=made.headers["etag"])
    assert (replaced.status, replaced.json["name"]) == (200, "Second")
    assert "location" not in replaced.headers
    assert client.flow("GET", FLOW).json == changed

    gone = client.flow("DELETE", FLOW, if_match=replaced.headers["etag"])
    assert (gone.status, gone.body) == (204, b"")
    assert client.flow("GET", FLOW).code == "NOT_FOUND"
    assert client.flow("DELETE", FLOW, if_match="*").code == "NOT_FOUND"


def test_a_document_comes_back_as_it_was_written(client: Client) -> None:
    client.flow("PUT", FLOW, YAML, **AS_YAML)
    for accept in ("application/yaml", "text/yaml;q=0.9, */*"):
        shown = client.flow("GET", FLOW, accept=accept)
        assert (shown.body, shown.headers["content-type"]) == (YAML, "application/yaml; charset=utf-8")
        assert shown.headers["vary"] == "Accept"
    assert client.flow("GET", FLOW, accept="*/*").json == DOCUMENT
    written = json.dumps(DOCUMENT, indent=1).encode()
    client.flow("PUT", FLOW, written, if_match="*")
    assert client.flow("GET", FLOW, accept="application/yaml").body == written


def test_post_chooses_the_id(client: Client) -> None:
    ids = set()
    for body, headers in ((DOCUMENT, {}), (YAML, AS_YAML)):
        made = client.flow("POST", "", body, **headers)
        assert made.status == 201
        assert is_uuid(made.json["flowId"])
        assert made.headers["location"].endswith(made.json["flowId"])
        assert client.get(made.headers["location"]).json == DOCUMENT
        ids.add(made.json["flowId"])
    assert len(ids) == 2


def test_the_list_has_pages(client: Client, tmp_path: Path) -> None:
    assert client.flow("GET").json == {"flows": [], "next": None}
    for number in (3, 1, 2):
        _put(client, _id(number))
    (tmp_path / ORG / f"{_id(2)}.json").write_text("{}")
    first = client.flow("GET", "?limit=2").json
    assert [(flow["flowId"], flow["name"], flow["valid"]) for flow in first["flows"]] == [
        (_id(1), "Reminder", True),
        (_id(2), "", False),
    ]
    assert first["next"] == _id(2)
    second = client.flow("GET", f"?limit=2&after={first['next'].upper()}").json
    assert ([flow["flowId"] for flow in second["flows"]], second["next"]) == ([_id(3)], None)
    assert len(client.flow("GET", "?limit=3").json["flows"]) == 3
    assert client.flow("GET", "?limit=3").json["next"] is None


# -- versions --------------------------------------------------------------------------------------------------


def test_who_replaces_or_deletes_names_the_version(client: Client) -> None:
    tag = _put(client)
    wrong = '"0123456789abcdef"'
    answers = [
        (client.flow("PUT", FLOW, DOCUMENT), 428, "PRECONDITION_REQUIRED"),
        (client.flow("DELETE", FLOW), 428, "PRECONDITION_REQUIRED"),
        (client.flow("PUT", FLOW, DOCUMENT, if_match=wrong), 412, "PRECONDITION_FAILED"),
        (client.flow("PUT", FLOW, DOCUMENT, if_none_match="*"), 412, "PRECONDITION_FAILED"),
        (client.flow("PUT", FLOW, DOCUMENT, if_match=f"W/{tag}"), 412, "PRECONDITION_FAILED"),
        (client.flow("DELETE", FLOW, if_match=wrong), 412, "PRECONDITION_FAILED"),
    ]
    for answer, status, code in answers:
        assert (answer.status, answer.code) == (status, code)
        assert answer.headers["etag"] == tag
    assert "If-Match" in answers[0][0].message
    assert client.flow("PUT", FLOW, DOCUMENT, if_match=f"{wrong}, {tag}").status == 200


def test_a_version_of_what_is_not_there_is_refused(client: Client) -> None:
    answer = client.flow("PUT", FLOW, DOCUMENT, if_match='"0123456789abcdef"')
    assert (answer.status, answer.code) == (412, "PRECONDITION_FAILED")
    assert client.flow("PUT", FLOW, DOCUMENT, if_none_match="*").status == 201


def test_the_same_document_again_is_the_same_version(client: Client) -> None:
    tag = _put(client)
    again = client.flow("PUT", FLOW, DOCUMENT, if_match=tag)
    assert (again.status, again.headers["etag"]) == (200, tag)


# -- dry runs and faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_dry_run_writes_nothing_and_tells_every_fault(client: Client, method: str) -> None:
    path = FLOW if method == "PUT" else ""
    good = client.flow(method, f"{path}?dryRun=true", DOCUMENT)
    assert (good.status, good.json["valid"], good.json["errors"]) == (200, True, [])
    bad = client.flow(method, f"{path}?dryRun=true", BROKEN)
    assert (bad.status, bad.json["valid"]) == (200, False)
    assert next((each["step"], each["field"]) for each in bad.json["errors"]) == ("a", "pause")
    assert {each["step"] for each in bad.json["errors"]} == {"a", "b"}
    assert bad.json["version"] != good.json["version"]
    assert client.flow("GET").json["flows"] == []
    made = client.flow(method, f"{path}?dryRun=false", DOCUMENT)
    assert (made.status, made.json["version"]) == (201, good.json["version"])


def test_an_invalid_document_is_refused_with_all_its_faults(client: Client) -> None:
    answer = client.flow("PUT", FLOW, BROKEN)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.message.startswith("the flow is invalid: line 1: step a: pause: must be a number")
    details = answer.json["error"]["details"]
    assert {each["step"] for each in details} == {"a", "b"}
    assert all(each["line"] == 1 and each["message"] for each in details)
    assert client.flow("GET", FLOW).status == 404
    tag = _put(client)
    assert client.flow("PUT", FLOW, BROKEN, if_match=tag).status == 400
    assert client.flow("GET", FLOW).headers["etag"] == tag


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", {}, 400, "body: empty"),
        (b"{", {}, 400, "body: not JSON"),
        (b'{"steps": [], "steps": []}', {}, 400, "stands twice"),
        (b"[]", {}, 400, "must be a JSON object"),
        (b"\xff", AS_YAML, 400, "not UTF-8"),
        (b"a: [", AS_YAML, 400, "not YAML"),
        (b"", AS_YAML, 400, "the flow is invalid"),
        (b"steps: &a [*a]", AS_YAML, 400, "aliases"),
        (b"{}", {"CONTENT_TYPE": "text/html"}, 415, "Content-Type"),
        (b"#" * (MAX_BYTES + 1), AS_YAML, 413, f"limit of {MAX_BYTES} bytes"),
        (b"{}", {"if_match": "x"}, 400, "If-Match"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(
    client: Client, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = client.flow("PUT", FLOW, body, **headers)
    assert (answer.status, answer.code) == (status, "INVALID_REQUEST")
    assert words in answer.message


def test_a_document_may_be_larger_than_other_bodies(service: MemoryCalls) -> None:
    client = Client(build_app(make_settings(max_body_bytes=1_024), service, SystemClock()))
    body = YAML + b"#" * (MAX_BYTES - len(YAML))
    assert client.flow("PUT", FLOW, body, **AS_YAML).status == 201
    assert client.flow("GET", FLOW, accept="text/yaml").body == body


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "?limit=0", "limit: must be a number from 1 to 200"),
        ("GET", "?limit=201", "limit"),
        ("GET", "?limit=%D9%A1", "limit"),
        ("GET", "?after=x", "after"),
        ("GET", "?limit=1&limit=2", "stands twice"),
        ("GET", "?x=%FF", "UTF-8"),
        ("GET", "?offset=3", "known are after, limit"),
        ("PUT", f"{FLOW}?dryRun=yes", "dryRun: must be true or false"),
        ("PUT", f"{FLOW}?dryrun=true", "unknown parameter"),
        ("DELETE", f"{FLOW}?dryRun=true", "this path takes none"),
        ("GET", "not-a-uuid", "flowId: must be a UUID"),
        ("PUT", "..%2F..%2Fetc", None),
    ],
)
def test_paths_and_queries_that_make_no_sense(client: Client, method: str, path: str, words: str | None) -> None:
    answer = client.flow(method, path, DOCUMENT if method == "PUT" else None)
    if words is None:
        assert answer.status in (400, 404)
    else:
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
        assert words in answer.message


# -- whose, how many, and when it fails ------------------------------------------------------------------------

EVERY = (
    ("GET", ""),
    ("POST", ""),
    ("GET", FLOW),
    ("PUT", FLOW),
    ("DELETE", FLOW),
)


def _each(client: Client, org: str = ORG) -> list[Answer]:
    return [client.flow(method, flow, DOCUMENT if method in ("PUT", "POST") else None, org) for method, flow in EVERY]


def test_keys_and_permissions_come_first(service: MemoryCalls) -> None:
    assert {answer.code for answer in _each(_client(service, None))} == {"AUTH_HEADER_MISSING"}
    assert {answer.code for answer in _each(_client(service, "wrong"))} == {"INVALID_TOKEN"}
    assert {answer.code for answer in _each(_client(service, OTHER_KEY))} == {"PERMISSION_DENIED"}
    assert {answer.status for answer in _each(_client(service, MUTE_KEY), MUTE_ORG)} == {403}


def test_another_organization_s_flow_is_forbidden_and_stays_as_it_is(service: MemoryCalls) -> None:
    tag = _put(_client(service))
    other = _client(service, OTHER_KEY)
    for method, body in (("GET", None), ("PUT", DOCUMENT), ("DELETE", None)):
        answer = other.flow(method, FLOW, body, OTHER_ORG, **({"if_match": "*"} if method == "DELETE" else {}))
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    assert other.flow("GET", org=OTHER_ORG).json["flows"] == []
    assert _client(service).flow("GET", FLOW).headers["etag"] == tag


def test_there_may_be_so_many(client: Client) -> None:
    for number in range(3):
        _put(client, _id(number))
    for answer in (client.flow("POST", "", DOCUMENT), client.flow("PUT", FLOW, DOCUMENT)):
        assert (answer.status, answer.code) == (409, "TOO_MANY_FLOWS")
    assert client.flow("PUT", _id(0), DOCUMENT, if_match="*").status == 200


def test_a_disk_that_refuses_is_503_and_names_no_file() -> None:
    client = _client(MemoryCalls())
    answer = client.flow("PUT", FLOW, DOCUMENT)
    assert (answer.status, answer.code) == (503, "SERVICE_UNAVAILABLE")
    assert ".py" not in answer.message
    assert "retry-after" in answer.headers


def test_a_file_put_there_by_hand_is_shown_if_it_can_be(client: Client, tmp_path: Path) -> None:
    (tmp_path / ORG).mkdir()
    path = tmp_path / ORG / f"{FLOW}.yml"
    path.write_bytes(b"a: [")
    unshowable = client.flow("GET", FLOW)
    assert (unshowable.status, unshowable.code) == (406, "INVALID_REQUEST")
    text = client.flow("GET", FLOW, accept="application/yaml")
    assert text.body == b"a: ["
    assert client.flow("PUT", FLOW, YAML, if_match=text.headers["etag"], **AS_YAML).status == 200
    assert path.read_bytes() == YAML
