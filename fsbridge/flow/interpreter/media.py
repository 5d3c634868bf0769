"""Whether what was to be played, spoken or recorded really was, by what FreeSWITCH leaves behind. Pure.

It completes an application that could do nothing like any other: the truth is in the response, in how long it took, and
in the variables of the channel. Each function gives what is wrong, in words; "" is well.
"""

from __future__ import annotations

from typing import Final

from fsbridge.flow.interpreter.actions import Executed
from fsbridge.flow.interpreter.plan import UNSET

PLAYED: Final = ("", "_none_", "FILE PLAYED")
WRITABLE: Final = "is flows.recordings_dir there on the node, writable, and the disk not full?"
SOONEST_S: Final = 0.1
"""What has ended sooner was not spoken, however short its text."""
LETTERS_S: Final = 50.0
"""Letters that nobody speaks in a second."""
_WAV_HEADER, _SLACK = 44, 1_024


def unplayed(result: Executed) -> str:
    """A file, or a tone."""
    return "" if result.response in PLAYED else result.response


def unspoken(result: Executed) -> str:
    """A text, by `speak`: an unknown voice ends it after some 20 ms (tests/traces media_steps_missing_files_bad_voice).

    One letter takes flite 0.6 s, a full stop alone 0.2 s.
    """
    letters = sum(character.isalnum() for character in result.asked.rpartition("|")[2])
    if result.took_s is None or result.cut or not letters or result.took_s >= max(SOONEST_S, letters / LETTERS_S):
        return ""
    return f"nothing was spoken, it ended after {result.took_s:.2f} s: has the node this engine and this voice?"


def unsaid(result: Executed) -> str:
    """A value, by `say`: playing a sound file leaves its length (tests/traces say_without_sounds)."""
    if result.variables.get("playback_ms", UNSET) != UNSET:
        return ""
    return "nothing was said: has the node the sound files of this language?"


def not_begun(result: Executed) -> str:
    """`record_session`: it goes on without recording, and says only why (tests/traces record_session_cannot_write)."""
    cause = _cause(result)
    return "" if cause == UNSET else f"FreeSWITCH does not record ({cause}): {WRITABLE}"


def not_whole(result: Executed) -> str | None:
    """`stop_record_session`; None: nothing was being recorded (tests/traces record_disk_full)."""
    cause = _cause(result)
    if cause == UNSET:
        return None
    if not cause.startswith("success"):
        return f"the recording is not whole ({cause}): {WRITABLE}"
    return cut_short(result)


def recorded_ms(result: Executed) -> int | None:
    """`record`: how long it is; None: it is not."""
    return _whole(result.variables.get("record_ms", ""))


def cut_short(result: Executed) -> str:
    """Any recording: its file's size against the samples written. On a full disk FreeSWITCH may see nothing wrong."""
    samples, size = (_whole(result.variables.get(name, "")) for name in ("record_samples", "record_file_size"))
    if samples is None or size is None or size + _SLACK >= _WAV_HEADER + 2 * samples:
        return ""
    return f"the file has {size} bytes, which is less than was recorded: is the disk full?"


def _cause(result: Executed) -> str:
    return result.variables.get("record_completion_cause", "") or UNSET


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 12 else None
