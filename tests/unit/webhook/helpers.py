"""A real HTTP(S) receiver on a free port, and calls that have something to tell."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gevent
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gevent import monkey
from gevent.pywsgi import WSGIServer

from amd_model.verdict import Verdict
from fsbridge.model.call import Analysis, Call
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId
from fsbridge.model.json import RawJson
from fsbridge.model.outcome import FailureReason
from fsbridge.model.request import CallRequest, Mode
from fsbridge.model.status import Phase
from fsbridge.settings.webhooks import WebhookSettings
from fsbridge.store.base import Delivery

ORG = OrgId("22222222-2222-4222-8222-222222222222")
OPEN = WebhookSettings(allow_private=True, allow_http=True, connect_timeout_s=1, read_timeout_s=1)
"""Settings under which a local receiver may be called."""


def webhook_call(url: str = "https://example.com/hook", auth: str | None = "s3cret", **changes: Any) -> Call:
    """A queued call in webhook mode with analysis asked for."""
    request = CallRequest(
        destination=Destination(DestinationKind.NUMBER, "+15550100001"),
        caller_id="+15550100100",
        mode=Mode.WEBHOOK,
        call_analysis=frozenset({Verdict.LIVE_PERSON}),
        metadata=RawJson('{"order": 7}'),
        variables={"secret_of_flow": 1},
        webhook_url=url,
        webhook_auth=auth,
    )
    fields: dict[str, Any] = {
        "session_id": SessionId(str(uuid.uuid4())),
        "org_id": ORG,
        "flow_id": FlowId("33333333-3333-4333-8333-333333333333"),
        "request": request,
        "channel": ChannelUuid(str(uuid.uuid4())),
        "job": JobUuid(str(uuid.uuid4())),
        "node": "fs1",
        "trunk": "main",
        "created_at": 1_000.0,
    }
    return Call(**(fields | changes))


def answered(call: Call) -> Call:
    return replace(call, phase=Phase.IN_FLOW, answered_at=1_003.5, analysis=Analysis(Verdict.LIVE_PERSON, 0.9))


def completed(call: Call) -> Call:
    talking = answered(call)
    assert talking.answered_at is not None
    return replace(talking, phase=Phase.ENDED, completed_at=1_010.0, talk_s=1_010.0 - talking.answered_at)


def failed(call: Call, reason: FailureReason = FailureReason.BUSY) -> Call:
    return replace(call, phase=Phase.ENDED, completed_at=1_010.0, failure=reason)


def a_delivery(url: str, **changes: Any) -> Delivery:
    fields: dict[str, Any] = {
        "id": "msg_1",
        "session_id": SessionId("11111111-1111-4111-8111-111111111111"),
        "org_id": ORG,
        "seq": 1,
        "url": url,
        "secret": "s3cret",
        "body": b'{"event":"call.answered"}',
        "created_at": 1_000.0,
    }
    return Delivery(**(fields | changes))


@dataclass(frozen=True)
class Got:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> str:
        return str(json.loads(self.body)["event"])


Answer = tuple[str, list[tuple[str, str]], Iterable[bytes]]


@dataclass
class Receiver:
    """Answers with what stands in `script`, in order, then with 200; keeps every request in `got`."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    script: list[Answer | Callable[[Got], Answer]] = field(default_factory=list)

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        got = Got(environ["PATH_INFO"], headers, environ["wsgi.input"].read())
        self.got.append(got)
        step = self.script.pop(0) if self.script else reply("200 OK")
        status, extra, body = step(got) if callable(step) else step
        start_response(status, extra)
        return body


def reply(status: str, body: bytes = b"", **headers: str) -> Answer:
    return status, [(name.replace("_", "-"), value) for name, value in headers.items()], [body]


@contextmanager
def receiver(tls: tuple[Path, Path] | None = None, host: str = "127.0.0.1") -> Iterator[Receiver]:
    found = Receiver()
    keys: dict[str, Any] = {}
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        keys = {"ssl_context": context}
    server = WSGIServer((host, 0), found.app, log=None, error_log=None, **keys)
    server.start()
    found.url = f"{'https' if tls else 'http'}://{host}:{server.server_port}"
    try:
        yield found
    finally:
        server.stop(timeout=0.1)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for `name` (and 127.0.0.1), and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


class Gate:
    """Shut until it is opened; for native threads, in which gevent's locks are of no use."""

    def __init__(self) -> None:
        self._lock: Any = monkey.get_original("_thread", "allocate_lock")()
        self._lock.acquire()

    def wait(self, seconds: float) -> None:
        if self._lock.acquire(timeout=seconds):
            self._lock.release()

    def open(self) -> None:
        if self._lock.locked():
            self._lock.release()


def until(condition: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    """Wait for the condition, at most that long."""
    with gevent.Timeout(seconds, AssertionError(f"not within {seconds} s: {what}")):
        while not condition():
            gevent.sleep(0.002)


class FixedClock:
    """A clock that stands still until it is set."""

    def __init__(self, wall: float = 1_000.0) -> None:
        self.now = wall

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class SetClock:
    """Runs as the machine's does, but its wall clock begins elsewhere and can be set; counts who looks at it."""

    def __init__(self, wall: float) -> None:
        self._offset = wall - time.monotonic()
        self.looks = 0

    def set_forward(self, seconds: float) -> None:
        self._offset += seconds

    def monotonic(self) -> float:
        self.looks += 1
        return time.monotonic()

    def wall(self) -> float:
        return time.monotonic() + self._offset
