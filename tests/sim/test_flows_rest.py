"""Flows put there by REST, run on calls, and what is told of them afterwards: a whole service and a simulated node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from fsbridge.clock import SystemClock
from fsbridge.model.ids import new_uuid
from fsbridge.suite.client import Client
from fsbridge.suite.document import parse as parse_suite
from fsbridge.suite.load import documents
from fsbridge.suite.run import Target, put_documents
from fsbridge.supervise import Supervisor
from fsbridge.webhook import signing
from tests.sim.stack import KEY, ORG, OTHER_KEY, OTHER_ORG, Stack, running, settings, simulated_node, until
from tests.unit.webhook.helpers import receiver

pytestmark = pytest.mark.sim

PERSON = "+15550000001"
ENDS = {"name": "Ends", "steps": [{"id": "wait", "pause": 0.2}, {"id": "over", "end": {"result": {"paid": True}}}]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("flows")
    keeping = {"keep_audio_s": 5, "keep_audio_dir": str(folder / "answers"), "keep_audio_consent": True}
    with simulated_node() as simulator:
        configuration = settings(folder, simulator.port, amd={"workers": 1, **keeping})
        with running(configuration, simulator) as stack:
            yield stack


def ask(stack: Stack, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    url = f"{stack.base}/cgw/outbound/v1/orgs/{ORG}/{path}"
    return stack.session.request(method, url, json=body, headers=headers, timeout=10)


def test_a_flow_is_put_called_replaced_and_deleted_while_calls_go_on(stack: Stack) -> None:
    flow = new_uuid()
    made = ask(stack, "PUT", f"flows/{flow}", ENDS)
    assert made.status_code == 201, made.text
    placed = stack.place(PERSON, flow).json()
    again = ask(stack, "PUT", f"flows/{flow}", {**ENDS, "name": "Other"}, **{"If-Match": made.headers["ETag"]})
    assert again.status_code == 200
    resource = stack.ended(placed["sessionId"])
    assert resource["status"] == "Completed", resource
    assert resource["flowResult"] == {"paid": True}
    assert resource["flowVersion"] in (made.json()["version"], again.json()["version"])
    assert ask(stack, "DELETE", f"flows/{flow}", **{"If-Match": again.headers["ETag"]}).status_code == 204
    assert stack.place(PERSON, flow).json()["error"]["code"] == "NOT_FOUND"


def test_a_call_s_timeline_is_the_same_live_and_kept(stack: Stack) -> None:
    flow = ask(stack, "POST", "flows", ENDS).json()["flowId"]
    session = stack.place(PERSON, flow, callAnalysis=["live_person"]).json()["sessionId"]
    assert ask(stack, "GET", f"calls/{session}/timeline").status_code == 200
    stack.ended(session)
    told = ask(stack, "GET", f"calls/{session}/timeline").json()
    assert told["sessionId"] == session
    words = [event["event"] for event in told["events"]]
    assert [word for word in words if word not in ("ringing", "heard", "stepStarted")] == [
        *("placed", "originated", "answered", "tapConnected", "verdict"),
        *("stepEnded", "stepEnded", "hangup", "ended"),
    ]
    steps = [(event["step"], event["outcome"]) for event in told["events"] if event["event"] == "stepEnded"]
    assert steps == [("wait", "done"), ("over", "done")]
    times = [event["at"] for event in told["events"]]
    assert times == sorted(times)
    assert told["events"][-1]["status"] == "Completed"
    url = f"{stack.base}/cgw/outbound/v1/orgs/{ORG}/calls/{session}/timeline"
    assert requests.get(url, headers={"Authorization": f"Bearer {OTHER_KEY}"}, timeout=10).status_code == 403


def test_a_kept_answer_can_be_listened_to(stack: Stack) -> None:
    flow = ask(stack, "POST", "flows", ENDS).json()["flowId"]
    analysed = stack.place(PERSON, flow, callAnalysis=["live_person"]).json()["sessionId"]
    plain = stack.place(PERSON, flow).json()["sessionId"]
    for session in (analysed, plain):
        stack.ended(session)
    # The worker writes it when its stream has ended, which may be after the call's end.
    until(lambda: ask(stack, "GET", f"calls/{analysed}/audio").status_code == 200, every=0.05)
    sound = ask(stack, "GET", f"calls/{analysed}/audio")
    assert sound.headers["Content-Type"] == "audio/wav"
    assert sound.content[:4] == b"RIFF"
    assert ask(stack, "GET", f"calls/{plain}/audio").status_code == 404


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("webhook", ["call.answered", "call.event", "call.event", "call.completed"]),
        ("poll", ["call.event", "call.event"]),
    ],
)
def test_a_flow_tells_its_own_events_in_order_in_every_mode(stack: Stack, mode: str, told: list[str]) -> None:
    document = {
        "steps": [
            {"id": "first", "notify": {"name": "begun", "data": {"who": "{{ name }}"}}},
            {"id": "second", "notify": {"name": "over"}},
            {"id": "end", "end": {"result": "fine"}},
        ]
    }
    flow = ask(stack, "POST", "flows", document).json()["flowId"]
    with receiver() as hook:
        session = stack.place(
            PERSON, flow, mode=mode, webhookUrl=hook.url, webhookAuth="s3cret", metadata={"order": 7}
        ).json()["sessionId"]
        resource = stack.ended(session)
        assert (resource["status"], resource["flowResult"]) == ("Completed", "fine"), resource
        until(lambda: len(hook.got) >= len(told))
    assert [got.event for got in hook.got] == told
    events = [json.loads(got.body) for got in hook.got if got.event == "call.event"]
    assert [(event["name"], event["data"]) for event in events] == [("begun", {"who": "Alex"}), ("over", None)]
    assert all(event["metadata"] == {"order": 7} and event["sessionId"] == session for event in events)
    assert len({got.headers["webhook-id"] for got in hook.got}) == len(told)
    for got in hook.got:
        assert got.headers["x-signature"] == signing.x_signature("s3cret", got.body)
    if mode == "webhook":
        assert json.loads(hook.got[-1].body)["flowResult"] == "fine"


def test_two_organizations_put_the_same_suites_flows_side_by_side(stack: Stack, tmp_path: Path) -> None:
    """A flow's id is one organization's: under one id for all the second was answered 403."""
    (tmp_path / "flow.yaml").write_text("steps: [{id: a, pause: 1}]")
    suite = parse_suite("name: Shared\ncalls: [{name: one, flow: flow.yaml, to: '+15550100006'}]")
    for org, key in ((ORG, KEY), (OTHER_ORG, OTHER_KEY)):
        target = Target(partial(Client, stack.base, org, key), SystemClock(), Supervisor())
        ours = documents(suite, tmp_path, ["flow.yaml"], org)
        assert put_documents(target, ours) == 1
        assert put_documents(target, ours) == 0  # the next run of the same organization finds it
