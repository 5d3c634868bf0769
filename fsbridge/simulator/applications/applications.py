"""The applications that a channel can execute: each a generator over simulated time, each with FreeSWITCH's events.

Here: those that steer the channel, and the table of all. An application that is not in it is refused as FreeSWITCH
refuses an unknown one: its execution completes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fsbridge.simulator.applications import bridge as apps_bridge
from fsbridge.simulator.applications import conference as apps_conference
from fsbridge.simulator.applications import listen as apps_listen
from fsbridge.simulator.applications import play as apps_play
from fsbridge.simulator.applications import record as apps_record
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch import causes
from fsbridge.simulator.time.process import BREAK, HANGUP, App

if TYPE_CHECKING:
    from fsbridge.simulator.switch.channel import Channel


def run(channel: Channel, application: str, argument: str) -> App:
    """The application's generator."""
    return _APPLICATIONS.get(application.lower(), _unknown)(channel, argument)


def _instant(action: Callable[[Channel, str], None]) -> Callable[[Channel, str], App]:
    """An application that takes no time."""

    def app(channel: Channel, argument: str) -> App:
        action(channel, argument)
        return ""
        yield

    return app


def _park(channel: Channel, argument: str) -> App:
    channel.fire("CHANNEL_PARK")
    while (yield None) != HANGUP:
        channel.execution.digits.clear()
    channel.fire("CHANNEL_UNPARK")
    return ""


def send_digits(channel: Channel, argument: str) -> None:
    """Queue ``digits[@ms]``; the far end gets one after the other while the application is already over."""
    digits, _, duration = argument.partition("@")
    each = (whole(duration) or 250) / 1000 + 0.05
    delay = 0.0
    for digit in digits[:128]:
        delay += 0.5 if digit == "w" else 1.0 if digit == "W" else each
        if digit not in "wW":
            channel.node.scheduler.call_later(delay, _digit_sender(channel, digit))


def _digit_sender(channel: Channel, digit: str) -> Callable[[], None]:
    return lambda: None if channel.hung_up else channel.on_digit_sent(digit)


def _set(channel: Channel, argument: str) -> None:
    name, _, value = argument.partition("=")
    channel.set_variable(name.strip(), channel.expand(value))


def _multiset(channel: Channel, argument: str) -> None:
    """``<name>=<value> <name>=<value> …``, by spaces or behind ``^^`` by another character."""
    separator = " "
    if argument.startswith("^^") and len(argument) > 2:
        separator, argument = argument[2], argument[3:]
    for pair in argument.split(separator):
        if "=" in pair:
            _set(channel, pair)


def _unset(channel: Channel, argument: str) -> None:
    channel.set_variable(argument.strip(), "")


def _hangup(channel: Channel, argument: str) -> None:
    channel.hang_up(argument.strip() or "NORMAL_CLEARING", in_thread=True)


def _sched_hangup(channel: Channel, argument: str) -> None:
    time, _, cause = argument.partition(" ")
    schedule_hangup(channel, time, cause.strip())


def schedule_hangup(channel: Channel, time: str, cause: str) -> bool:
    """Hang up at ``+seconds`` or at a Unix time; False when it is neither."""
    number = whole(time.removeprefix("+"))
    if number is None:
        return False
    seconds = float(number) if time.startswith("+") else max(number - channel.node.scheduler.wall(), 0.0)
    wanted = cause or "ALLOTTED_TIMEOUT"
    channel.node.schedule_task(
        "switch_ivr_schedule_hangup", channel.uuid, seconds, lambda: channel.hang_up(wanted, at_once=True)
    )
    return True


def _answer(channel: Channel, argument: str) -> None:
    if channel.inbound and not channel.answered:
        channel.answer()


def _pre_answer(channel: Channel, argument: str) -> None:
    if channel.inbound:
        channel.early_media()


def _ring_ready(channel: Channel, argument: str) -> None:
    if channel.inbound:
        channel.ring()


def _respond(channel: Channel, argument: str) -> None:
    """Refuse an inbound call with a SIP status."""
    status = whole(argument.partition(" ")[0]) or 0
    if channel.inbound and not channel.answered and 400 <= status <= 699:
        channel.hang_up(causes.of_status(status), in_thread=True)


def _echo(channel: Channel, argument: str) -> App:
    """Hear oneself, until broken off."""
    channel.said.feed(channel.sample(), [(channel.heard, 0)])
    while (yield None) not in (HANGUP, BREAK):
        channel.execution.digits.clear()
    channel.said.unfeed(channel.sample())
    return ""


def _transfer(channel: Channel, argument: str) -> None:
    """``<extension> [dialplan] [context]``"""
    words = argument.split()
    if words:
        channel.transfer(*words[:3], in_thread=True)


def _nothing(channel: Channel, argument: str) -> None:
    """Applications whose effect a caller cannot see here: the leg is up already, there is nothing to log."""


def _unknown(channel: Channel, argument: str) -> App:
    return ""
    yield


_APPLICATIONS: dict[str, Callable[[Channel, str], App]] = {
    "answer": _instant(_answer),
    "bridge": apps_bridge.bridge,
    "conference": apps_conference.conference,
    "echo": _echo,
    "export": _instant(_set),
    "hangup": _instant(_hangup),
    "log": _instant(_nothing),
    "multiset": _instant(_multiset),
    "park": _park,
    "play_and_detect_speech": apps_listen.play_and_detect_speech,
    "play_and_get_digits": apps_listen.play_and_get_digits,
    "playback": apps_play.playback,
    "pre_answer": _instant(_pre_answer),
    "record": apps_record.record,
    "record_session": _instant(apps_record.record_session),
    "respond": _instant(_respond),
    "ring_ready": _instant(_ring_ready),
    "say": apps_play.say,
    "sched_hangup": _instant(_sched_hangup),
    "send_dtmf": _instant(send_digits),
    "set": _instant(_set),
    "sleep": apps_play.sleep,
    "spandsp_start_tone_detect": apps_listen.detect_tone,
    "speak": apps_play.speak,
    "start_dtmf": _instant(_nothing),
    "stop_dtmf": _instant(_nothing),
    "stop_record_session": _instant(apps_record.stop_record_session),
    "transfer": _instant(_transfer),
    "unset": _instant(_unset),
}
