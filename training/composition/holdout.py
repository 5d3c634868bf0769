"""Hold speakers out of a corpus for the test that is looked at once: several manifests → one with a test split.

    python -m training holdout --data DIR [--data DIR …] --speaker NAME [--speaker NAME …] --out DIR

NAME may end in ``*``. The speakers named become ``test``. A text of theirs that somebody else says (``live`` and
``machine`` clips of more than ``SHORT_WORDS`` words: everybody says "Hello?") leaves the other splits, so that no
text straddles. Only a manifest is written; the audio stays where it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from training.composition.dataset import load_clips
from training.corpus.manifest import Clip, ManifestError, write

SHORT_WORDS: Final = 3


def hold_out(clips: Sequence[Clip], speakers: Sequence[str]) -> list[Clip]:
    """The corpus with these speakers as its test split. Raises ManifestError for a name that nobody bears."""
    names = {clip.speaker for clip in clips}
    for pattern in speakers:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ManifestError(f"no speaker {pattern!r} in the corpora given")
    held = {name for name in names if any(fnmatchcase(name, pattern) for pattern in speakers)}
    texts = {_words(clip) for clip in clips if clip.speaker in held and _tells(clip)}
    kept = []
    for clip in clips:
        if clip.speaker in held:
            kept.append(replace(clip, split="test"))
        elif not (_tells(clip) and _words(clip) in texts):
            kept.append(clip)
    return kept


def _words(clip: Clip) -> tuple[str, ...]:
    return tuple("".join(c for c in clip.text.casefold() if c.isalnum() or c.isspace()).split())


def _tells(clip: Clip) -> bool:
    """True where the words belong to a class: a sentence read aloud serves both, and is the same for many readers."""
    return clip.kind in ("live", "machine") and len(_words(clip)) > SHORT_WORDS


def main(argv: list[str] | None = None) -> int:
    """Command line; 1 when the corpus is refused."""
    parser = argparse.ArgumentParser("python -m training holdout", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--speaker", action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    try:
        clips = load_clips(options.data)
        kept = hold_out(clips, options.speaker)
    except ManifestError as error:
        print(f"nothing held out: {error}", file=sys.stderr)
        return 1
    write(options.out / "manifest.tsv", [replace(clip, file=clip.file.resolve()) for clip in kept])
    counts = {split: sum(clip.split == split for clip in kept) for split in ("train", "dev", "test")}
    print(f"{options.out / 'manifest.tsv'}: {counts}, {len(clips) - len(kept)} left out for their text")
    return 0
