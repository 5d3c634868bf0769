"""A small client of our own REST API for the command line: requests with deadlines, answers as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from api.cli.printing import plain
from fsbridge.errors import FsbridgeError

CONNECT_S = 5.0


class RestError(FsbridgeError):
    """The service refused or could not be reached; the message is for the person at the keyboard."""

    def __init__(self, message: str, *, status: int | None = None, session_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.session_id = session_id


class Answer(dict[str, Any]):
    """A JSON object of the service, and the text that it was: numbers have a spelling, too."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class RestClient:
    """`url` is the service's base, such as ``http://127.0.0.1:8080``; `key` an API key; `org` its organization."""

    url: str
    key: str
    org: str

    def place(self, flow: str, body: dict[str, Any], timeout_s: float = 60.0) -> Answer:
        """POST a call and return the call resource. Raises RestError (for a sync timeout with the session id)."""
        return self._ask("POST", f"/orgs/{self.org}/flows/{flow}/calls", body, timeout_s)

    def call(self, session_id: str) -> Answer:
        """GET one call's resource. Raises RestError."""
        return self._ask("GET", f"/orgs/{self.org}/calls/{session_id}", None, 30.0)

    def timeline(self, session_id: str) -> list[dict[str, Any]]:
        """GET what has happened in one call so far. Raises RestError."""
        events = self._ask("GET", f"/orgs/{self.org}/calls/{session_id}/timeline", None, 30.0).get("events")
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise RestError(f"{self.url} answered, but not as fsbridge does; check --url")
        return events

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, timeout_s: float) -> Answer:
        url = self.url.rstrip("/") + "/cgw/outbound/v1" + path
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.request(
                    method, url, json=body, headers=headers, timeout=(CONNECT_S, timeout_s), allow_redirects=False
                )
                document = answer.json()
        except requests.exceptions.JSONDecodeError as error:
            raise RestError(f"{self.url} answered, but not as fsbridge does; check --url") from error
        except (requests.RequestException, ValueError) as error:
            raise RestError(
                f"{self.url} cannot be reached ({type(error).__name__}); is `fsbridge serve` up?"
            ) from error
        if answer.status_code < 300 and isinstance(document, dict):
            found = Answer(document)
            found.text = answer.content.decode("utf-8")
            return found
        fault = document.get("error", {}) if isinstance(document, dict) else {}
        raise RestError(
            plain(f"{answer.status_code} {fault.get('code', '')}: {fault.get('message', '')}"),
            status=answer.status_code,
            session_id=fault.get("sessionId"),
        )
