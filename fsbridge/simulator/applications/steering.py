"""Applications that steer a channel: answer it, park it, set its variables, end it, send it elsewhere, press digits."""

from __future__ import annotations

from collections.abc import Callable

from fsbridge.simulator.audio.lines import FRAME_SECONDS
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch import causes
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import BREAK, HANGUP, App

_PAUSES = {"w": 0.5, "W": 1.0}
_BETWEEN_DIGITS = 0.27


def park(channel: Channel, argument: str) -> App:
    channel.fire("CHANNEL_PARK")
    while (yield None) != HANGUP:
        channel.execution.digits.clear()
    channel.fire("CHANNEL_UNPARK")
    return ""


def send_digits(channel: Channel, argument: str) -> None:
    """Queue ``digits[@ms]``; the far end gets one after the other while the application is already over.

    Each is heard when it has been pressed; the next one begins a while after it, as measured on a real node.
    """
    digits, _, duration = argument.partition("@")
    pressed = (whole(duration) or 250) / 1000
    start = 0.0
    for digit in digits[:128]:
        if digit in _PAUSES:
            start += _PAUSES[digit]
        else:
            channel.node.scheduler.call_later(start + pressed + FRAME_SECONDS, _digit_sender(channel, digit))
            start += pressed + _BETWEEN_DIGITS


def _digit_sender(channel: Channel, digit: str) -> Callable[[], None]:
    return lambda: None if channel.hung_up else channel.on_digit_sent(digit)


def set_variable(channel: Channel, argument: str) -> None:
    name, _, value = argument.partition("=")
    channel.set_variable(name.strip(), channel.expand(value))


def multiset(channel: Channel, argument: str) -> None:
    """``<name>=<value> <name>=<value> …``, by spaces or behind ``^^`` by another character."""
    separator = " "
    if argument.startswith("^^") and len(argument) > 2:
        separator, argument = argument[2], argument[3:]
    for pair in argument.split(separator):
        if "=" in pair:
            set_variable(channel, pair)


def unset(channel: Channel, argument: str) -> None:
    channel.set_variable(argument.strip(), "")


def hangup(channel: Channel, argument: str) -> None:
    channel.hang_up(argument.strip() or "NORMAL_CLEARING", in_thread=True)


def sched_hangup(channel: Channel, argument: str) -> None:
    time, _, cause = argument.partition(" ")
    schedule_hangup(channel, time, cause.strip())


def schedule_hangup(channel: Channel, time: str, cause: str) -> bool:
    """Hang up at ``+seconds`` of the clock or at a Unix time; False when it is neither."""
    number = whole(time.removeprefix("+"))
    if number is None:
        return False
    now = int(channel.node.scheduler.wall())
    due = now + number if time.startswith("+") else number

    def hang_up() -> None:
        channel.hang_up(cause or "ALLOTTED_TIMEOUT", at_once=True)

    if due <= now:
        hang_up()
    else:
        channel.node.schedule_task("switch_ivr_schedule_hangup", channel.uuid, due, hang_up)
    return True


def answer(channel: Channel, argument: str) -> None:
    if channel.inbound and not channel.answered:
        channel.answer()


def pre_answer(channel: Channel, argument: str) -> None:
    if channel.inbound:
        channel.early_media()


def ring_ready(channel: Channel, argument: str) -> None:
    if channel.inbound:
        channel.ring()


def respond(channel: Channel, argument: str) -> None:
    """Refuse an inbound call with a SIP status."""
    status = whole(argument.partition(" ")[0]) or 0
    if channel.inbound and not channel.answered and 400 <= status <= 699:
        channel.hang_up(causes.of_status(status), in_thread=True)


def echo(channel: Channel, argument: str) -> App:
    """Hear oneself, until broken off."""
    channel.said.feed(channel.sample(), [(channel.heard, 0)])
    while (yield None) not in (HANGUP, BREAK):
        channel.execution.digits.clear()
    channel.said.unfeed(channel.sample())
    return ""


def transfer(channel: Channel, argument: str) -> None:
    """``<extension> [dialplan] [context]``"""
    words = argument.split()
    if words:
        channel.transfer(*words[:3], in_thread=True)
