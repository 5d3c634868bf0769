"""Other people's collections → our manifest: prompt packages, speech corpora, call recordings, any TTS command.

    python -m training import prompts --list prompts.tsv --root /usr/share/asterisk --out DIR
    python -m training import recordings --root calls/ [--labels labels.csv] [--channel 1] --out DIR
    python -m training import speechocean --root speechocean762/ --out DIR
    python -m training import tts --command 'espeak-ng {voice} -w {out} {text}' --voices V --texts T.tsv --out DIR
    python -m training import harper-valley|robocalls --root DIR --out DIR     (written to the published layout
        and tested on a copy of it, never on the corpora themselves: they are too large to fetch here)

Audio is copied as 8 kHz mono 16-bit FLAC with the silence at both ends cut; splits go by speaker, never by file.
What cannot be read is left out and named (exit code 1), the others are done. A list that is wrong is refused (2), and
no manifest is written.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from amd_model.sound import option
from amd_model.verdict import Verdict
from training.corpus.audio import copy_in
from training.corpus.manifest import CALL_PREFIX, Clip, ManifestError

_TTS_TIMEOUT_S = 60
_TEXTS = frozenset((".json", ".csv", ".tsv", ".txt", ".md", ".html", ".xml", ".yaml", ".yml", ".log"))


def split_of(speaker: str, dev_share: float = 0.1, test_share: float = 0.1) -> str:
    """The same speaker always lands in the same split, whatever else is imported."""
    place = int(hashlib.sha256(speaker.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return "dev" if place < dev_share else "test" if place < dev_share + test_share else "train"


def prompts(listing: Path, root: Path, held_out: Iterable[str] = ("it",)) -> Iterator[Clip]:
    """Debian's Asterisk prompts and hold music. A language has one voice, so ``held_out`` languages are dev."""
    with listing.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
            file = root / row["file"]
            if not file.is_file():
                raise ManifestError(f"{row['file']}: not below {root}: install the Debian package {row['package']}")
            music = row["class"] == "hold_music"
            kind = "music" if music else "fragment" if row["role"] == "fragment" else row["class"]
            speaker = file.stem.split("-")[0] if music else f"prompt-{row['language']}"
            dev = speaker == "reno_project" if music else row["language"] in held_out
            licence = "CC BY 3.0" if row["language"] in ("it", "ru") else "CC BY-SA 3.0"
            split = "dev" if dev else "train"
            # A text in brackets is a translation: nobody says these words.
            language = "" if row["text"].startswith("[") else row["language"][:2]
            yield Clip(file, kind, speaker, row["package"], licence, split, row["text"], language)


def speechocean(root: Path) -> Iterator[Clip]:
    """speechocean762 as distributed: train/wav.scp, text and spk2gender beside WAVE/; its own test list is ``test``."""
    for part in ("train", "test"):
        texts = dict(_pairs(root / part / "text"))
        speakers = dict(_pairs(root / part / "utt2spk"))
        for utterance, wave in _pairs(root / part / "wav.scp"):
            speaker = f"so{speakers[utterance]}"
            split = "test" if part == "test" else ("dev" if split_of(speaker) == "dev" else "train")
            yield Clip(
                root / wave, "speech", speaker, "speechocean762", "CC BY 4.0", split, texts.get(utterance, ""), "en"
            )


def recordings(root: Path, labels: Path | None, licence: str = "own recordings") -> Iterator[Clip]:
    """Whole answered calls: a folder per verdict, or a CSV with file,label[,speaker,split].

    Where nobody says who speaks, a recording is a speaker of its own, known by its content: under another name or
    label, or twice, it stays in the split it was in.
    """
    known = {verdict.value for verdict in Verdict}
    if labels is None:
        for folder in sorted(p for p in root.iterdir() if p.is_dir()):
            if folder.name not in known:
                raise ManifestError(f"folder {folder.name!r} is no verdict; known are {', '.join(sorted(known))}")
            for file in sorted(p for p in folder.rglob("*") if _may_be_sound(p)):
                speaker = _unnamed(file)
                yield Clip(file, CALL_PREFIX + folder.name, speaker, "recordings", licence, split_of(speaker))
        return
    with labels.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        for row in reader:
            where = f"{labels.name}, line {reader.line_num}"
            if row.get("label") not in known:
                raise ManifestError(
                    f"{where}: unknown label {row.get('label')!r}; known are {', '.join(sorted(known))}"
                )
            file = root / (row.get("file") or "")
            if not file.is_file():
                raise ManifestError(f"{where}: no such file {row.get('file')}")
            speaker = row.get("speaker") or _unnamed(file)
            split = row.get("split") or split_of(speaker)
            yield Clip(file, CALL_PREFIX + row["label"], speaker, "recordings", licence, split)


def _may_be_sound(path: Path) -> bool:
    """Anything that is no text beside the sounds: who put it there learns if it cannot be read."""
    return path.is_file() and not path.name.startswith(".") and path.suffix.lower() not in _TEXTS


def _unnamed(file: Path) -> str:
    with file.open("rb") as stream:
        return f"call-{hashlib.file_digest(stream, 'sha256').hexdigest()[:16]}"


