"""Applications that record: `record` waits for its end, `record_session` goes on beside the others."""

from __future__ import annotations

from fsbridge.simulator.audio import sound
from fsbridge.simulator.audio.lines import RATE
from fsbridge.simulator.protocol.wire import whole
from fsbridge.simulator.switch.channel import Channel
from fsbridge.simulator.switch.recording import Recorder, can_open
from fsbridge.simulator.time.process import BREAK, DIGIT, HANGUP, App

_POLL = 0.1


def record(channel: Channel, argument: str) -> App:
    words = argument.split()
    if not words:
        return ""
    limit, threshold, quiet_seconds = ((whole(word.lstrip("+")) or 0) for word in [*words[1:4], "", "", ""][:3])
    if not can_open(channel.node.settings.recordings, words[0]):
        # In no trace; FreeSWITCH's source (mod_dptools, record) gives the channel up.
        channel.hang_up("DESTINATION_OUT_OF_ORDER", in_thread=True)
        return ""
    recorder = Recorder(channel, words[0], limit, both=False, bug=False)
    channel.fire_codec()
    recorder.start()
    at = channel.sample()
    quiet_since = at
    channel.execution.digits.clear()
    while words[0] in channel.recorders:
        reason = yield _POLL
        terminators = channel.variables.get("playback_terminators", "*")
        if reason in (HANGUP, BREAK) or (reason == DIGIT and _ended_by_digit(channel, terminators)):
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


def _ended_by_digit(channel: Channel, terminators: str) -> bool:
    digit = channel.execution.digits[-1]
    if terminators == "none" or (digit not in terminators and terminators != "any"):
        return False
    channel.variables["playback_terminator_used"] = digit
    return True


def record_session(channel: Channel, argument: str) -> None:
    """``<path> [+seconds]``: both sides, until stopped or the end of the call."""
    words = argument.split()
    if words and words[0] not in channel.recorders:
        limit = (whole(words[1].lstrip("+")) if len(words) > 1 else None) or 0
        Recorder(channel, words[0], limit, both=True, bug=True).start()


def stop_record_session(channel: Channel, argument: str) -> None:
    path = argument.strip()
    for name in list(channel.recorders) if path == "all" else [path]:
        if name in channel.recorders:
            channel.recorders[name].stop()
