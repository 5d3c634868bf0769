"""`fsbridge call`: place one call through the REST API of a running service and tell how it ends."""

from __future__ import annotations

import time
from typing import Annotated, Any

import orjson
import typer

from api.cli import calls
from api.cli import timeline as timelines
from api.cli.calls import Key, Org, Url, show
from api.cli.printing import plain
from api.cli.rest import Answer, RestClient, RestError
from fsbridge.clock import Clock, SystemClock

POLL_S = 0.5
TERMINAL = ("Completed", "Failed")


def call(
    destination: Annotated[str, typer.Argument(help="E.164 number such as +15551234567, or a SIP URI")],
    url: Url,
    key: Key,
    org: Org,
    flow: Annotated[str, typer.Option("--flow", help="the flow's UUID")],
    mode: Annotated[str, typer.Option("--mode", help="poll: watch the call; sync: one held request")] = "poll",
    analysis: Annotated[
        str, typer.Option("--analysis", help="verdicts that let the flow run, e.g. live_person,answering_machine")
    ] = "",
    caller_id: Annotated[str, typer.Option("--caller-id", help="what the callee sees")] = "",
    variable: Annotated[list[str] | None, typer.Option("--var", help="NAME=VALUE for the flow; repeatable")] = None,
    wait: Annotated[float, typer.Option("--wait", min=0, help="seconds to watch the call; 0: do not watch")] = 120.0,
    timeline: Annotated[bool, typer.Option("--timeline", help="print what happened, too (on stderr)")] = False,
) -> None:
    """Place a call, print its changes while it lasts, then its record as JSON. Exit code 0 only for Completed."""
    client = RestClient(url, key, org)
    body = request_body(destination, mode, analysis, caller_id, variable or [])
    try:
        record = client.place(flow, body)
        if record["status"] not in TERMINAL and wait > 0:
            record = watch(client, record, wait, SystemClock())
        if timeline:
            timelines.show(client.timeline(record["sessionId"]), stderr=True)
    except RestError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    show(record)
    raise typer.Exit(0 if record["status"] == "Completed" or wait == 0 else 3)


def request_body(destination: str, mode: str, analysis: str, caller_id: str, variables: list[str]) -> dict[str, Any]:
    """The options as a request of the contract. Raises typer.BadParameter."""
    if mode not in ("poll", "sync"):
        raise typer.BadParameter("--mode must be poll or sync (a webhook needs a receiver, not a terminal)")
    body: dict[str, Any] = {"destinationNumber": destination, "mode": mode}
    if analysis:
        body["callAnalysis"] = [word.strip() for word in analysis.split(",")]
    if caller_id:
        body["callerId"] = caller_id
    if variables:
        body["variables"] = dict(_variable(text) for text in variables)
    return body


def watch(client: RestClient, record: Answer, seconds: float, clock: Clock) -> Answer:
    """Poll until the call has ended or the time is over; tell each change of status. Returns the last record."""
    deadline = clock.monotonic() + seconds
    told = ""
    while True:
        if record["status"] != told:
            told = record["status"]
            typer.echo(plain(f"{told}  {record['sessionId']}"), err=True)
        if told in TERMINAL or clock.monotonic() >= deadline:
            return record
        time.sleep(POLL_S)
        record = client.call(record["sessionId"])


def _variable(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"--var {text!r} must be NAME=VALUE")
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value


def register(parent: typer.Typer) -> None:
    """Put `call` and its sibling `calls` under the `fsbridge` command."""
    parent.command("call")(call)
    calls.register(parent)
