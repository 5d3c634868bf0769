"""Taking calls that come in: each becomes a call of ours, whose runner answers it and runs its flow. Shell.

A call is taken once: by its channel's uuid here, and by the identity that is written onto the channel (which also
lets its later events through the node's filter) for a controller that comes later. What cannot be taken is hung up
with a cause that the caller's network understands, so nobody is left listening to ringing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.arrivals import InboundCall, find_entry, read, recognise
from fsbridge.call.lifecycle.belonging import ORG, SESSION, listed
from fsbridge.call.running.runner import CallRunner
from fsbridge.call.running.service import CallService
from fsbridge.call.running.switch import Placement, Switch
from fsbridge.errors import FsbridgeError
from fsbridge.esl.commands import kill
from fsbridge.esl.dialstring import LIMIT_GRACE_S, limit_command
from fsbridge.esl.errors import CommandTimeout, EslError
from fsbridge.esl.events import Event
from fsbridge.logs import mask_number
from fsbridge.model.call import Call
from fsbridge.model.destination import Destination, DestinationKind
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId, new_uuid
from fsbridge.model.request import CallRequest
from fsbridge.nodes.node import Node
from fsbridge.settings.inbound import InboundSettings

log = structlog.get_logger(__name__)

NO_TRUNK = "inbound"
"""What stands for the trunk in the record of a call that came in."""
UNKNOWN = "unknown"
"""What stands for the number that was called, where the node gives none that can be used."""

UNKNOWN_NUMBER = "UNALLOCATED_NUMBER"
FULL = "NORMAL_CIRCUIT_CONGESTION"
NOT_NOW = "NORMAL_TEMPORARY_FAILURE"
"""Causes of refusal; the carrier sees 404, 503 and 503, and may try another host after the latter two."""

MAX_REFUSALS = 200
"""Refusals under way at a time. More are left to the node: the caller's network gives up by itself."""
MAX_FOUND = 500
"""Waiting calls that are looked for after a reconnection."""


