"""The applications that a channel can execute: each a generator over simulated time, each with FreeSWITCH's events."""

from __future__ import annotations

from collections.abc import Callable

from fsbridge.simulator.applications import listen, play, record, speak, steering
from fsbridge.simulator.applications.bridge import bridge
from fsbridge.simulator.applications.conference import Conferences
from fsbridge.simulator.applications.gather import play_and_get_digits
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.node import Node
from fsbridge.simulator.time.process import App


class Applications:
    """The applications of one node."""

    def __init__(self, conferences: Conferences) -> None:
        self._conferences = conferences

    def run(self, node: Node, channel: Channel, application: str, argument: str) -> App | None:
        """The application's generator; None when there is none of this name."""
        match application.lower():
            case "bridge":
                return bridge(node, channel, argument)
            case "conference":
                return self._conferences.enter(node, channel, argument)
            case name:
                known = _ON_ONE_CHANNEL.get(name)
                return None if known is None else known(channel, argument)


def _instant(action: Callable[[Channel, str], None]) -> Callable[[Channel, str], App]:
    """An application that takes no time."""

    def app(channel: Channel, argument: str) -> App:
        action(channel, argument)
        return ""
        yield

    return app


def _nothing(channel: Channel, argument: str) -> None:
    """Applications whose effect a caller cannot see here: the leg is up already, there is nothing to log."""


_ON_ONE_CHANNEL: dict[str, Callable[[Channel, str], App]] = {
    "answer": _instant(steering.answer),
    "echo": steering.echo,
    "export": _instant(steering.set_variable),
    "hangup": _instant(steering.hangup),
    "log": _instant(_nothing),
    "multiset": _instant(steering.multiset),
    "park": steering.park,
    "play_and_detect_speech": listen.play_and_detect_speech,
    "play_and_get_digits": play_and_get_digits,
    "playback": play.playback,
    "pre_answer": _instant(steering.pre_answer),
    "record": record.record,
    "record_session": _instant(record.record_session),
    "respond": _instant(steering.respond),
    "ring_ready": _instant(steering.ring_ready),
    "say": speak.say,
    "sched_hangup": _instant(steering.sched_hangup),
    "send_dtmf": _instant(steering.send_digits),
    "set": _instant(steering.set_variable),
    "sleep": play.sleep,
    "spandsp_start_tone_detect": listen.detect_tone,
    "speak": speak.speak,
    "start_dtmf": _instant(_nothing),
    "stop_dtmf": _instant(_nothing),
    "stop_record_session": _instant(record.stop_record_session),
    "transfer": _instant(steering.transfer),
    "unset": _instant(steering.unset),
}
"""Those that need nothing beyond their channel."""
