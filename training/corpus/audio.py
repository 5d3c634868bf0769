"""Sound files → our clips: 8 kHz mono 16-bit FLAC beside a manifest, without the silence at both ends.

What cannot be read, or holds no sound, is left out and named; the others are done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile

from amd_model.detector.spec import SAMPLE_RATE
from amd_model.sound import files
from amd_model.sound.files import AudioError, Headerless
from amd_model.verdict import Verdict
from training.corpus.manifest import Clip, ManifestError, write
from training.telephone.channel import Audio
from training.telephone.transforms import at_8k

NAMED = 10
"""Files named of each kind of loss; of the rest the number is told."""


def load_audio(path: Path) -> Audio:
    """A file as 8 kHz mono float32; channels are averaged. Raises ManifestError."""
    try:
        sound = files.read(path)
    except AudioError as error:
        raise ManifestError(str(error)) from error
    return at_8k(sound.samples, sound.rate)


def trimmed(audio: Audio, keep_s: float = 0.1) -> Audio:
    """Without the silence (40 dB below the loudest 20 ms) at both ends, but for ``keep_s``."""
    count = len(audio) // 160
    if not count:
        return audio
    power = np.square(audio[: count * 160].reshape(count, 160)).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 1e-4)
    if not len(loud) or power.max() == 0:
        return audio
    keep = int(keep_s * SAMPLE_RATE)
    return audio[max(0, loud[0] * 160 - keep) : (loud[-1] + 1) * 160 + keep]


@dataclass(slots=True)
class Copied:
    """What came of copying: the clips, and what is not among them. ``unread`` says of each file why."""

    clips: list[Clip] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    mixed: int = 0

    def told(self, channel: int | None) -> list[str]:
        """Lines for a person; none when everything was taken as it was."""
        lines = []
        if self.mixed:
            lines.append(f"channels mixed: {self.mixed} (--channel takes the far end's; 0 is the first)")
        if self.silent:
            hint = "" if channel is None else f" (is channel {channel} the far end's?)"
            lines.append(f"left out, without a sound{hint}: {len(self.silent)} ({_named(self.silent, ', ')})")
        if self.unread:
            lines += [f"left out, not readable: {len(self.unread)}", "  " + _named(self.unread, "\n  ")]
        return lines


def copy_in(
    clips: Iterable[Clip],
    out: Path,
    channel: int | None = None,
    otherwise: Headerless | None = None,
) -> Copied:
    """Every clip as 8 kHz mono FLAC below ``out``, and their manifest if there are any; whole calls keep their silence.

    A clip without a sound is left out, unless it is a call that nobody spoke in. ``otherwise`` is what a file holds in
    which no header is found. Raises ManifestError when the list of clips itself is wrong, before anything is copied.
    """
    done = Copied()
    for index, clip in enumerate(list(clips)):
        try:
            sound = files.read(clip.file, channel=channel, otherwise=otherwise)
        except AudioError as error:
            done.unread.append(str(error))
            continue
        audio = at_8k(sound.samples, sound.rate)
        if clip.verdict is None:
            audio = trimmed(audio)
        peak = float(np.max(np.abs(audio), initial=0.0))
        dead_line = len(audio) > 0 and clip.verdict is Verdict.UNKNOWN
        if peak < 1e-4 and not dead_line:
            done.silent.append(clip.file.name)
            continue
        done.mixed += clip.verdict is not None and channel is None and sound.channels > 1
        target = out / clip.source.replace("/", "-") / f"{index:05d}-{clip.file.stem[:40]}.flac"
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, audio / max(1.0, peak), SAMPLE_RATE, subtype="PCM_16")
        done.clips.append(replace(clip, file=target))
    if done.clips:
        write(out / "manifest.tsv", done.clips)
    for line in done.told(channel):
        print(line)
    return done


def _named(names: Sequence[str], between: str) -> str:
    return between.join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])])