@dataclass(slots=True)
class InboundService:
    """Watches for calls that come in. `calls` gives what every call works with, and says whether we are draining."""

    calls: CallService
    _taken: set[str] = field(init=False, default_factory=set)
    _refusing: set[str] = field(init=False, default_factory=set)

    def __len__(self) -> int:
        return len(self._taken)

    @property
    def refusing(self) -> int:
        """How many calls are being refused now."""
        return len(self._refusing)

    def on_event(self, node: Node, event: Event) -> None:
        """Take the call that the event announces, if it does. Never blocks: called by the event socket's reader.

        Without any ``[[inbound]]`` such calls are another controller's, and are left alone.
        """
        arrival = recognise(event) if self.calls.settings.inbound else None
        if arrival is not None:
            self._arrived(node, arrival)

    def after_reconnect(self, node: Node) -> int:
        """Take the calls that came in while the node was out of reach; returns how many were found waiting."""
        found = 0
        try:
            for channel in _parked(node.api("show channels as json"))[:MAX_FOUND]:
                arrival = read(node.channel_dump(channel) or {})
                if arrival is not None:
                    found += 1
                    self._arrived(node, arrival)
        except EslError as error:
            log.warning("waiting_calls_not_asked_for", node=node.name, error=str(error))
        return found

    # --- inside ------------------------------------------------------------------------------------------

    def _arrived(self, node: Node, arrival: InboundCall) -> None:
        channel = arrival.channel
        if channel in self._taken or channel in self._refusing:
            return
        entry = find_entry(self.calls.settings.inbound, arrival, node.name)
        if self.calls.draining:
            self._refuse(node, arrival, NOT_NOW, "shutting down")
        elif entry is None:
            self._refuse(node, arrival, UNKNOWN_NUMBER, "no [[inbound]] entry is for it")
        elif len(self._taken) >= self.calls.settings.dialing.max_inbound_calls:
            self._refuse(node, arrival, FULL, "dialing.max_inbound_calls are live")
        else:
            self._taken.add(channel)
            self.calls.parts.supervisor.spawn("call.inbound", self._take, node, arrival, entry)

    def _take(self, node: Node, arrival: InboundCall, entry: InboundSettings) -> None:
        calls = self.calls
        call = self._record(node, arrival, entry)
        runner = CallRunner(call, Placement(None, arrival.caller, 0, None), Switch(node), calls.parts)
        runner.originated_in_epoch = node.epoch
        # Registered before the claim: the channel's events may come before the claim's reply.
        calls.registry.add(runner)
        try:
            reason = self._claim(node, call)
            if reason is not None:
                log.info("inbound_call_gone", session_id=call.session_id, reason=reason)
                return
            calls.store.save(call)
            calls.parts.began(call)
            log.info(
                "call_came_in",
                session_id=call.session_id,
                org=call.org_id,
                number=mask_number(arrival.number),
                key=arrival.key,
                node=node.name,
            )
            runner.post(i.Begin())
            runner.run()
        except FsbridgeError as error:
            self._refuse(node, arrival, NOT_NOW, str(error))
        finally:
            calls.registry.remove(runner)
            calls.let_go(runner.call)
            runner.done.set()
            self._taken.discard(arrival.channel)

    def _record(self, node: Node, arrival: InboundCall, entry: InboundSettings) -> Call:
        called = Destination(DestinationKind.NUMBER, arrival.number or arrival.key or UNKNOWN)
        return Call(
            session_id=SessionId(new_uuid()),
            org_id=OrgId(entry.org),
            flow_id=FlowId(entry.flow),
            request=CallRequest(destination=called, caller_id=arrival.caller),
            channel=arrival.channel,
            job=JobUuid(new_uuid()),
            node=node.name,
            trunk=NO_TRUNK,
            created_at=self.calls.clock.wall(),
            inbound=True,
        )

    def _claim(self, node: Node, call: Call) -> str | None:
        """Write the call's identity onto its channel, and have the node bound its length, whatever becomes of us.

        Why that failed, if it did. Raises FlowError, EslError.
        """
        self.calls.flows.find(call.org_id, call.flow_id)
        identity = {
            "fsbridge_node": node.name,
            SESSION: call.session_id,
            ORG: call.org_id,
            "fsbridge_flow": call.flow_id,
        }
        written = ";".join(f"{name}={value}" for name, value in identity.items())
        claim = f"uuid_setvar_multi {call.channel} {written}"
        try:
            reply = node.api(claim)
        except CommandTimeout:
            reply = node.api(claim)  # the same again does no harm, and says whether the caller is still there
        if reply.startswith("+OK"):
            reply = node.api(limit_command(call.channel, self.calls.settings.dialing.max_call_s + LIMIT_GRACE_S))
        return None if reply.startswith("+OK") else reply.strip()[:200]

    def _refuse(self, node: Node, arrival: InboundCall, cause: str, reason: str) -> None:
        if len(self._refusing) >= MAX_REFUSALS:
            return
        log.warning(
            "inbound_call_refused", number=mask_number(arrival.number), key=arrival.key, node=node.name, reason=reason
        )
        self._refusing.add(arrival.channel)
        self.calls.parts.supervisor.spawn("call.refuse", self._hang_up, node, arrival, cause)

    def _hang_up(self, node: Node, arrival: InboundCall, cause: str) -> None:
        try:
            node.command(kill(arrival.channel, cause))
        except EslError as error:
            log.warning("inbound_call_not_refused", node=node.name, error=str(error))
        finally:
            self._refusing.discard(arrival.channel)


def _parked(reply: str) -> list[ChannelUuid]:
    """The inbound channels in park that `show channels as json` lists; none for a reply that is not understood."""
    return [row.channel for row in listed(reply) or () if row.inbound and row.application == "park"]
