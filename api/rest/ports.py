"""What the REST side needs of the calls side. `fsbridge.call.running.service` fulfils it; tests bring a small one."""

from __future__ import annotations

from typing import Protocol

from fsbridge.flow.library.library import FlowLibrary
from fsbridge.model.call import Call
from fsbridge.model.ids import FlowId, OrgId, SessionId
from fsbridge.model.json import Json
from fsbridge.model.request import CallRequest
from fsbridge.settings.orgs import OrgSettings


class CallService(Protocol):
    """Blocks only the calling greenlet, never the hub."""

    def place(self, org: OrgSettings, flow_id: FlowId, request: CallRequest) -> Call:
        """Queue the call and return its record at once.

        The record's `caller_id` is the effective one. Raises FlowMissing or FlowInvalid
        (`fsbridge.flow.document.errors`), DestinationError (`fsbridge.dialing`) where the trunk takes no such
        destination, and any other FsbridgeError where no call can be taken now (draining, disk full).
        """

    def get(self, org_id: OrgId, session_id: SessionId) -> Call | None:
        """The call, live or ended, if it belongs to the organization."""

    def timeline(self, org_id: OrgId, session_id: SessionId) -> list[Json] | None:
        """The call's timeline so far, if the call belongs to the organization. May raise FsbridgeError."""

    def audio(self, org_id: OrgId, session_id: SessionId) -> bytes | None:
        """The kept WAV of the call's answer, if the call is the organization's and there is one.

        May raise FsbridgeError.
        """

    @property
    def flows(self) -> FlowLibrary:
        """The organizations' flow documents."""

    def wait(self, session_id: SessionId, timeout_s: float) -> Call | None:
        """The ended call, as soon as it has ended; None after `timeout_s` seconds."""

    def ready(self) -> list[str]:
        """Why no call should be sent here now; empty when all is well."""

    def metrics(self) -> bytes:
        """Prometheus text, version 0.0.4."""
