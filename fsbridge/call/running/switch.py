"""What a call wants of its node, in the call's own words: commands out, inputs of the lifecycle back.

A thin layer over `fsbridge.nodes.node.Node`: it knows which command serves which purpose and what each reply means
for the call. Methods block their caller up to the node's command timeout and raise EslError where the
lifecycle has nothing to learn from the failure.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from fsbridge.amd import fork
from fsbridge.call.lifecycle import inputs as i
from fsbridge.call.lifecycle.belonging import LEFT
from fsbridge.call.lifecycle.translate import KEPT, alive, read_kept
from fsbridge.esl.commands import kill
from fsbridge.esl.dialstring import (
    LIMIT_GRACE_S,
    PATIENCE,
    DialStringError,
    Endpoint,
    MediaPatience,
    OriginatePlan,
    Tap,
    originate,
)
from fsbridge.esl.errors import (
    CommandError,
    CommandFailed,
    CommandTimeout,
    EslConnectionLost,
    EslError,
    EslNotSent,
    ModuleMissing,
)
from fsbridge.flow.interpreter.actions import OpenStream
from fsbridge.model.call import Call
from fsbridge.model.ids import ActionId, ChannelUuid, new_uuid
from fsbridge.nodes.node import Node

CAUSE_REALM = "fsbridge"
"""Realm in mod_hash under which a node keeps how calls ended while nobody was connected."""

JOB_GRACE_S = 15.0
"""How much longer than the phone may ring its job is waited for; the call's own deadline comes first."""

RETURN_S = 5.0
"""How long a step of a flow waits for a node whose connection was lost, before it is told that it cannot be done."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How a call is dialled: the endpoint, who it seems to come from, how long it rings, what listens.

    The tap is left on for `keep_s` seconds of the answer when these are to be kept, judged or not. `max_s` is how long
    the call may last; the switch itself ends it a little later, should we be gone.
    """

    endpoint: Endpoint | None
    caller_id: str | None
    ring_timeout_s: int
    tap: Tap | None
    keep_s: float = 0.0
    media: MediaPatience = PATIENCE
    max_s: int | None = None


