"""A call's flow among the house's services: what it needs is put together here, and what it does goes on the timeline.

Shell; owned by the call's runner and called from its greenlet only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fsbridge.amd import fork
from fsbridge.call.conversation.ears import Ears, Fingerprint, Tapping
from fsbridge.call.conversation.executor import FlowSwitch
from fsbridge.call.conversation.flowrun import FlowNews, FlowRun, Outside
from fsbridge.call.lifecycle.inputs import FlowEnded, FlowResult
from fsbridge.call.lifecycle.timeline import Timeline
from fsbridge.clock import Clock
from fsbridge.esl.dialstring import Tap
from fsbridge.esl.errors import CommandFailed
from fsbridge.esl.events import Event
from fsbridge.flow.document.model import FAILED, FlowDocument, Step
from fsbridge.flow.interpreter.actions import Dial, Fetch, Heard, Result
from fsbridge.flow.interpreter.interpreter import Facts, Left
from fsbridge.model.call import Call

CANNOT_RECORD = "DESTINATION_OUT_OF_ORDER"


@dataclass(frozen=True, slots=True)
class FlowServices:
    """What the house does for any call's flow; the composition root makes one.

    `fetch` blocks. `dial` gives the `bridge` application's argument or raises ValueError. `bot_refusal` says why a
    URL may not be a bot's, as the end of a sentence about it. `tell` keeps a
    `call.event` and says whether the caller gave an address for it. `ears` is a tap to a worker that listens, or None
    when no worker is up. `reference` is a recording's fingerprint; it raises OSError or ValueError.
    """

    fetch: Callable[[Call, Fetch], Result]
    dial: Callable[[Call, Dial], str]
    bot_refusal: Callable[[Call, str], str | None]
    tell: Callable[[Call, str, object], bool]
    ears: Callable[[Call, FlowDocument], Tap | None]
    reference: Callable[[Call, str], Fingerprint]


class FlowHost:
    """One call's flow, from its start to its end; `current` is the call as it stands."""

    def __init__(
        self,
        current: Callable[[], Call],
        document: FlowDocument,
        switch: FlowSwitch,
        services: FlowServices,
        timeline: Timeline,
        clock: Clock,
        beside: Callable[[str, Callable[[], None]], None],
        post: Callable[[FlowNews], None],
        called_back: Callable[[], None],
    ) -> None:
        call = current()
        self._call = call
        self._document = document
        self._switch = switch
        self._services = services
        self._timeline = timeline
        self._clock = clock
        self._step_began = clock.monotonic()
        self._running: Step | None = None
        tapping = Tapping(
            start=self._open_ears,
            stop=self._close_ears,
            beside=beside,
            reference=lambda file: services.reference(call, file),
        )
        outside = Outside(
            fetch=lambda fetch: services.fetch(call, fetch),
            dial=lambda dial: services.dial(call, dial),
            bot_refusal=lambda url: services.bot_refusal(call, url),
            tell=lambda name, data: services.tell(current(), name, data),
            beside=beside,
            post=post,
            began=self._began,
            left=self._left,
            heard=self._heard,
            called_back=called_back,
        )
        self._run = FlowRun(switch, call.channel, outside, Ears(tapping), call.drivable)

    @property
    def deadline(self) -> float | None:
        """When `on_time` has to be called next."""
        return self._run.deadline

    def start(self) -> None:
        """Run the flow up to its first wait."""
        call, request, found = self._call, self._call.request, self._call.analysis
        facts = Facts(
            session_id=call.session_id,
            destination=request.destination.value,
            caller_id=request.caller_id or "",
            verdict="" if found is None else str(found.result),
            org_id=call.org_id,
            answerer="" if found is None or found.answerer is None else str(found.answerer),
            answer_language="" if found is None or found.language is None else found.language,
        )
        self._run.start(self._document, dict(request.variables), facts, self._clock.monotonic())

    def on_event(self, event: Event) -> None:
        """An event of the channel, while it is not going down."""
        if event.name == "DTMF" and not self._run.stopped:
            digit = "*" if self._secret else event.headers.get("DTMF-Digit", "")[:1]
            self._timeline.add("digits", self._clock.wall(), digits=digit)
        self._run.on_event(event, self._clock.monotonic())

    def on_news(self, news: FlowNews) -> None:
        """The end of something that was done beside."""
        self._run.on_news(news, self._clock.monotonic())

    def drive(self, drivable: bool) -> None:
        """Whether the channel takes applications has changed."""
        self._run.drive(drivable, self._clock.monotonic())

    def on_time(self) -> None:
        """The deadline has passed."""
        self._run.on_time(self._clock.monotonic())

    def take_end(self) -> FlowEnded | None:
        """The flow's end, once."""
        if self._run.ended is None or self._run.stopped:
            return None
        self._run.stop()
        return self._run.ended

    def broken_by(self, cause: str) -> FlowEnded | None:
        """The end of a flow whose step FreeSWITCH itself has given the channel up for; None where somebody hung up.

        `record` hangs up with this cause when its file cannot be opened (mod_dptools).
        """
        step = self._running
        if self._run.stopped or step is None or step.record is None or cause != CANNOT_RECORD:
            return None
        reason = "FreeSWITCH could not open the recording: flows.recordings_dir must be there and writable on the node"
        self._end_step(step, FAILED, reason)
        return FlowEnded(FlowResult.BROKE, f"step {step.id}: record failed: {reason}")

    def stop(self) -> None:
        """The channel is going: act no more."""
        self._run.stop()
        if self._running is not None:
            self._end_step(self._running, "hung_up", None)

    # --- the timeline ------------------------------------------------------------------------------------

    def _began(self, step: str, kind: str) -> None:
        self._step_began = self._clock.monotonic()
        self._running = self._document.body.steps[self._document.places[step]]
        self._timeline.add("stepStarted", self._clock.wall(), step=step, kind=kind)

    def _left(self, left: Left) -> None:
        self._end_step(left.step, left.outcome, left.detail or None)

    def _end_step(self, step: Step, outcome: str, detail: str | None) -> None:
        began = self._step_began if step is self._running else self._clock.monotonic()
        took = round((self._clock.monotonic() - began) * 1000)
        self._running = None
        self._timeline.add(
            "stepEnded",
            self._clock.wall(),
            step=step.id,
            kind=step.kind,
            outcome=outcome,
            duration_ms=took,
            detail=detail,
        )

    def _heard(self, heard: Heard) -> None:
        """The evidence; `atMs` is on the ears' clock, which began with the flow."""
        evidence = dict(heard.detail)
        self._timeline.add("heard", self._clock.wall(), what=heard.what, at_ms=heard.at_ms, evidence=evidence or None)

    @property
    def _secret(self) -> bool:
        """Whether what is pressed now must stand nowhere."""
        gather = self._running.gather if self._running is not None else None
        return gather is not None and gather.secret

    # --- ears --------------------------------------------------------------------------------------------

    def _open_ears(self) -> None:
        tap = self._services.ears(self._call, self._document)
        if tap is None:
            raise CommandFailed("uuid_audio_fork start", "no AMD worker is up to listen")
        self._switch.start_tap(self._call.channel, tap)

    def _close_ears(self) -> None:
        self._switch.stop_tap(self._call.channel, fork.EARS_NAME)
