"""`fsbridge keys`, `call` and `calls` against a served application."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import typer
from gevent import pywsgi
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from api.cli import call, keys
from api.http.server import ApiServer, Place
from api.rest.app import build_app
from api.rest.auth import hash_key
from fsbridge.clock import SystemClock
from fsbridge.model.call import Call
from fsbridge.model.outcome import FailureReason
from fsbridge.model.status import Phase
from fsbridge.supervise import Supervisor
from tests.unit.api.support import CREATED, FLOW, KEY, ORG, MemoryCalls, completed, make_settings

pytestmark = pytest.mark.sim

NUMBER = "+12025550123"


@pytest.fixture
def service() -> MemoryCalls:
    return MemoryCalls()


@pytest.fixture
def url(service: MemoryCalls) -> Iterator[str]:
    settings = make_settings(sync_timeout_s=0.2)
    supervisor = Supervisor()
    server = ApiServer(build_app(settings, service, SystemClock()), Place.main(settings.service), supervisor)
    server.start()
    with capture_logs():  # the access lines would mix with what the command prints
        yield f"http://127.0.0.1:{server.port}"
    server.stop(0.5)
    supervisor.stop()


def _run(*arguments: str, stdin: str | None = None) -> Result:
    app = typer.Typer()
    keys.register(app)
    call.register(app)
    return CliRunner().invoke(app, list(arguments), input=stdin)


def _ask(command: str, *arguments: str, url: str, key: str = KEY) -> Result:
    return _run(command, *arguments, "--url", url, "--key", key, "--org", ORG)


def _record(result: Result) -> Any:
    return json.loads(result.stdout[result.stdout.index("{") :])


def _busy(call: Call) -> Call:
    return replace(call, phase=Phase.ENDED, failure=FailureReason.BUSY, completed_at=CREATED + 1)


def test_keys_new_shows_the_key_once_and_its_hash() -> None:
    result = _run("keys", "new")
    assert result.exit_code == 0
    (key,) = re.findall(r"fsb_[\w-]{40,}", result.stdout)
    assert f'api_keys = ["{hash_key(key)}"]' in result.stdout


def test_keys_hash() -> None:
    key = "fsb_" + "k" * 40
    assert hash_key(key) in _run("keys", "hash", "--key", key).stdout
    prompted = _run("keys", "hash", stdin=key + "\n")
    assert hash_key(key) in prompted.stdout
    assert key not in prompted.stdout
    short = _run("keys", "hash", "--key", "secret")
    assert short.exit_code == 2
    assert "can be guessed" in short.output


def test_a_call_that_completes_is_watched_and_printed(url: str, service: MemoryCalls) -> None:
    service.end_at_once = completed
    result = _ask("call", NUMBER, "--flow", FLOW, "--analysis", "live_person, unknown", url=url)
    assert result.exit_code == 0, result.output
    assert _record(result)["status"] == "Completed"
    (placed,) = service.placed
    assert placed.request.call_analysis == {"live_person", "unknown"}


def test_options_reach_the_service(url: str, service: MemoryCalls) -> None:
    service.end_at_once = completed
    variables = ["--var", "name=Ada", "--var", "n=3", "--var", 'deep={"a":[true]}']
    result = _ask("call", NUMBER, "--flow", FLOW, "--mode", "sync", "--caller-id", "+1555", *variables, url=url)
    assert result.exit_code == 0, result.output
    request = service.placed[0].request
    assert (request.mode, request.caller_id) == ("sync", "+1555")
    assert dict(request.variables) == {"name": "Ada", "n": 3, "deep": {"a": [True]}}


def test_a_call_that_fails_has_exit_code_3(url: str, service: MemoryCalls) -> None:
    service.end_at_once = _busy
    result = _ask("call", NUMBER, "--flow", FLOW, url=url)
    assert result.exit_code == 3
    assert _record(result)["failureReason"] == "busy"


def test_without_waiting_a_queued_call_is_a_success(url: str) -> None:
    result = _ask("call", NUMBER, "--flow", FLOW, "--wait", "0", url=url)
    assert result.exit_code == 0
    assert _record(result)["status"] == "Queued"


def test_watching_ends_with_its_time(url: str) -> None:
    result = _ask("call", NUMBER, "--flow", FLOW, "--wait", "0.01", url=url)
    assert result.exit_code == 3
    assert _record(result)["status"] == "Queued"


def test_calls_prints_one(url: str, service: MemoryCalls) -> None:
    _ask("call", NUMBER, "--flow", FLOW, "--wait", "0", url=url)
    (session,) = service.calls
    result = _ask("calls", session, url=url)
    assert result.exit_code == 0
    assert _record(result)["sessionId"] == session
    unknown = _ask("calls", FLOW, url=url)
    assert unknown.exit_code == 1
    assert "404 NOT_FOUND" in unknown.output


def test_refusals_are_told(url: str) -> None:
    wrong = _ask("call", "5551234", "--flow", FLOW, url=url)
    assert (wrong.exit_code, "400 INVALID_DESTINATION" in wrong.output) == (1, True)
    late = _ask("call", NUMBER, "--flow", FLOW, "--mode", "sync", url=url)
    assert (late.exit_code, "504 SYNC_TIMEOUT" in late.output) == (1, True)
    key = _ask("call", NUMBER, "--flow", FLOW, url=url, key="nope")
    assert (key.exit_code, "401 INVALID_TOKEN" in key.output) == (1, True)
    nobody = _ask("calls", FLOW, url="http://127.0.0.1:1")
    assert (nobody.exit_code, "fsbridge serve" in nobody.output) == (1, True)


@pytest.mark.parametrize("options", [["--mode", "webhook"], ["--var", "novalue"], ["--var", "=x"]])
def test_unusable_options_are_refused_before_anything_is_sent(
    service: MemoryCalls, url: str, options: list[str]
) -> None:
    result = _ask("call", NUMBER, "--flow", FLOW, *options, url=url)
    assert result.exit_code == 2
    assert not service.placed


def test_another_server_is_recognised_as_such() -> None:
    def hello(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"<html>"]

    server = pywsgi.WSGIServer(("127.0.0.1", 0), hello, log=None)
    server.start()
    try:
        result = _ask("calls", FLOW, url=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.stop()
    assert result.exit_code == 1
    assert "check --url" in result.output


EVENTS = [
    {"at": "2026-01-01T00:00:00.250Z", "event": "placed"},
    {"at": "2026-01-01T00:00:02.500Z", "event": "answered"},
    {"at": "2026-01-01T00:00:03.000Z", "event": "stepStarted", "step": "ask", "kind": "gather"},
    {"at": "2026-01-01T00:00:03.500Z", "event": "digits", "digits": "[red]\x1b[2J1"},
    {"at": "2026-01-01T00:00:04.000Z", "event": "stepEnded", "step": "ask", "kind": "gather", "outcome": "timeout"},
    {"at": "2026-01-01T00:00:05.250Z", "event": "ended", "status": "Completed", "detail": "a b", "n": [1, None]},
]


def test_a_timeline_for_a_program_is_lines_with_the_seconds_since_the_beginning(url: str, service: MemoryCalls) -> None:
    _ask("call", NUMBER, "--flow", FLOW, "--wait", "0", url=url)
    (session,) = service.calls
    service.timelines[session] = EVENTS
    result = _ask("calls", "timeline", session, url=url)
    assert result.exit_code == 0, result.output
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["0.000", "placed"],
        ["2.250", "answered"],
        ["2.750", "stepStarted", "ask (gather)"],
        ["3.250", "digits", "digits=[red]?[2J1"],
        ["3.750", "stepEnded", "ask (gather) → timeout"],
        ["5.000", "ended", "status=Completed detail='a b' n=[1,null]"],
    ]
    raw = _ask("calls", "timeline", session, "--json", url=url)
    assert json.loads(raw.stdout) == EVENTS


def test_a_call_can_be_placed_and_told_in_one_go(url: str, service: MemoryCalls) -> None:
    service.end_at_once = completed
    result = _ask("call", NUMBER, "--flow", FLOW, "--timeline", url=url)
    assert result.exit_code == 0, result.output
    assert _record(result)["status"] == "Completed"
    assert "nothing was kept" in result.stderr


def test_a_timeline_of_no_call_is_refused(url: str) -> None:
    result = _ask("calls", "timeline", FLOW, url=url)
    assert result.exit_code == 1
    assert "404 NOT_FOUND" in result.output


def test_calls_says_what_it_can_do() -> None:
    result = _run("calls", "--help")
    assert result.exit_code == 0
    assert "timeline" in result.output
