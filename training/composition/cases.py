"""Write composed answers as WAV files with their list, for ``python -m amd_model evaluate``.

    python -m training cases --data DIR [--data DIR …] --split dev --count 600 --seed 300 --out CASES
    python -m training cases --data DIR --split test --calls --out CASES      (the split's recordings, as a list)

Another seed than tuning's gives answers that no threshold was chosen on. The list has the times to measure
against and the subsets ``kind``, ``voice``, ``noise``, ``codec``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import soundfile

from amd_model.detector.spec import SAMPLE_RATE
from training.composition.compose import Composer
from training.composition.dataset import load_clips
from training.composition.laws import DEV
from training.composition.library import Library
from training.corpus.manifest import ManifestError

_HEAD = "file\tlabel\tfirstWordMs\tturnEndMs\tbeepMs\tkind\tvoice\tnoise\tcodec\n"


def write_cases(folders: Sequence[Path], split: str, count: int, seed: int, out: Path) -> Path:
    """``count`` answers composed by dev's laws; returns the list's path. Raises ManifestError."""
    library = Library(load_clips(folders), split)
    if not library.voices:
        raise ManifestError(f"no speech of split {split!r} in {', '.join(folder.name for folder in folders)}")
    composer = Composer(library, DEV, seed)
    out.mkdir(parents=True, exist_ok=True)
    lines = [_HEAD]
    for index in range(count):
        case = composer.case(index)
        name = f"{index:05d}.wav"
        soundfile.write(out / name, case.audio, SAMPLE_RATE, subtype="PCM_16")
        noise = (
            f"{case.line.noise}, {'below' if case.line.snr_db < 20 else 'from'} 20 dB" if case.line.noise else "none"
        )
        lines.append(
            f"{name}\t{case.label.value}\t{case.first_word_ms}\t{case.turn_end_ms}\t{case.beep_ms}\t{case.kind}\t"
            f"{case.voice}\t{noise}\t{'+'.join(case.line.codecs)}\n"
        )
    (out / "cases.tsv").write_text("".join(lines), encoding="utf-8")
    return out / "cases.tsv"


def list_calls(folders: Sequence[Path], split: str, out: Path) -> Path:
    """The recordings of whole calls in this split; returns the list's path. Raises ManifestError."""
    calls = [clip for clip in load_clips(folders) if clip.split == split and clip.verdict]
    if not calls:
        raise ManifestError(f"no recording of split {split!r} in {', '.join(folder.name for folder in folders)}")
    out.mkdir(parents=True, exist_ok=True)
    rows = [f"{clip.file.resolve()}\t{clip.verdict}\t{clip.source}\n" for clip in calls]
    (out / "cases.tsv").write_text("".join(["file\tlabel\tsource\n", *rows]), encoding="utf-8")
    return out / "cases.tsv"


def main(argv: list[str] | None = None) -> int:
    """Command line; 1 when the corpus is refused."""
    parser = argparse.ArgumentParser("python -m training cases", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=300)
    parser.add_argument("--calls", action="store_true", help="list recordings instead of composing answers")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    try:
        if options.calls:
            print(list_calls(options.data, options.split, options.out))
        else:
            print(write_cases(options.data, options.split, options.count, options.seed, options.out))
    except ManifestError as error:
        print(f"no cases written: {error}", file=sys.stderr)
        return 1
    return 0
