"""How looks travel between a worker and the process that reads words for it. Pure.

A request is a head (`HEAD`: key, end of the sound in ms, the monotonic second after which nobody waits any more, bytes
of sound) and 16-bit little-endian samples at 8 kHz. An answer is one line of JSON with the request's key. Both run on
one machine, whose monotonic clock is one for all processes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from amd_model.detector.evidence import WordEvidence
from amd_model.verdict import Answerer

HEAD: Final = struct.Struct("<QIdI")
MAX_SOUND_BYTES: Final = 16_000 * 8
MAX_LINE: Final = 8_192


class DeskError(ValueError):
    """What came is no request or no answer; the process at the other end is another version or broken."""


@dataclass(frozen=True, slots=True)
class Request:
    """One look. `pcm` is 16-bit little-endian at 8 kHz; `until_ms` is where it ends in the stream."""

    key: int
    until_ms: int
    deadline: float
    pcm: bytes

    def encode(self) -> bytes:
        """The bytes of it."""
        return HEAD.pack(self.key, self.until_ms, self.deadline, len(self.pcm)) + self.pcm


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one look: `words` None when there were none, `late` when it was not begun in time.

    `cpu_s` is the processor's time that it took.
    """

    key: int
    words: WordEvidence | None = None
    late: bool = False
    cpu_s: float = 0.0

    def encode(self) -> bytes:
        """The line of it."""
        body: dict[str, Any] = {"key": self.key, "late": self.late, "cpu": round(self.cpu_s, 4)}
        if self.words is not None:
            words = self.words
            body["words"] = {
                "live": round(words.live, 5),
                "sure": round(words.sure, 4),
                "until": words.until_ms,
                "person": words.person.value,
                "machine": words.machine.value,
                "language": words.language,
                "text": words.text,
            }
        return json.dumps(body, separators=(",", ":")).encode() + b"\n"


class Requests:
    """Bytes in any pieces → requests."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Request]:
        """The requests that are whole now. Raises DeskError."""
        self._bytes += data
        while len(self._bytes) >= HEAD.size:
            key, until, deadline, size = HEAD.unpack_from(self._bytes)
            if size > MAX_SOUND_BYTES:
                raise DeskError(f"a look of {size} bytes; at most {MAX_SOUND_BYTES} are taken")
            if len(self._bytes) < HEAD.size + size:
                return
            pcm = bytes(self._bytes[HEAD.size : HEAD.size + size])
            del self._bytes[: HEAD.size + size]
            yield Request(key, until, deadline, pcm)


class Answers:
    """Bytes in any pieces → answers."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that are whole now. Raises DeskError."""
        *lines, self._bytes = (self._bytes + data).split(b"\n")
        if len(self._bytes) > MAX_LINE:
            raise DeskError("a line without an end")
        return [_answer(line) for line in lines]


def _answer(line: bytes) -> Answer:
    try:
        body = json.loads(line)
        told = body.get("words")
        words = None
        if told is not None:
            words = WordEvidence(
                live=float(told["live"]),
                sure=float(told["sure"]),
                until_ms=int(told["until"]),
                person=Answerer(told["person"]),
                machine=Answerer(told["machine"]),
                language=str(told["language"]),
                text=str(told["text"]),
            )
        return Answer(int(body["key"]), words, bool(body["late"]), float(body["cpu"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeskError(f"no answer: {error}") from error