def harper_valley(root: Path) -> Iterator[Clip]:
    """Harper Valley: data/audio/{agent,caller}/*.wav, data/metadata/*.json with speaker ids. Both sides are people."""
    for metadata in sorted((root / "data" / "metadata").glob("*.json")):
        body = json.loads(metadata.read_text(encoding="utf-8"))
        for side in ("agent", "caller"):
            file = root / "data" / "audio" / side / f"{metadata.stem}.wav"
            if not file.is_file():
                raise ManifestError(f"{metadata.name}: no such file {file.relative_to(root)}")
            speaker = f"hv-{body[side]['speaker_id']}"
            yield Clip(file, "speech", speaker, "harper-valley", "CC BY 4.0", split_of(speaker))


def robocalls(root: Path) -> Iterator[Clip]:
    """robocall-audio-dataset: metadata.csv (file_name, transcript) beside its WAV files: recorded monologues."""
    with (root / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            file = root / row["file_name"]
            if not file.is_file():
                raise ManifestError(f"metadata.csv: no such file {row['file_name']}")
            speaker = f"robocall-{file.stem}"
            yield Clip(
                file,
                "machine",
                speaker,
                "robocall",
                "public domain",
                split_of(speaker),
                row.get("transcript", ""),
                "en",
            )


def spoken(
    command: str, voices: Iterable[str], texts: Path, out: Path, split: str, source: str, language: str = ""
) -> Iterator[Clip]:
    """Each line ``kind<TAB>text`` of ``texts`` said by the voices in turn with the user's own command.

    ``{voice}``, ``{text}`` and ``{out}`` (a WAV file to write) are replaced inside single arguments; no shell.
    """
    names = [voice for voice in voices if voice.strip()]
    if not names or "{text}" not in command or "{out}" not in command:
        raise ManifestError("a TTS command needs {text} and {out}, and at least one voice")
    for index, line in enumerate(texts.read_text(encoding="utf-8").splitlines()):
        kind, _, text = line.partition("\t")
        voice = names[index % len(names)]
        wave = out / f"{index:05d}.wav"
        wave.parent.mkdir(parents=True, exist_ok=True)
        words = [
            w.replace("{voice}", voice).replace("{text}", text).replace("{out}", str(wave))
            for w in _words(command, voice)
        ]
        try:
            result = subprocess.run(words, capture_output=True, timeout=_TTS_TIMEOUT_S, check=False)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise ManifestError(f"line {index + 1}: {words[0]} failed: {error}") from error
        if result.returncode != 0 or not wave.is_file():
            raise ManifestError(f"line {index + 1}: {words[0]} failed: {result.stderr.decode(errors='replace')[:200]}")
        speaker = f"{source}-{voice}".replace(" ", "_")
        yield Clip(wave, kind, speaker, source, "synthetic", split, text, language)


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.strip().partition("\t" if "\t" in line else " ")
        yield key, value.strip()


def _words(command: str, voice: str) -> list[str]:
    """The command's words; a ``{voice}`` that stands alone may be several options (``-v en-us -p 40``)."""
    words: list[str] = []
    for word in shlex.split(command):
        words += shlex.split(voice) if word == "{voice}" else [word]
    return words


def main(argv: list[str] | None = None) -> int:
    """Command line: 0 when everything was taken, 1 when something was left out, 2 when nothing was written."""
    parser = argparse.ArgumentParser("python -m training import", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("prompts", "recordings", "speechocean", "harper-valley", "robocalls", "tts"))
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--list", type=Path, help="prompts: the TSV that says which file suits which class")
    parser.add_argument("--labels", type=Path, help="recordings: CSV with file,label[,speaker,split]")
    parser.add_argument("--channel", type=int, help="stereo recordings: the far end's channel, from 0")
    option.add_to(parser)
    parser.add_argument("--command", help="tts: the program, with {voice} {text} {out}")
    parser.add_argument("--voices", type=Path, help="tts: one voice a line")
    parser.add_argument("--texts", type=Path, help="tts: kind<TAB>text a line")
    parser.add_argument("--split", default="train")
    parser.add_argument("--source", default="tts")
    parser.add_argument("--language", default="en", help="tts: of the texts (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    needed = {"prompts": ("list",), "tts": ("command", "voices", "texts")}.get(options.what, ())
    if missing := [f"--{name}" for name in needed if getattr(options, name) is None]:
        parser.error(f"{options.what} needs {' and '.join(missing)}")
    simple: dict[str, Callable[[], Iterable[Clip]]] = {
        "prompts": lambda: prompts(options.list, options.root),
        "recordings": lambda: recordings(options.root, options.labels),
        "speechocean": lambda: speechocean(options.root),
        "harper-valley": lambda: harper_valley(options.root),
        "robocalls": lambda: robocalls(options.root),
        "tts": lambda: spoken(
            options.command,
            options.voices.read_text(encoding="utf-8").splitlines(),
            options.texts,
            options.out / "spoken",
            options.split,
            options.source,
            options.language,
        ),
    }
    try:
        done = copy_in(simple[options.what](), options.out, options.channel, options.headerless)
    except (ManifestError, OSError, csv.Error, json.JSONDecodeError, UnicodeDecodeError) as error:
        print(f"import failed: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"import failed: there is no {error} where the published layout has it", file=sys.stderr)
        return 2
    if not done.clips:
        print("import failed: there is no clip to take", file=sys.stderr)
        return 2
    print(f"{len(done.clips)} clips in {options.out / 'manifest.tsv'}")
    return 1 if done.unread else 0
