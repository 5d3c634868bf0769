"""Audio over HTTP for `playback http://…` and `http_cache://…`: tasks of its own, with deadlines and bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import gevent
import requests
import structlog

from fsbridge.simulator.time.scheduler import Scheduler
from fsbridge.supervise import Supervisor

CONNECT_SECONDS = 3.0
WHOLE_SECONDS = 10.0
MAX_BYTES = 20_000_000
MAX_AT_ONCE = 32
MAX_CACHED = 32
_CHUNK = 65_536

log = structlog.get_logger(__name__)

Done = Callable[[bytes | None], None]


class HttpFetcher:
    """Fetches; `done` is called in simulated time with the content, or None when there is none."""

    def __init__(self, supervisor: Supervisor, scheduler: Scheduler) -> None:
        self._supervisor = supervisor
        self._scheduler = scheduler
        self.under_way = 0
        self._cache: OrderedDict[str, bytes] = OrderedDict()

    def fetch(self, url: str, done: Done, *, cached: bool) -> None:
        """Begin; `cached` asks for what is kept from before, if it is, and keeps what comes."""
        kept = self._cache.get(url) if cached else None
        if kept is not None or self.under_way >= MAX_AT_ONCE:
            self._scheduler.call_later(0.0, lambda: done(kept))
            return
        self.under_way += 1
        self._supervisor.spawn("simulator.fetch", self._run, url, done, cached)

    def _run(self, url: str, done: Done, cached: bool) -> None:
        data: bytes | None = None
        try:
            with gevent.Timeout(WHOLE_SECONDS, TimeoutError("the server takes too long")):
                data = self._get(url)
        except (requests.RequestException, OSError, ValueError) as error:
            log.info("simulator_fetch_failed", url=url, reason=str(error))
        finally:
            self.under_way -= 1
        if data is not None and cached:
            self._cache[url] = data
            while len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)
        self._scheduler.perform(lambda: done(data))

    def _get(self, url: str) -> bytes:
        with requests.Session() as session:
            # What a proxy in the environment answers is not what the node would get.
            session.trust_env = False
            with session.get(url, stream=True, timeout=(CONNECT_SECONDS, WHOLE_SECONDS)) as answer:
                answer.raise_for_status()
                data = bytearray()
                for chunk in answer.iter_content(_CHUNK):
                    data += chunk
                    if len(data) > MAX_BYTES:
                        raise ValueError(f"more than {MAX_BYTES} bytes")
                return bytes(data)
