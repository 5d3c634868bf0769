"""The demo itself: place the calls over HTTP, follow them, compare, report."""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import requests
from rich.console import Console
from rich.table import Table

from api.demo.receiver import Receiver
from api.demo.scenarios import FLOW, ORG, SCENARIOS, Scenario, differences
from api.demo.stage import Stage, StageError
from api.rest.auth import hash_key, new_key
from fsbridge import logs
from fsbridge.clock import SystemClock
from fsbridge.supervise import Supervisor

CALL_TIMEOUT_S = 60.0
POLL_INTERVAL_S = 0.25


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one scenario came to."""

    scenario: Scenario
    resource: dict[str, Any]
    callbacks: tuple[str, ...]
    faults: list[str]


class Caller:
    """A REST caller: what a customer's program would do, and nothing else."""

    def __init__(self, url: str, key: str, receiver: Receiver, secret: str, say: Callable[[str], None]) -> None:
        self._url = url
        self._receiver = receiver
        self._secret = secret
        self._say = say
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {key}"

    def play(self, scenario: Scenario) -> Outcome:
        """Place the scenario's call and follow it to its end."""
        body: dict[str, Any] = {
            "destinationNumber": scenario.destination,
            "mode": scenario.mode,
            "callAnalysis": list(scenario.analysis),
            "variables": {"name": "Alex", **scenario.variables},
            "metadata": {"scenario": scenario.title},
        }
        if scenario.mode == "webhook":
            body |= {"webhookUrl": self._receiver.url, "webhookAuth": self._secret}
        answer = self._session.post(
            f"{self._url}/cgw/outbound/v1/orgs/{ORG}/flows/{FLOW}/calls", json=body, timeout=(5, 40)
        )
        resource: dict[str, Any] = answer.json()
        if answer.status_code == 504:
            resource = {"sessionId": resource["error"]["sessionId"], "status": "Queued"}
        elif answer.status_code not in (200, 201):
            return Outcome(scenario, resource, (), [f"HTTP {answer.status_code}: {resource}"])
        resource = self._follow(scenario, resource)
        callbacks = self._receiver.names(str(resource["sessionId"]))
        return Outcome(scenario, resource, callbacks, differences(scenario, resource, callbacks))

    def _follow(self, scenario: Scenario, resource: dict[str, Any]) -> dict[str, Any]:
        session_id, status = resource["sessionId"], ""
        clock = SystemClock()
        until = clock.monotonic() + CALL_TIMEOUT_S
        while clock.monotonic() < until:
            if resource["status"] != status:
                status = resource["status"]
                self._say(f"{scenario.title}: {_in_words(resource)}")
            told = len(self._receiver.names(session_id)) >= len(scenario.callbacks)
            if status in ("Completed", "Failed") and told:
                break
            gevent.sleep(POLL_INTERVAL_S)
            answer = self._session.get(f"{self._url}/cgw/outbound/v1/orgs/{ORG}/calls/{session_id}", timeout=5)
            resource = answer.json()
        return resource


def run(as_json: bool) -> int:
    """Play every scenario; returns the exit code: 0 only if every outcome is the expected one."""
    logs.configure("human", "warning")
    progress = Console(stderr=True, highlight=False)
    key, secret = new_key(), secrets.token_hex(16)
    receiver = Receiver(secret)
    receiver.start()
    with tempfile.TemporaryDirectory(prefix="fsbridge-demo-") as folder:
        progress.print("starting a simulated FreeSWITCH and the service …")
        try:
            with Stage(Path(folder), hash_key(key)) as stage:
                progress.print(f"service on {stage.url}; placing {len(SCENARIOS)} calls")
                caller = Caller(stage.url, key, receiver, secret, progress.print)
                supervisor = Supervisor()
                tasks = [supervisor.spawn(scenario.title, caller.play, scenario) for scenario in SCENARIOS]
                gevent.joinall(tasks, timeout=2 * CALL_TIMEOUT_S)
                outcomes = [
                    task.value or Outcome(scenario, {}, (), ["no outcome: see the error above"])
                    for scenario, task in zip(SCENARIOS, tasks, strict=True)
                ]
        except StageError as error:
            progress.print(str(error), markup=False)
            return 1
        finally:
            receiver.stop()
    if as_json:
        for outcome in outcomes:
            sys.stdout.write(json.dumps(outcome.resource) + "\n")
    else:
        Console(width=max(Console().width, 150)).print(_table(outcomes))
    for outcome in outcomes:
        for fault in outcome.faults:
            progress.print(f"{outcome.scenario.title}: {fault}", style="red", markup=False)
    if receiver.rejected:
        progress.print(f"{receiver.rejected} callbacks had a wrong signature", style="red")
    return 0 if receiver.rejected == 0 and not any(outcome.faults for outcome in outcomes) else 1


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(title="fsbridge demo")
    for column in (
        "call",
        "mode",
        "destination",
        "status",
        "analysis",
        "reason",
        "after",
        "told by webhook",
        "as expected",
    ):
        table.add_column(column)
    for outcome in outcomes:
        resource, details = outcome.resource, outcome.resource.get("callAnalysisDetails") or {}
        decided = details.get("decidedAfterMs")
        table.add_row(
            outcome.scenario.title,
            outcome.scenario.mode,
            outcome.scenario.destination,
            str(resource.get("status")),
            resource.get("callAnalysisResult") or "",
            resource.get("failureReason") or "",
            f"{decided / 1000:.1f} s" if decided is not None else "",
            ", ".join(outcome.callbacks),
            "yes" if not outcome.faults else "NO",
        )
    return table


def _in_words(resource: dict[str, Any]) -> str:
    parts = [resource["status"], resource.get("callAnalysisResult"), resource.get("failureReason")]
    return " · ".join(part for part in parts if part)
