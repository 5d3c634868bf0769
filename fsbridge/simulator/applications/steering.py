"""Applications that steer a channel: answer it, park it, set its variables, end it, send it elsewhere, press digits."""

from __future__ import annotations

from collections.abc import Callable

from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch import causes
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.time.process import BREAK, HANGUP, App


def park(channel: Channel, argument: str) -> App:
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
