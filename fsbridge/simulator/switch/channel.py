"""One channel of the simulated node: its life from CHANNEL_OUTGOING to CHANNEL_DESTROY, as FreeSWITCH tells it.

The order of events and the headers are those of the recorded conversations in tests/traces. The channel knows
states, variables and audio; what the called side does is `callee`, what we make it do is `execution`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import uuid4

from fsbridge.simulator.audio.lines import FRAME_SECONDS, RATE, Line
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch import causes
from fsbridge.simulator.switch import variables as channel_variables
from fsbridge.simulator.switch.execution import Execution, Message
from fsbridge.simulator.switch.ground import Ground
from fsbridge.simulator.switch.headers import CALLSTATE_NUMBERS, Header, basic_headers, variable_headers
from fsbridge.simulator.switch.parts import Hooks, Recording, Tap
from fsbridge.simulator.switch.state import ChannelState, Profile
from fsbridge.simulator.time.process import App


class Channel(ChannelState, Hooks):
    """One leg. Public state is read by the API commands; every change goes through a method.

    What the far side does is told by whoever plays it (`legs`, `inbound`); what it learns, it learns from the
    `on_…` hooks, which that one sets.
    """

    def __init__(
        self,
        node: Ground,
        applications: Callable[[Channel, str, str], App | None],
        uuid: str,
        name: str,
        number: str,
        caller: tuple[str, str],
        *,
        inbound: bool = False,
    ) -> None:
        """applications: the generator of an application with its argument. caller: the caller id, name and number."""
        self.node = node
        self._applications = applications
        session = node.limits.sessions_started
        ChannelState.__init__(
            self, uuid, name, number, caller, inbound=inbound, created=self._microseconds(), session=session
        )
        Hooks.__init__(self)
        self.other: tuple[Channel, str] | None = None
        """The leg this one was placed for or is bridged with, and what that is: originator or originatee."""
        self._disposition: str | None = None
        self.destroyed = False
        self.reports_after: float | None = 0.0
        """Seconds from its thread's end to its report; None: it never reports."""
        self.heard = Line()
        """What the far end plays: what taps and recordings hear."""
        self.said = Line(keep_seconds=70.0)
        """What we play to the far end."""
        self.taps: dict[str, Tap] = {}
        self.recorders: dict[str, Recording] = {}
        self.execution = Execution(self, node.scheduler)
        self._created = node.scheduler.now()

    # Time and audio

    def now(self) -> float:
        return self.node.scheduler.now()

    def sample(self) -> int:
        """The present as a position on the audio lines."""
        return round((self.now() - self._created) * RATE)

    def offset_of(self, other: Channel) -> int:
        """The position on `other`'s lines that is sample 0 of ours."""
        return round((self._created - other._created) * RATE)

    def _microseconds(self) -> int:
        return int(self.node.scheduler.wall() * 1e6)

    def application(self, name: str, argument: str) -> App | None:
        """The generator of an application on this channel; None when the node has none of this name."""
        return self._applications(self, name, argument)

    # Events

    def vanish(self) -> None:
        """End a channel that never came to be (an unknown gateway): no name, no caller, no variables yet."""
        self.variables.clear()
        self.name = "N/A"
        self.number = ""
        self.destroy()

    def fire(
        self,
        name: str,
        extra: Sequence[Header] = (),
        *,
        variables: bool = True,
        before: Sequence[Header] = (),
        subclass: str = "",
        body: str | None = None,
        first: Sequence[Header] = (),
    ) -> None:
        """Send an event of this channel: `before` its headers, `extra` after them."""

        def headers() -> list[Header]:
            return [*before, *self.headers(variables=variables), *extra]

        self.node.fire(name, headers, subclass=subclass, body=body, first=first)

    def headers(self, *, variables: bool = True) -> list[Header]:
        """Its own headers as they are now, and its variables."""
        return basic_headers(self, self.other) + (variable_headers(self) if variables else [])

    def set_state(self, state: str) -> None:
        self.state = state
        self.fire("CHANNEL_STATE", variables=False)

    def set_callstate(self, callstate: str) -> None:
        before = [
            ("Original-Channel-Call-State", self.callstate),
            ("Channel-Call-State-Number", str(CALLSTATE_NUMBERS[callstate])),
        ]
        self.callstate = callstate
        self.fire("CHANNEL_CALLSTATE", variables=False, before=before)

    # Life

    def ring(self) -> None:
        """180 Ringing: told once, and not after early media."""
        if self.times["progress"] or self.times["early"] or self.answered:
            return
        self.times["progress"] = self._microseconds()
        self._sip_answered()
        self.fire("CHANNEL_PROGRESS")
        if self.callstate != "RINGING":
            self.set_callstate("RINGING")
        self.on_ring()

    def early_media(self) -> None:
        """183 Session Progress."""
        if self.times["early"] or self.answered:
            return
        self.times["early"] = self._microseconds()
        self._sip_answered()
        self.answer_state = "early"
        self.variables["endpoint_disposition"] = "EARLY MEDIA"
        self.fire("CHANNEL_PROGRESS_MEDIA")
        self.set_callstate("EARLY")
        self.start_media()
        self.on_early_media()

    def answer(self) -> None:
        """200 OK; what `execute_on_answer…` and `api_on_answer…` ask for runs before the call state changes."""
        self._sip_answered()
        self.start_media()
        self.times["answered"] = self._microseconds()
        self.answer_state = "answered"
        self.fire("CHANNEL_ANSWER")
        self.variables["endpoint_disposition"] = "ANSWER"
        # All that begin so, in the order in which they were set (switch_channel_execute_on, switch_channel_api_on).
        asked = [(name, self.expand(value)) for name, value in self.variables.items() if value]
        for name, command in asked:
            if name.startswith("execute_on_answer"):
                self._execute(command)
        for name, command in asked:
            if name.startswith("api_on_answer"):
                self.node.run_api(command)
        self.set_callstate("ACTIVE")
        self.on_answer()

    def _execute(self, command: str) -> None:
        """``<application>[ <argument>]``, run at once; with ``::`` between the two as if it were sent."""
        application, sent, argument = command.partition("::")
        if sent:
            self.execution.send(Message(application, argument, str(uuid4())))
        else:
            application, _, argument = command.partition(" ")
            self.execution.run_inside(application, argument)

    def transfer(self, extension: str, dialplan: str = "XML", context: str = "", *, in_thread: bool = False) -> None:
        """Leave whatever runs and go to an extension of the dialplan; "" is the context where the call is.

        With the dialplan `inline` the extension is itself what to run: ``application:argument,application…``.
        """
        context = context or self.profile.context
        before = self.profile.number
        self.profile = Profile(extension, context, dialplan, self.profile.index + 1, self._microseconds())
        self.on_transfer()
        self.execution.leave(lambda: self._route(before), in_thread=in_thread)

    def _route(self, before: str) -> None:
        self.set_state("CS_ROUTING")
        actions = self.node.dialplan.actions(self.profile.number, self.profile.dialplan, self.profile.context)
        if self.profile.dialplan == "inline":
            # What is spelled out is no number: that of before comes back (tests/traces bridge_max_reached).
            self.profile.number = before
        if not actions:
            self.hang_up("NO_ROUTE_DESTINATION", at_once=True)
            return
        self.hit_dialplan = True
        self.set_state("CS_EXECUTE")
        self.execution.begin(actions)

    def flip_caller_id(self) -> None:
        """Done by originate once the leg is up: caller and callee change places."""
        self.variables["pre_transfer_caller_id_number"] = self.caller_number
        self.variables["channel_cid_flipped"] = "yes"
        self.flipped = True
        self.fire("CALL_UPDATE")

    def start_media(self) -> None:
        if self.media:
            return
        self.media = True
        self.variables.update(channel_variables.MEDIA)
        self.fire_codec()
        self.fire_codec()

    def fire_codec(self) -> None:
        self.fire("CODEC", variables=False)

    def _sip_answered(self) -> None:
        if not self.inbound:
            channel_variables.called(self)

    def hang_up(
        self, cause: str, *, status: int = 0, by_far_end: bool = False, in_thread: bool = False, at_once: bool = False
    ) -> None:
        """End the channel; the first cause stands.

        by_far_end: a BYE, or a refusal with SIP `status`. in_thread: called by an application of the channel's own
        thread, which unwinds when that application returns. A command from outside is noticed by the thread at its
        next frame, unless `at_once`.
        """
        if self.hung_up:
            return
        self.cause = cause
        self.times["hangup"] = self._microseconds()
        self.answer_state = "hangup"
        if by_far_end:
            self._disposition = channel_variables.ended_by_far_end(self, status)
        self.said.cut(self.sample())
        self.fire("CHANNEL_HANGUP")
        if self._disposition:
            self.variables["sip_hangup_disposition"] = self._disposition
        self.on_hangup()
        if not in_thread:
            self.node.scheduler.call_later(0.0 if by_far_end or at_once else FRAME_SECONDS, self.execution.unwind)

    def refer(self, extension: str) -> None:
        """REFER from the far side: whom this leg is bridged with goes to the extension, where the profile lets it.

        On a leg that is not bridged it is an error that the call survives.
        """
        if not self.node.settings.transferable:
            return
        if self.other is None or not self.times["bridged"]:
            self.fire("CUSTOM", subclass="sofia::error")
            return
        partner = self.other[0]
        partner.variables["sip_refer_to"] = f"<sip:{extension}@127.0.0.1>"
        partner.variables["hangup_after_bridge"] = "false"
        partner.transfer(extension)

    def lose_media(self) -> None:
        """No packet comes any more: noticed only by a channel that was given a limit (tests/traces media_timeout)."""
        seconds = whole(self.variables.get("rtp_timeout_sec", ""))
        if seconds and self.answered:
            self.node.scheduler.call_later(seconds, lambda: self.hang_up("MEDIA_TIMEOUT", at_once=True))

    def finish(self) -> None:
        """The way from CS_HANGUP to CS_DESTROY; called when the channel's thread has unwound."""
        if self.reports_after:
            self.node.scheduler.call_later(self.reports_after, self._finish)
        elif self.reports_after is not None:
            self._finish()

    def _finish(self) -> None:
        if self.times["bridged"]:
            self.belong_to(self)
        self.set_state("CS_HANGUP")
        for name in list(self.taps):
            self.taps.pop(name).stop("")
        for recorder in list(self.recorders.values()):
            recorder.stop(hung_up=True)
        for bug in reversed(self.bugs.copy()):
            self.remove_bug(bug)
        if self._disposition is None:
            self._disposition = channel_variables.ended_by_us(self)
        if self._disposition:
            self.variables["sip_hangup_disposition"] = self._disposition
        self.variables["hangup_cause"] = self.cause
        self.variables["hangup_cause_q850"] = str(causes.q850(self.cause))
        channel_variables.billing(self)
        self.set_callstate("HANGUP")
        hook = self.variables.get("api_hangup_hook")
        if hook:
            self.node.run_api(self.expand(hook))
        self.set_state("CS_REPORTING")
        self.fire("CHANNEL_HANGUP_COMPLETE", before=[("Hangup-Cause", self.cause)])
        self.on_hangup_complete()
        self.destroy()

    def destroy(self) -> None:
        self.destroyed = True
        self.on_destroy()
        self.node.forget_tasks(self.uuid)
        self.fire("CHANNEL_DESTROY")
        self.set_state("CS_DESTROY")

    # Media bugs

    def add_bug(self, name: str) -> None:
        self.bugs.append(name)
        self.fire("MEDIA_BUG_START", before=[("Media-Bug-Function", name), ("Media-Bug-Target", "N/A")])

    def remove_bug(self, name: str) -> None:
        if name in self.bugs:
            self.bugs.remove(name)
            self.fire("MEDIA_BUG_STOP", before=[("Media-Bug-Function", name), ("Media-Bug-Target", "N/A")])

    def dtmf(self, digit: str, duration: int = 2000) -> None:
        """A digit from the far end."""
        if self.hung_up:
            return
        extra = [("DTMF-Digit", digit), ("DTMF-Duration", str(duration)), ("DTMF-Source", "RTP")]
        self.fire("DTMF", extra, variables=False)
        self.execution.digit(digit)
        self.on_digit(digit)
