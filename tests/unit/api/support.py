"""What the REST tests share: settings of two organizations, a call service in memory, a WSGI client without sockets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from gevent.event import Event

from api.rest.auth import hash_key
from fsbridge.errors import FsbridgeError
from fsbridge.flow.library.library import FlowLibrary
from fsbridge.model.call import Call
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId, new_uuid
from fsbridge.model.json import Json
from fsbridge.model.request import CallRequest
from fsbridge.model.status import Phase
from fsbridge.settings.flows import FlowSettings
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.reading import parse
from fsbridge.settings.whole import Settings

ORG, OTHER_ORG, MUTE_ORG = (
    "11111111-1111-4111-8111-111111111111",
    "22222222-2222-4222-8222-222222222222",
    "33333333-3333-4333-8333-333333333333",
)
FLOW = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
KEY, OTHER_KEY, MUTE_KEY = "fsb_key-of-the-first", "fsb_key-of-the-other", "fsb_key-without-permission"
CREATED = 1_767_225_600.25
NOWHERE = Path(__file__) / "no folder"
"""Where no flow can be, and none be written."""


def make_settings(**service: Any) -> Settings:
    """Three organizations: one plain, another, and one without the permission to call."""
    return parse(
        {
            "service": {"listen": "127.0.0.1:0", "requests_per_second": 100_000, **service},
            "orgs": [
                {"id": ORG, "api_keys": [hash_key(KEY)], "caller_id": "+15550001111"},
                {"id": OTHER_ORG, "api_keys": [hash_key(OTHER_KEY)], "trunk": "second"},
                {"id": MUTE_ORG, "api_keys": [hash_key(MUTE_KEY)], "outbound_calling": False},
            ],
            "nodes": [{"name": "fs1"}],
            "trunks": [
                {"name": "first", "gateways": ["gw1"], "caller_id": "111"},
                {"name": "second", "gateways": ["gw2"], "caller_id": "222"},
            ],
        }
    )


@dataclass
class MemoryCalls:
    """A call service whose calls go nowhere until a test ends them; `refuse` is raised by `place` and `get`."""

    calls: dict[str, Call] = field(default_factory=dict)
    ended: dict[str, Event] = field(default_factory=dict)
    placed: list[Call] = field(default_factory=list)
    refuse: Exception | None = None
    reasons: list[str] = field(default_factory=list)
    end_at_once: Callable[[Call], Call] | None = None
    timelines: dict[str, list[Json]] = field(default_factory=dict)
    sounds: dict[str, bytes] = field(default_factory=dict)
    flows: FlowLibrary = field(default_factory=lambda: FlowLibrary(FlowSettings(dir=NOWHERE)))

    def place(self, org: OrgSettings, flow_id: FlowId, request: CallRequest) -> Call:
        if self.refuse is not None:
            raise self.refuse
        self.placed.append(make_call(request, org_id=org.id, flow_id=flow_id))
        effective = replace(request, caller_id=request.caller_id or org.caller_id)
        call = make_call(effective, org_id=org.id, flow_id=flow_id)
        self.calls[call.session_id] = call
        self.ended[call.session_id] = Event()
        if self.end_at_once is not None:
            self.end(self.end_at_once(call))
        return call

    def end(self, call: Call) -> None:
        """Replace the record by a terminal one."""
        self.calls[call.session_id] = call
        self.ended[call.session_id].set()

    def get(self, org_id: OrgId, session_id: SessionId) -> Call | None:
        if isinstance(self.refuse, FsbridgeError):
            raise self.refuse
        call = self.calls.get(session_id)
        return call if call is not None and call.org_id == org_id else None

    def timeline(self, org_id: OrgId, session_id: SessionId) -> list[Json] | None:
        return None if self.get(org_id, session_id) is None else self.timelines.get(session_id, [])

    def audio(self, org_id: OrgId, session_id: SessionId) -> bytes | None:
        return None if self.get(org_id, session_id) is None else self.sounds.get(session_id)

    def wait(self, session_id: SessionId, timeout_s: float) -> Call | None:
        return self.calls[session_id] if self.ended[session_id].wait(timeout_s) else None

    def ready(self) -> list[str]:
        return self.reasons

    def metrics(self) -> bytes:
        return b"fsbridge_calls_total 3\n"


def make_call(request: CallRequest, org_id: str = ORG, flow_id: str = FLOW) -> Call:
    """A queued call."""
    return Call(
        session_id=SessionId(new_uuid()),
        org_id=OrgId(org_id),
        flow_id=FlowId(flow_id),
        request=request,
        channel=ChannelUuid(new_uuid()),
        job=JobUuid(new_uuid()),
        node="fs1",
        trunk="first",
        created_at=CREATED,
    )


def completed(call: Call) -> Call:
    """The same call, answered after 2 s and ended after 10."""
    return replace(call, phase=Phase.ENDED, answered_at=CREATED + 2, completed_at=CREATED + 10)


@dataclass(frozen=True)
class Answer:
    """A response as a test looks at it; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code; also checks the error body's shape."""
        error = self.json["error"]
        assert error.keys() >= {"code", "message"}
        assert error["message"]
        return str(error["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


@dataclass
class Client:
    """Calls a WSGI application directly."""

    app: Callable[..., Iterable[bytes]]
    key: str | None = KEY

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        bare, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(bare).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "test",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body or b""),
            "wsgi.errors": io.StringIO(),
        }
        if body is not None:
            environ["CONTENT_LENGTH"] = str(len(body))
        if self.key is not None:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self.key}"
        environ.update({name if name.isupper() else f"HTTP_{name.upper()}": value for name, value in headers.items()})
        seen: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> None:
            seen.append((status, fields))

        content = b"".join(self.app(environ, start_response))
        ((status, fields),) = seen
        return Answer(int(status.split()[0]), {name.lower(): value for name, value in fields}, content)

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, None, **headers)

    def flow(self, method: str, flow: str = "", body: Any = None, org: str = ORG, **headers: str) -> Answer:
        """A request below /flows; `flow` may have a query. A body that is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        path = f"/cgw/outbound/v1/orgs/{org}/flows" + (flow if not flow or flow[0] == "?" else f"/{flow}")
        return self.request(method, path, data, **headers)

    def place(self, document: Any, org: str = ORG, flow: str = FLOW, **headers: str) -> Answer:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request("POST", f"/cgw/outbound/v1/orgs/{org}/flows/{flow}/calls", body, **headers)

    def call(self, session: str, org: str = ORG, **headers: str) -> Answer:
        return self.get(f"/cgw/outbound/v1/orgs/{org}/calls/{session}", **headers)
