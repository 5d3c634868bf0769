"""The doctor on the AMD workers: whether each answers, has room, keeps up, and runs the same model as the others.

`examine_workers` is given a function that asks, so that judging is a function of what was answered; `ask_health` asks
over HTTP, as the service does all the time (`amd.workers`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import gevent
import requests
from urllib3.exceptions import HTTPError

from fsbridge.doctor.findings import Notes
from fsbridge.settings.amd import AmdSettings

ASK_TIMEOUT_S = 3.0
"""For the whole answer; a worker that takes longer would lose audio as well."""
MAX_ANSWER = 65_536
NEARLY_FULL = 0.9
LATE_MS = 100.0
"""Above this a verdict comes noticeably later than it could."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a worker says of itself; `accepting` is False when it would refuse a new stream."""

    streams: int
    capacity: int
    lag_ms: float
    model: str
    accepting: bool
    words: str = "off"
    """Whether it reads words as well: off, starting, ready."""


Ask = Callable[[str], Health | str]
"""A worker's base URL (http or https, host, port) to its health, or to why there is none."""


def examine_workers(amd: AmdSettings, ask: Ask) -> Notes:
    """What is to be said of each worker that has a known address. Never raises."""
    notes = Notes("detector")
    elsewhere = [_base(url) for url in amd.urls]
    here = [f"http://{_near(amd.host)}:{amd.base_port + n}" for n in range(amd.workers)] if amd.base_port else []
    models: set[str] = set()
    deaf = []
    for base in elsewhere + here:
        check = f"worker {urlsplit(base).netloc}"
        health = ask(base)
        if isinstance(health, str):
            if base in elsewhere:
                change = "start it (`python -m amd_model serve`), or correct amd.urls; is a firewall between?"
                notes.problem(check, f"{health}; {_without(amd)}", change)
            else:
                notes.warn(check, f"{health}: right if `fsbridge serve` is not running", "its own log, if it is")
            continue
        models.add(health.model)
        if health.words == "off" and amd.words != "off":
            deaf.append(check)
        figures = f"{health.streams} of {health.capacity} streams, {health.lag_ms:g} ms behind"
        if not health.accepting:
            notes.warn(check, f"takes no new streams: {figures}", "more workers, or is it just being stopped?")
        elif health.streams >= health.capacity * NEARLY_FULL or health.lag_ms > LATE_MS:
            notes.warn(check, f"nearly at its limit: {figures}", "more workers (amd.workers, amd.urls), one a core")
        else:
            notes.ok(check, f"{figures}, model {health.model}, words {health.words}")
    if len(models) > 1:
        notes.warn(
            "models", f"workers run different ones: {', '.join(sorted(models))}", "the same weights for all of them"
        )
    if deaf:
        notes.warn(
            "words",
            f"not read by {', '.join(deaf)}",
            "there: pip install 'fsbridge[words]', fsbridge amd words install",
        )
    if amd.workers and not amd.base_port:
        notes.ok("own workers", f"{amd.workers}, started by `fsbridge serve` on ports that are chosen then")
    return notes


def ask_health(base: str) -> Health | str:
    """GET <base>/healthz within a deadline, proxies and redirects not used."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            found = gevent.with_timeout(ASK_TIMEOUT_S, _ask, session, f"{base}/healthz", timeout_value=None)
        except (requests.RequestException, HTTPError, OSError):
            return "nobody answers there"
        except (KeyError, TypeError, ValueError):
            return "what answers there is no AMD worker"
    return found if found is not None else f"no answer within {ASK_TIMEOUT_S:g} s"


def _ask(session: requests.Session, url: str) -> Health:
    with session.get(url, timeout=ASK_TIMEOUT_S, allow_redirects=False, stream=True) as response:
        body = json.loads(response.raw.read(MAX_ANSWER, decode_content=True))
    return Health(
        streams=int(body["streams"]),
        capacity=int(body["capacity"]),
        lag_ms=float(body["lag_ms"]),
        model=str(body["model"])[:100],
        accepting=bool(body.get("accepting", True)),
        words=str(body.get("words", "off"))[:20],
    )


def _base(url: str) -> str:
    parts = urlsplit(url)
    scheme, port = ("https", 443) if parts.scheme == "wss" else ("http", 80)
    return f"{scheme}://{parts.hostname}:{parts.port or port}"


def _near(host: str) -> str:
    return "127.0.0.1" if host == "0.0.0.0" else host


def _without(amd: AmdSettings) -> str:
    refuses = amd.when_unavailable == "refuse"
    return "without any worker no call is placed" if refuses else "without any worker every verdict is unknown"
