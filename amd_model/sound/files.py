"""Any sound file → one channel of samples. What libsndfile reads is taken, the rest is refused in words, by name.

Files are read forward, block by block, and never sought in: libsndfile decodes much that it cannot seek in (GSM and
G.721 in any container, VOX) or whose length it does not know (FLAC that was written into a pipe), and soundfile fails
on either as soon as it is asked for the whole.

Bytes without a header are sound only where somebody says of what kind: the caller, or a file's well-known extension,
which then means what FreeSWITCH's mod_sndfile takes it to mean (`HEADERLESS`). A file that begins with a header is
read by it, whatever its extension.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

MAX_SECONDS: Final = 3_600.0
LEAST_RATE, MOST_RATE = 1_000, 384_000
MAX_PIPED_BYTES: Final = 256 << 20
"""Of what is no file on a disk: it is held in memory."""
_BLOCK: Final = 262_144
_UNRECOGNISED: Final = 1
_HEADERS: Final = frozenset(
    (b"RIFF", b"RIFX", b"RF64", b"riff", b"FORM", b".snd", b"dns.", b"fLaC", b"OggS", b"caff", b"NIST")
)


class AudioError(ValueError):
    """A file that is no sound to us; the message names it and says why, `reason` says why alone."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Headerless:
    """What bytes without a header are: libsndfile's name for the coding, and samples a second. One channel."""

    coding: str
    rate: int


HEADERLESS: Final = {
    "raw": Headerless("PCM_16", 8_000),
    "r8": Headerless("PCM_16", 8_000),
    "r16": Headerless("PCM_16", 16_000),
    "ul": Headerless("ULAW", 8_000),
    "ulaw": Headerless("ULAW", 8_000),
    "al": Headerless("ALAW", 8_000),
    "alaw": Headerless("ALAW", 8_000),
    "gsm": Headerless("GSM610", 8_000),
    "vox": Headerless("VOX_ADPCM", 8_000),
}
"""Extension → what such a file holds; these are the names that `headerless` knows, too."""


@dataclass(frozen=True, slots=True)
class Sound:
    """One channel's samples in −1…1, at the file's own rate; `channels` is how many the file has."""

    samples: NDArray[np.float32]
    rate: int
    channels: int


def headerless(words: str) -> Headerless:
    """``ulaw``, or ``ulaw@16000`` for another rate. Raises ValueError."""
    name, at, rate = words.partition("@")
    known = HEADERLESS.get(name.lower())
    if known is None:
        raise ValueError(f"{name!r} is none of {', '.join(HEADERLESS)}")
    if not at:
        return known
    if not rate.isascii() or not rate.isdigit() or not LEAST_RATE <= int(rate) <= MOST_RATE:
        raise ValueError(f"{rate!r} is no sample rate from {LEAST_RATE:,} to {MOST_RATE:,}")
    return Headerless(known.coding, int(rate))


def read(
    path: str | Path,
    *,
    channel: int | None = None,
    max_s: float = MAX_SECONDS,
    cut: bool = False,
    otherwise: Headerless | None = None,
) -> Sound:
    """A file's samples: one channel, or the mean of all. Raises AudioError.

    What is longer than `max_s` is refused, or cut. `otherwise` is what a file holds in which no header is found.
    """
    path = Path(path)
    try:
        # Unbuffered: libsndfile reads on where we left off.
        with path.open("rb", buffering=0) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return _read(file, path.name, channel, max_s, cut, otherwise)
            data = _drained(file)
    except OSError as error:
        raise AudioError(path.name, f"not readable: {error.strerror or error}") from error
    return _read(io.BytesIO(data), path.name, channel, max_s, cut, otherwise)


def decode(
    data: bytes,
    name: str,
    *,
    channel: int | None = None,
    max_s: float = MAX_SECONDS,
    cut: bool = False,
    otherwise: Headerless | None = None,
) -> Sound:
    """The same of a file's content, called `name`. Raises AudioError."""
    return _read(io.BytesIO(data), name, channel, max_s, cut, otherwise)


def _drained(file: io.FileIO) -> bytes:
    """What comes through a pipe, up to `MAX_PIPED_BYTES`."""
    data = bytearray()
    while len(data) < MAX_PIPED_BYTES and (more := file.read(1 << 20)):
        data += more
    return bytes(data)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks after every read wherever it is told that it can: here it never is."""

    def seekable(self) -> bool:
        return False


def _read(
    source: io.FileIO | io.BytesIO,
    name: str,
    channel: int | None,
    max_s: float,
    cut: bool,
    otherwise: Headerless | None,
) -> Sound:
    try:
        with _opened(source, name, otherwise) as sound:
            rate, channels = int(sound.samplerate), int(sound.channels)
            if not LEAST_RATE <= rate <= MOST_RATE:
                allowed = f"{LEAST_RATE:,} to {MOST_RATE:,}"
                raise AudioError(name, f"a sample rate of {rate} Hz is not supported ({allowed})")
            if channel is not None and not 0 <= channel < channels:
                raise AudioError(name, f"has {channels} channel(s), channel {channel} was asked for")
            samples = _blocks(sound, name, channel, int(max_s * rate), cut)
    except AudioError:
        raise
    except soundfile.LibsndfileError as error:
        raise AudioError(name, f"not readable as audio: {_words(error.error_string)}") from error
    except (soundfile.SoundFileError, OSError, ValueError, TypeError, RuntimeError) as error:
        # soundfile tells one fault or another by each of these.
        raise AudioError(name, f"not readable as audio: {_words(str(error))}") from error
    if not np.isfinite(samples).all():
        raise AudioError(name, "holds samples that are not numbers")
    return Sound(samples, rate, channels)


def _opened(source: io.FileIO | io.BytesIO, name: str, otherwise: Headerless | None) -> Any:
    """By its header; without one, as its extension or the caller says."""
    told = otherwise or HEADERLESS.get(name.rpartition(".")[2].lower())
    extension = name.rpartition(".")[2].lower() in HEADERLESS
    begins = source.read(4)
    source.seek(0)
    if told is not None and extension and begins not in _HEADERS:
        return _forward(source, told)
    try:
        return _forward(source, None)
    except soundfile.LibsndfileError as error:
        if error.code != _UNRECOGNISED or told is None:
            raise
        source.seek(0)
        return _forward(source, told)


def _forward(source: io.FileIO | io.BytesIO, told: Headerless | None) -> Any:
    # By its descriptor a file has no name, and so no extension from which soundfile would draw conclusions of its own.
    file: Any = source if isinstance(source, io.BytesIO) else source.fileno()
    kind = {} if told is None else {"format": "RAW", "subtype": told.coding, "samplerate": told.rate, "channels": 1}
    return _Forward(file, closefd=False, **kind)


def _blocks(sound: Any, name: str, channel: int | None, limit: int, cut: bool) -> NDArray[np.float32]:
    blocks: list[NDArray[np.float32]] = []
    count, size = 0, max(1, _BLOCK // sound.channels)
    while count <= limit:
        block = sound.read(size, dtype="float32", always_2d=True)
        if not len(block):
            break
        count += len(block)
        blocks.append(block[:, channel].copy() if channel is not None else block.mean(axis=1, dtype=np.float32))
    if count > limit and not cut:
        raise AudioError(name, f"longer than {limit / sound.samplerate:g} s")
    return np.concatenate(blocks)[:limit] if blocks else np.zeros(0, np.float32)


def _words(text: str) -> str:
    """A library's sentence inside one of ours."""
    text = text.strip().rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
