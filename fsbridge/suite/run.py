"""Runs the calls of a suite against a service: so many at a time, each followed to its end. Shell.

Nothing here knows what is on the other side: the same run goes against a simulation and a carrier. What goes wrong
with one call is that call's error; the others go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gevent

from fsbridge.clock import Clock
from fsbridge.suite.client import Client, ClientError
from fsbridge.suite.document import Planned
from fsbridge.suite.load import Document
from fsbridge.suite.result import CallReport, differences
from fsbridge.supervise import Supervisor

TERMINAL = ("Completed", "Failed")
POLL_S = 0.5
RETRIES = 5
"""How often a call is asked for again that was refused for the moment."""
MAX_RETRY_S = 30.0
AUDIO_TRIES = 3
"""A recording is complete a moment after its call."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to run: `client` makes a connection, one for each call that is under way."""

    client: Callable[[], Client]
    clock: Clock
    supervisor: Supervisor
    poll_s: float = POLL_S


def put_documents(target: Target, documents: Mapping[str, Document]) -> int:
    """Put the flow documents on the service; how many had to be sent. Raises ClientError, which names the document."""
    client, sent = target.client(), 0
    try:
        for document in documents.values():
            try:
                sent += client.put_flow(document.flow_id, document.text, document.json)
            except ClientError as error:
                raise ClientError(f"{document.path}: {error}", error.status) from error
    finally:
        client.close()
    return sent


def run(
    target: Target,
    planned: Sequence[Planned],
    flow_ids: Mapping[str, str],
    concurrency: int,
    told: Callable[[CallReport], None] = lambda report: None,
    *,
    audio: bool = False,
) -> list[CallReport]:
    """Place the calls and follow them; reports in the order of `planned`. `told` hears of each as it ends.

    `flow_ids` has the ids of flows that are named by a document's path. With `audio` recordings are fetched.
    """
    waiting = deque(enumerate(planned))
    reports: dict[int, CallReport] = {}

    def work() -> None:
        client = target.client()
        try:
            while waiting:
                number, call = waiting.popleft()
                flow_id = flow_ids.get(call.flow, call.flow.lower())
                reports[number] = report = _Followed(target, client, call, flow_id, audio).report()
                told(report)
        finally:
            client.close()

    workers = [target.supervisor.spawn(f"suite {n}", work) for n in range(min(concurrency, len(planned)))]
    gevent.joinall(workers)
    lost = CallReport(planned[0], target.clock.wall(), 0.0, error="the run broke off; see the log")
    return [reports.get(number) or _of(lost, call) for number, call in enumerate(planned)]


def _of(report: CallReport, planned: Planned) -> CallReport:
    return CallReport(planned, report.started_at, 0.0, error=report.error)


class _Followed:
    """One call from its request to its report."""

    def __init__(self, target: Target, client: Client, planned: Planned, flow_id: str, audio: bool) -> None:
        self._target = target
        self._client = client
        self._planned = planned
        self._flow_id = flow_id
        self._audio = audio
        self._began = target.clock.monotonic()
        self._started_at = target.clock.wall()

    def report(self) -> CallReport:
        """Everything, whatever happens."""
        try:
            resource = self._place()
        except ClientError as error:
            return self._made(error=f"not placed: {error}")
        session_id = str(resource.get("sessionId", ""))
        try:
            resource = self._follow(session_id, resource)
        except ClientError as error:
            return self._made(session_id, resource, error=f"lost sight of the call: {error}")
        took_s = self._passed_s()
        late = "" if resource.get("status") in TERMINAL else self._late(resource)
        events, wav, missed = self._details(session_id)
        faults = () if late else differences(self._planned.expect, resource)
        return self._made(session_id, resource, took_s, faults + missed, late, events, wav)

    def _place(self) -> dict[str, Any]:
        for _ in range(RETRIES):
            try:
                return self._client.place(self._flow_id, self._planned.request)
            except ClientError as error:
                wait = error.retry_after_s
                if wait is None or self._passed_s() + wait > self._planned.timeout_s:
                    raise
                gevent.sleep(min(wait, MAX_RETRY_S))
        return self._client.place(self._flow_id, self._planned.request)

    def _follow(self, session_id: str, resource: dict[str, Any]) -> dict[str, Any]:
        """Poll to the end or the timeout. A GET may fail for a moment; the call goes on meanwhile."""
        while resource.get("status") not in TERMINAL and self._passed_s() < self._planned.timeout_s:
            gevent.sleep(self._target.poll_s)
            try:
                resource = self._client.call(session_id)
            except ClientError as error:
                if error.status is not None and error.status < 500 and error.retry_after_s is None:
                    raise
                if self._passed_s() >= self._planned.timeout_s:
                    raise
                gevent.sleep(min(error.retry_after_s or 0.0, MAX_RETRY_S))
        return resource

    def _late(self, resource: Mapping[str, Any]) -> str:
        return f"still {resource.get('status')} after {self._planned.timeout_s:g} s; the call goes on by itself"

    def _details(self, session_id: str) -> tuple[list[dict[str, Any]], bytes | None, tuple[str, ...]]:
        """Timeline and recording: what cannot be had of them is told, but is no reason to lose the outcome."""
        events: list[dict[str, Any]] = []
        wav: bytes | None = None
        try:
            events = self._client.timeline(session_id)
            for attempt in range(AUDIO_TRIES if self._audio else 0):
                if attempt:
                    gevent.sleep(self._target.poll_s)
                wav = self._client.audio(session_id)
                if wav is not None:
                    break
        except ClientError as error:
            return events, wav, (f"the call's details cannot be had: {error}",)
        return events, wav, ()

    def _passed_s(self) -> float:
        return self._target.clock.monotonic() - self._began

    def _made(
        self,
        session_id: str = "",
        resource: Mapping[str, Any] | None = None,
        took_s: float | None = None,
        faults: tuple[str, ...] = (),
        error: str = "",
        events: Sequence[Mapping[str, Any]] = (),
        wav: bytes | None = None,
    ) -> CallReport:
        took = self._passed_s() if took_s is None else took_s
        return CallReport(
            self._planned, self._started_at, took, session_id, resource or {}, faults, error, tuple(events), wav
        )
