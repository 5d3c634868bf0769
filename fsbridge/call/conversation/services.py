"""What the house does for flows: requests, routing of bridges, events for callers, ears, recordings. Shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amd_model.listening import likeness
from amd_model.sound import files
from amd_model.verdict import AmdOptions
from fsbridge.amd import fork
from fsbridge.amd.workers import WorkerPool
from fsbridge.call.conversation.ears import Fingerprint
from fsbridge.call.conversation.flowhost import FlowServices
from fsbridge.call.lifecycle.timeline import Timeline
from fsbridge.clock import Clock
from fsbridge.dialing.onward import Wish, dial_out
from fsbridge.egress.guard import refuse_url
from fsbridge.egress.outside import HttpFailure, HttpRequest, Outside
from fsbridge.errors import FsbridgeError
from fsbridge.esl.dialstring import Tap
from fsbridge.flow.document.model import FlowDocument
from fsbridge.flow.document.template import is_listed
from fsbridge.flow.interpreter.actions import Dial, Fetch, Fetched, Refused, Result
from fsbridge.model.call import Call
from fsbridge.model.ids import OrgId, new_uuid
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings
from fsbridge.store.base import Delivery, Store, StoreError
from fsbridge.webhook.payload import event_delivery

KEEP_MS = 600_000
"""Of a listening flow's audio, where audio is kept at all: what a test suite's report shows and plays."""
MAX_REFERENCE_S = 60.0
MAX_REFERENCES = 200


@dataclass(slots=True)
class House:
    """The services; the composition root makes one. `kick` sets the delivery of a call's webhooks going."""

    settings: Settings
    clock: Clock
    store: Store
    workers: WorkerPool
    outside: Outside
    kick: Callable[[Delivery], None]
    _references: dict[tuple[str, int], Fingerprint] = field(default_factory=dict)

    def services(self) -> FlowServices:
        """As calls take them."""
        return FlowServices(self.fetch, self.dial, self.bot_refusal, self.tell, self.ears, self.reference)

    def fetch(self, call: Call, fetch: Fetch) -> Result:
        """A flow's HTTP exchange; secrets are looked up here, so that none is in a flow's state."""
        secrets = self._org(call.org_id).secrets
        missing = [name for name in fetch.secret_headers.values() if name not in secrets]
        if missing:
            return Refused(f"the organization has no secret {missing[0]!r}: add it to orgs.secrets")
        headers = dict(fetch.headers)
        headers |= {header: secrets[name].get_secret_value() for header, name in fetch.secret_headers.items()}
        answer = self.outside.fetch(
            HttpRequest(fetch.method, fetch.url, headers, fetch.body, fetch.deadline_s, fetch.retries, call.org_id)
        )
        if isinstance(answer, HttpFailure):
            return Refused(answer.reason)
        return Fetched(answer.status, answer.body, answer.note)

    def dial(self, call: Call, dial: Dial) -> str:
        """The `bridge` application's argument. Raises ValueError."""
        node = next((node for node in self.settings.nodes if node.name == call.node), self.settings.nodes[0])
        try:
            wish = Wish(dial.to, dial.ring_s, dial.trunk, dial.caller_id)
            return dial_out(self.settings, self._org(call.org_id), wish, node.sip_profile)
        except FsbridgeError as error:
            raise ValueError(str(error)) from error

    def bot_refusal(self, call: Call, url: str) -> str | None:
        """Why the call's voice bot may not be at this URL. FreeSWITCH looks names up itself, so hosts are listed."""
        flows, own = self.settings.flows, self._org(call.org_id).flows
        reason = refuse_url(url, ("wss", "ws") if flows.bots_allow_ws else ("wss",), True)
        if reason is None and not flows.bots_allow_private and not is_listed(url, (*flows.bot_hosts, *own.bot_hosts)):
            return "has a host that is not among bot_hosts"
        return reason

    def tell(self, call: Call, name: str, data: object) -> bool:
        """Owe the caller a `call.event`; False when it gave no address, or the store cannot keep it."""
        owed = event_delivery(call, name, data, new_uuid(), self.clock.wall())
        if owed is None:
            return False
        try:
            self.store.owe(owed)
        except StoreError:
            return False
        self.kick(owed)
        return True

    def ears(self, call: Call, document: FlowDocument) -> Tap | None:
        """A tap to a worker that listens for as long as the flow runs."""
        url = self.workers.choose().url
        if url is None:
            return None
        keep_ms = KEEP_MS if self.settings.amd.keep_ms else 0
        bands = any(step.expect is not None and step.expect.audio_like is not None for step in document.body.steps)
        options = AmdOptions(listen=True, listen_bands=bands, keep_ms=keep_ms, call_id=call.session_id)
        return fork.ears(url, options)

    def reference(self, call: Call, file: str) -> Fingerprint:
        """A recording's fingerprint. Raises OSError or ValueError, in words."""
        path = self.settings.flows.reference_audio / file
        try:
            stamp = path.stat().st_mtime_ns
        except OSError as error:
            raise ValueError(f"there is no such file in {self.settings.flows.reference_audio}") from error
        found = self._references.get((file, stamp))
        if found is None:
            if len(self._references) >= MAX_REFERENCES:
                self._references.clear()
            found = self._references[file, stamp] = likeness.fingerprint(read_reference(path))
        return found

    def keep_timeline(self, call: Call, timeline: Timeline) -> None:
        """Keep the timeline of a call that has ended. Raises StoreError."""
        self.store.save_timeline(call.session_id, timeline.to_json())

    def _org(self, org_id: OrgId) -> OrgSettings:
        return next(org for org in self.settings.orgs if org.id == org_id)


def read_reference(path: Path) -> NDArray[np.float32]:
    """A recording as the network hears it: 8 kHz, mono, -1 to 1. Raises ValueError."""
    if not path.is_file():
        raise ValueError("is no file")
    try:
        sound = files.read(path, max_s=MAX_REFERENCE_S)
    except files.AudioError as error:
        raise ValueError(error.reason) from error
    if sound.rate != likeness.SAMPLE_RATE:
        wanted = likeness.SAMPLE_RATE
        raise ValueError(f"has {sound.rate} samples a second; reference recordings have {wanted}")
    return sound.samples
