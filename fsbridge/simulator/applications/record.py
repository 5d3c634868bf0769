"""Applications that record: `record` waits for its end, `record_session` goes on beside the others."""

from __future__ import annotations

from fsbridge.simulator.applications.sounding import terminators
from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.recording import FULL_DISK_SECONDS, MAX_SECONDS, Recorder
from fsbridge.simulator.time.process import BREAK, DIGIT, HANGUP, App

_POLL = 0.1


def record(channel: Channel, argument: str) -> App:
    """``<path> [<limit> [<threshold> [<quiet seconds>]]]``

    The limit counts whole seconds of the clock and is passed, not reached: a limit of 2 ends after 2 to 3 seconds.
    """
    words = argument.split()
    if not words:
        return ""
    limit, threshold, quiet_seconds = ((whole(word.lstrip("+")) or 0) for word in [*words[1:4], "", "", ""][:3])
    recorder = Recorder(channel, words[0], session=False)
    channel.fire_codec()
    if not recorder.start():
        channel.hang_up("DESTINATION_OUT_OF_ORDER", in_thread=True)
        return ""
    at = quiet_since = channel.sample()
    ends = channel.now() + (limit + 1 - channel.node.scheduler.wall() % 1 if limit else MAX_SECONDS)
    if channel.node.faults.disk_full:
        ends = min(ends, channel.now() + FULL_DISK_SECONDS)
    channel.execution.digits.clear()
    ending = terminators(channel)
    while words[0] in channel.recorders and channel.now() < ends - 1e-9:
        reason = yield min(_POLL, ends - channel.now())
        if reason in (HANGUP, BREAK) or (reason == DIGIT and _ended_by_digit(channel, ending)):
            break
        now = channel.sample()
        if sound.heard(channel.heard.read(at, now - at), threshold or 200):
            quiet_since = now
        at = now
        if threshold and quiet_seconds and now - quiet_since >= quiet_seconds * RATE:
            break
    recorder.stop()
    channel.fire_codec()
    return ""


def _ended_by_digit(channel: Channel, ending: str) -> bool:
    digit = channel.execution.digits[-1]
    if digit not in ending and ending != "any":
        return False
    channel.variables["playback_terminator_used"] = digit
    return True


def record_session(channel: Channel, argument: str) -> None:
    """``<path> [+<seconds>]``: both sides, until stopped or the call ends. Where it cannot write nothing begins."""
    words = argument.split()
    if words and words[0] not in channel.recorders:
        limit = whole(words[1][1:]) if len(words) > 1 and words[1].startswith("+") else None
        Recorder(channel, words[0], session=True).start(limit or 0)


def stop_record_session(channel: Channel, argument: str) -> None:
    path = argument.strip()
    for name in list(channel.recorders) if path == "all" else [path]:
        if name in channel.recorders:
            channel.recorders[name].stop()
