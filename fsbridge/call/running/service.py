"""Placing calls and asking after them: what the REST side and the command line work with.

The order of `place` is the promise "nothing dialled twice, nothing lost": the record is kept before the call
is dialled, and the call is registered before its first command is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from fsbridge.amd import fork
from fsbridge.amd.workers import WorkerPool
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.running import sound
from fsbridge.call.running.registry import CallRegistry
from fsbridge.call.running.runner import CallRunner, Parts
from fsbridge.call.running.sweep import Sweep
from fsbridge.call.running.switch import Placement, Switch
from fsbridge.clock import Clock
from fsbridge.dialing.trunks import Route, choose, media_patience
from fsbridge.errors import FsbridgeError
from fsbridge.esl.dialstring import Endpoint, GatewayEndpoint, SipUriEndpoint, Tap
from fsbridge.flow.library.library import FlowLibrary
from fsbridge.logs import mask_number
from fsbridge.model.call import Call
from fsbridge.model.destination import DestinationKind
from fsbridge.model.ids import ChannelUuid, FlowId, JobUuid, OrgId, SessionId, is_uuid, new_uuid
from fsbridge.model.json import Json
from fsbridge.model.request import CallRequest
from fsbridge.nodes.node import Node
from fsbridge.nodes.pool import NodePool
from fsbridge.settings.orgs import OrgSettings
from fsbridge.settings.whole import Settings
from fsbridge.store.base import Store

log = structlog.get_logger(__name__)

UNPLACED = "-"
"""Node and trunk of a call that found none."""


class ServiceDraining(FsbridgeError):
    """The service is going down and takes no new calls."""


@dataclass(slots=True)
class CallService:
    """The service's heart; the composition root gives it everything it works with."""

    settings: Settings
    clock: Clock
    store: Store
    registry: CallRegistry
    pool: NodePool
    workers: WorkerPool
    flows: FlowLibrary
    parts: Parts
    sweep: Sweep
    render_metrics: Callable[[], bytes]
    draining: bool = False

    def place(self, org: OrgSettings, flow_id: FlowId, request: CallRequest) -> Call:
        """Take the call on, keep it and set it going; returns its first record.

        Raises FlowError when the flow does not exist or is invalid, StoreError when the call cannot be kept,
        ServiceDraining; in each case nobody's phone rings.
        """
        if self.draining:
            raise ServiceDraining("the service is shutting down; place the call on another instance")
        self.flows.find(OrgId(org.id), flow_id)
        route = choose(self.settings, org, request.destination)
        request = replace(request, caller_id=request.caller_id or route.caller_id)
        node = self.pool.choose()
        session_id = SessionId(new_uuid())
        tap, unplaceable = self._tap(request, session_id)
        if node is None:
            reasons = "; ".join(self.pool.unready())
            unplaceable = f"no FreeSWITCH node takes calls ({reasons}); `fsbridge doctor` says more"
        call = Call(
            session_id=session_id,
            org_id=OrgId(org.id),
            flow_id=flow_id,
            request=request,
            channel=ChannelUuid(new_uuid()),
            job=JobUuid(new_uuid()),
            node=node.name if node is not None else UNPLACED,
            trunk=route.trunk,
            created_at=self.clock.wall(),
        )
        self.store.save(call)
        self.parts.began(call)
        log.info(
            "call_placed",
            session_id=call.session_id,
            org=org.id,
            destination=mask_number(request.destination.value),
            mode=str(request.mode),
            node=call.node,
        )
        endpoint = self._endpoint(request, route, node)
        ring_s, keep_s = self.settings.dialing.ring_timeout_s, self.settings.amd.keep_audio_s
        media, max_s = media_patience(self.settings), self.settings.dialing.max_call_s
        placement = Placement(endpoint, request.caller_id, ring_s, tap, keep_s, media, max_s)
        runner = CallRunner(call, placement, Switch(node), self.parts)
        self.registry.add(runner)
        runner.post(i.Unplaceable(unplaceable) if unplaceable else i.Begin())
        self.parts.supervisor.spawn("call", self._run, runner)
        return call

    def get(self, org_id: OrgId, session_id: SessionId) -> Call | None:
        """The call, live or ended, if it belongs to the organization."""
        runner = self.registry.find(session_id)
        if runner is not None:
            return runner.call if runner.call.org_id == org_id else None
        return self.store.get(org_id, session_id)

    def timeline(self, org_id: OrgId, session_id: SessionId) -> list[Json] | None:
        """What has happened in the call so far, if it belongs to the organization; empty where nothing was kept.

        Raises StoreError.
        """
        runner = self.registry.find(session_id)
        if runner is not None:
            return runner.timeline.events() if runner.call.org_id == org_id else None
        kept = self.store.timeline(org_id, session_id)
        if kept is None:
            return None if self.store.get(org_id, session_id) is None else []
        events: list[Json] = json.loads(kept)
        return events

    def audio(self, org_id: OrgId, session_id: SessionId) -> bytes | None:
        """The kept part of the call's answer as a WAV file, if the call belongs to the organization and there is one.

        Only what workers on this machine keep is found. Raises SoundError, StoreError.
        """
        folder = self.settings.amd.keep_audio_dir
        if folder is None or not is_uuid(session_id) or self.get(org_id, session_id) is None:
            return None
        return sound.read(folder / f"{session_id}.wav")

    def wait(self, session_id: SessionId, timeout_s: float) -> Call | None:
        """Hold the calling greenlet until the call is terminal and kept; None when that takes longer."""
        runner = self.registry.find(session_id)
        if runner is None:
            return None
        runner.done.wait(timeout_s)
        return runner.call if runner.call.ended else None

    def ready(self) -> list[str]:
        """Why the service cannot take calls now, in words; empty when it can."""
        reasons = ["shutting down"] if self.draining else []
        try:
            self.store.ping()
        except FsbridgeError as error:
            reasons.append(str(error))
        unready = self.pool.unready()
        if len(unready) == len(self.settings.nodes):
            reasons.append(f"no FreeSWITCH node is ready: {'; '.join(unready)}")
        if self.workers.starting:
            reasons.append("the AMD workers are starting")
        elif self.settings.amd.when_unavailable == "refuse" and self.workers.choose().url is None:
            reasons.append("no AMD worker is up")
        return reasons

    def metrics(self) -> bytes:
        """The service's metrics as Prometheus text."""
        return self.render_metrics()

    def settle(self) -> int:
        """End what an earlier run of the service left unfinished; returns how many calls there were.

        A flow's place in its document does not outlive the process, so such a call cannot be continued: its
        channel, if it still exists, is hung up, and the record gets the end that fits how far it had come. A channel
        that a flow had given away is the dialplan's: its call is only watched to its end, as it was before.
        """
        left = self.store.unfinished()
        for call in left:
            self.parts.began(call)
            node = self.pool.get(call.node)
            runner = CallRunner(call, Placement(None, None, 0, None), Switch(node), self.parts)
            self.registry.add(runner)
            if not call.handed_over:
                runner.post(i.StopAsked("the service was restarted during the call"))
            self.parts.supervisor.spawn("call", self._run, runner)
        if left:
            log.warning("unfinished_calls_settled", calls=len(left))
        return len(left)

    def drain(self, timeout_s: float) -> int:
        """Take no new calls, wait for the live ones, end those that outlast the wait; returns how many did.

        Those whose channels were given away are left alone, and taken up again by the next run.
        """
        self.draining = True
        until = self.clock.monotonic() + timeout_s
        for runner in self.registry.all():
            if not runner.call.handed_over:
                runner.done.wait(max(0.0, until - self.clock.monotonic()))
        late = [runner for runner in self.registry.all() if not runner.call.handed_over]
        for runner in late:
            runner.post(i.StopAsked("the service was stopped"))
        for runner in late:
            runner.done.wait(self.parts.limits.hangup_s)
        return len(late)

    def _run(self, runner: CallRunner) -> None:
        try:
            runner.run()
        finally:
            self.registry.remove(runner)
            self.let_go(runner.call)

    def let_go(self, call: Call) -> None:
        """A call has left the registry: its channel, and what its end says of its node, are looked into."""
        self.sweep.let_go(call)
        node = self.pool.get(call.node)
        if node is not None and call.hangup is not None:
            node.doubt(call.hangup.cause)

    def _tap(self, request: CallRequest, session_id: SessionId) -> tuple[Tap | None, str]:
        if request.call_analysis is None or request.amd is None:
            return None, ""
        choice, policy = self.workers.choose(), self.settings.amd.when_unavailable
        trouble = choice.trouble or ("the AMD workers may be full at the answer" if self._detectors_are_full() else "")
        if trouble:
            log.error("no_amd_worker", trouble=trouble, policy=policy)
            if policy == "refuse":
                return None, f"{trouble}, and amd.when_unavailable is refuse"
        if choice.url is None:
            return None, ""
        keep_ms = self.settings.amd.keep_ms
        options = replace(request.amd, keep_ms=keep_ms, call_id=session_id) if keep_ms else request.amd
        return fork.tap(choice.url, options), ""

    def _detectors_are_full(self) -> bool:
        """Whether a call may find no detector when it is answered, where that is a reason not to dial it.

        Each call that is being dialled counts as one that will be answered: that is what `refuse` asks for.
        """
        if self.settings.amd.when_unavailable != "refuse":
            return False
        waiting = [runner.call for runner in self.registry.all() if runner.wants_detector]
        listening = sum(call.tap_connected for call in waiting)
        return self.workers.room(listening) <= len(waiting) - listening

    def _endpoint(self, request: CallRequest, route: Route, node: Node | None) -> Endpoint | None:
        if node is None:
            return None
        if request.destination.kind is DestinationKind.SIP_URI:
            return SipUriEndpoint(profile=node.settings.sip_profile, uri=request.destination.value)
        return GatewayEndpoint(gateway=route.gateways[0], number=route.number)
