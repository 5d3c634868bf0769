"""The REST API as a suite uses it. Shell: HTTP by requests, with deadlines and bounded answers.

A POST that may have dialled is never sent twice: only a refusal in the service's own words (429, 503) is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import requests

from fsbridge.errors import FsbridgeError

CONNECT_S, READ_S = 5.0, 30.0
MAX_JSON = 4 * 1024 * 1024
MAX_WAV = 40 * 1024 * 1024
"""Forty minutes of a telephone's audio."""
BASE = "/cgw/outbound/v1/orgs"


class ClientError(FsbridgeError):
    """The service refused or could not be asked.

    `status` is the HTTP status, None when there was no answer; `retry_after_s` is set where it may be asked again.
    """

    def __init__(self, message: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class Client:
    """One greenlet's connection to a service. Every method raises ClientError."""

    url: str
    org: str
    key: str = field(repr=False)
    _session: requests.Session = field(init=False, default_factory=requests.Session, repr=False)

    def __post_init__(self) -> None:
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {self.key}"

    def close(self) -> None:
        """Let the connection go."""
        self._session.close()

    def place(self, flow_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """POST a call; its record."""
        try:
            answer = self._ask("POST", f"/flows/{flow_id}/calls", dict(request))
        except ClientError as error:
            if error.status is None:
                raise ClientError(f"{error}; it may have been placed, so it is not tried again") from error
            raise
        return _object(answer)

    def call(self, session_id: str) -> dict[str, Any]:
        """A call's record."""
        return _object(self._ask("GET", f"/calls/{session_id}"))

    def timeline(self, session_id: str) -> list[dict[str, Any]]:
        """A call's events; none where the service keeps none."""
        try:
            events = _object(self._ask("GET", f"/calls/{session_id}/timeline")).get("events")
        except ClientError as error:
            if error.status in (404, 405):
                return []
            raise
        return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []

    def audio(self, session_id: str) -> bytes | None:
        """A call's recording; None where there is none."""
        try:
            return self._ask("GET", f"/calls/{session_id}/audio", limit=MAX_WAV).body
        except ClientError as error:
            if error.status in (404, 405):
                return None
            raise

    def put_flow(self, flow_id: str, text: str, json: bool) -> bool:
        """See to it that a flow is there as it is written; whether anything had to be sent."""
        version = _version(text)
        path = f"/flows/{flow_id}"
        for attempt in (1, 2):
            try:
                there = self._ask("GET", path, headers={"Accept": "application/yaml"}).headers.get("ETag", "")
            except ClientError as error:
                if error.status != 404:
                    raise
                there = ""
            if there.strip('"') == version:
                return False
            try:
                self._put(path, text, json, there)
            except ClientError as error:
                # Somebody else wrote it in between; the second time it is really theirs.
                if error.status != 412 or attempt == 2:
                    raise
            else:
                return True
        raise AssertionError("either attempt returns or raises")

    def _put(self, path: str, text: str, json: bool, there: str) -> None:
        condition = {"If-Match": there} if there else {"If-None-Match": "*"}
        kind = "application/json" if json else "application/yaml"
        self._ask("PUT", path, text.encode(), headers={**condition, "Content-Type": kind})

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int = MAX_JSON,
    ) -> Answer:
        url = f"{self.url.rstrip('/')}{BASE}/{self.org}{path}"
        sent = orjson.dumps(body) if isinstance(body, dict) else body
        kind = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        try:
            with self._session.request(
                method,
                url,
                data=sent,
                headers={**kind, **(headers or {})},
                timeout=(CONNECT_S, READ_S),
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = _read(answer, limit)
                found = Answer(answer.status_code, content, answer.headers)
        except (requests.RequestException, OSError) as error:
            raise ClientError(f"{self.url} cannot be asked ({type(error).__name__})") from error
        if found.status >= 300:
            raise _refusal(found)
        return found


def _read(answer: requests.Response, limit: int) -> bytes:
    content = bytearray()
    for chunk in answer.iter_content(65_536):
        content += chunk
        if len(content) > limit:
            raise ClientError(f"the service's answer is larger than {limit // 1024} kB", answer.status_code)
    return bytes(content)


def _object(answer: Answer) -> dict[str, Any]:
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ClientError("the answer is not fsbridge's; look at the environment's url", answer.status)
    return found


def _refusal(answer: Answer) -> ClientError:
    try:
        error = orjson.loads(answer.body)["error"]
        message = f"{answer.status} {error['code']}: {error['message']}"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ClientError(
            f"{answer.status}: the answer is not fsbridge's; look at the environment's url", answer.status
        )
    retry = answer.headers.get("Retry-After", "")
    wait = float(retry) if retry.isascii() and retry.isdigit() and len(retry) < 6 else None
    return ClientError(message, answer.status, wait if answer.status in (429, 503) else None)


def _version(text: str) -> str:
    """A document's ETag, as the service makes it (`flow.document.document`)."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