class Switch:
    """One node, as one call sees it; `node` None is the node of a call that found none."""

    def __init__(self, node: Node | None) -> None:
        self._node = node
        self._given_away = False

    @property
    def epoch(self) -> int:
        """Number of the node's present connection."""
        return self._node.epoch if self._node is not None else 0

    def originate(self, call: Call, placement: Placement) -> i.Input:
        """Place the call and wait for its job: JobDone (its text as it came), or why there is none."""
        if self._node is None or placement.endpoint is None:
            return i.OriginateFailed("no node")
        if placement.caller_id is None:
            return i.OriginateFailed("no caller id: FreeSWITCH would say 0000000000")
        plan = OriginatePlan(
            channel=call.channel,
            endpoint=placement.endpoint,
            session=call.session_id,
            org=call.org_id,
            flow=call.flow_id,
            node=self._node.name,
            ring_timeout_s=placement.ring_timeout_s,
            caller_id=placement.caller_id,
            media=placement.media,
            tap=placement.tap,
            max_s=placement.max_s + LIMIT_GRACE_S if placement.max_s is not None else None,
        )
        patience = placement.ring_timeout_s + JOB_GRACE_S
        try:
            result = self._node.bgapi(originate(plan), call.job, patience)
        except (DialStringError, CommandError, CommandFailed) as error:
            return i.OriginateFailed(str(error))
        except EslError:
            return i.OriginateUnsure()
        return i.JobDone(result.ok, result.text)

    def kill(self, channel: str, cause: str) -> i.Input | None:
        """Hang a channel up; an answer only if the node does not know it (any more)."""
        self._take_back(channel)
        reply = self._reach().command(kill(channel, cause))
        return self.look(ChannelUuid(channel)) if reply.startswith("-ERR No such channel") else None

    def look(self, channel: ChannelUuid) -> i.Input:
        """Whether the channel exists, is answered and parked; if it is gone, what the node kept of its end."""
        node = self._reach()
        dump = node.channel_dump(channel)
        if dump is not None:
            return alive(dump)
        return i.ChannelGone(read_kept(node.api(f"hash select/{CAUSE_REALM}/{channel}")))

    def keep_end(self, channel: ChannelUuid) -> None:
        """Have the node keep how the channel ends, should we be away then (fs-traces/cause_kept_by_hangup_hook)."""
        kept = ",".join(f"${{{name}}}" for name in KEPT)
        hook = f"hash insert/{CAUSE_REALM}/{channel}/{kept}"
        self._reach().api(f"uuid_setvar {channel} api_hangup_hook {hook}")

    def forget_end(self, channel: ChannelUuid) -> None:
        """The end is known: the node need keep nothing."""
        self._reach().api(f"hash delete/{CAUSE_REALM}/{channel}")

    def start_tap(self, channel: ChannelUuid, tap: Tap) -> None:
        """Start the audio tap anew. After a failed one mod_audio_fork wants to be told to stop first.

        Raises CommandFailed.
        """
        node = self._reach()
        node.api(fork.stop_command(channel, tap.bugname))
        reply = node.api(tap.command(channel))
        if not reply.startswith("+OK"):
            raise CommandFailed("uuid_audio_fork start", reply.strip())

    def stop_tap(self, channel: ChannelUuid, name: str = fork.BUG_NAME) -> None:
        """End an audio tap."""
        self._reach().api(fork.stop_command(channel, name))

    def exists(self, channel: ChannelUuid) -> bool:
        """Whether the node has such a channel."""
        return self._reach().api(f"uuid_exists {channel}").strip() != "false"

    @property
    def away(self) -> bool:
        """Whether nothing can be told to the node now, or heard from it."""
        return self._node is None or not self._node.connected

    def execute(self, channel: ChannelUuid, action_id: ActionId, app: str, arg: str) -> None:
        """Start an application for a flow. Raises ModuleMissing where the node has not what it needs.

        A node that is away for a moment is waited for. FreeSWITCH completes a `speak` or `say` whose module is not
        loaded like any other, at once and in silence.
        """
        node = self._reach()
        node.wait_connected(RETURN_S)
        needed = _module(app, arg)
        if needed is not None and not node.has_module(needed):
            raise ModuleMissing(app, f"the node cannot speak so: {needed} is not loaded")
        if app == "transfer":
            self._give_away(channel)
        else:
            self._take_back(channel)
        try:
            node.execute(channel, action_id, app, arg)
        except EslNotSent:
            # Lost between the look and the command, which had no effect.
            if not node.wait_connected(RETURN_S):
                raise
            node.execute(channel, action_id, app, arg)

    def answer(self, channel: ChannelUuid) -> None:
        """Answer a call that came in (tests/traces inbound_call_parked)."""
        self._reach().execute(channel, ActionId(new_uuid()), "answer", "")

    def break_off(self, channel: ChannelUuid) -> None:
        """End what a flow plays or records."""
        self._reach().api(f"uuid_break {channel} all")

    def call_back(self, channel: ChannelUuid) -> None:
        """Out of a bridge or a conference, back into park; `inline` needs no extension in the node's dialplan."""
        self._reach().api(f"uuid_transfer {channel} park inline")

    def start_bot(self, channel: ChannelUuid, stream: OpenStream) -> None:
        """Fork the channel's audio to a voice bot. Raises CommandFailed; ValueError for a URL that is not allowed."""
        node = self._reach()
        node.api(fork.stop_command(channel, fork.BOT_NAME))
        reply = node.api(fork.bot_command(channel, stream.url, stream.rate, dict(stream.metadata)))
        if not reply.startswith("+OK"):
            raise CommandFailed("uuid_audio_fork start", reply.strip())

    def tell_bot(self, channel: ChannelUuid, message: object) -> None:
        """A message to the bot; nobody learns whether it arrived."""
        self._reach().api(fork.text_command(channel, message))

    def stop_bot(self, channel: ChannelUuid) -> None:
        """End the bot's fork."""
        self._reach().api(fork.stop_command(channel, fork.BOT_NAME))

    def _give_away(self, channel: ChannelUuid) -> None:
        """The node's dialplan has the channel from now on: whoever comes after us does not hang it up, nor does the
        switch itself when a call of ours would be over. Before the transfer: afterwards it may be too late."""
        self._given_away = True
        for command in (f"uuid_setvar {channel} {LEFT} true", f"sched_del {channel}"):
            with contextlib.suppress(CommandTimeout):
                self._reach().api(command)

    def _take_back(self, channel: str) -> None:
        """A transfer came to nothing, and the channel is ours after all."""
        if self._given_away:
            self._given_away = False
            with contextlib.suppress(CommandTimeout):
                self._reach().api(f"uuid_setvar {channel} {LEFT}")

    def _reach(self) -> Node:
        if self._node is None:
            raise EslConnectionLost("the call has no node")
        return self._node


def _module(app: str, arg: str) -> str | None:
    """The module that an application will speak with; ``unimrcp:server`` is an engine of the module unimrcp."""
    if app == "say":
        return f"mod_say_{arg.partition(' ')[0]}"
    if app == "speak":
        return f"mod_{arg.partition('|')[0].partition(':')[0]}"
    if app == "multiset" and arg.startswith("tts_engine="):
        return f"mod_{arg.removeprefix('tts_engine=').partition(' ')[0].partition(':')[0]}"
    return None
