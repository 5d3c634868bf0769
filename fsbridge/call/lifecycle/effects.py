"""What the lifecycle wants done, as values. `call.running.runner` does it; nothing here decides. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fsbridge.model.notice import Notice


@dataclass(frozen=True, slots=True)
class Originate:
    """Place the call."""


@dataclass(frozen=True, slots=True)
class AnswerChannel:
    """Answer a call that came in."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Hang the channel up with a cause; `channel` None means the call's own."""

    cause: str
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class CheckChannel:
    """Ask the node whether the channel exists; the answer comes as ChannelAlive or ChannelGone."""


@dataclass(frozen=True, slots=True)
class RetryTap:
    """Start the tap again, with another worker; TapFailed(final) if there is none.

    A tap that said nothing at all (`silent`) is FreeSWITCH's fault: for want of another its own worker will do.
    """

    silent: bool = False


@dataclass(frozen=True, slots=True)
class StopTap:
    """The detector has heard enough."""


@dataclass(frozen=True, slots=True)
class StartFlow:
    """Run the flow; it ends with FlowEnded."""


@dataclass(frozen=True, slots=True)
class StopFlow:
    """The channel is going or gone: the flow must not act any more."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the caller; kept in the store in the same transaction as the change that caused it."""

    notice: Notice


Effect = Originate | AnswerChannel | Kill | CheckChannel | RetryTap | StopTap | StartFlow | StopFlow | Tell
