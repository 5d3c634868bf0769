"""The folder of kept answers: what is in it, what people said of it, and when it has to go.

The workers write ``<callId>.wav`` and beside it ``<callId>.json``, the detector's opinion; `labels.csv` (file,label)
is what `training.corpus.importers recordings` takes. Rules:

* Only names that a worker can have written are ever deleted; links and folders are left alone.
* A recording that goes takes its label with it: the importer refuses a list that names a missing file.
* Whoever writes `labels.csv` holds the folder's lock: a person labels while the service deletes.

No gevent in here: `purge` is for a native thread.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amd_model.verdict import Verdict

LABELS = "labels.csv"
COLUMNS = ("file", "label")
_LOCK = ".labels.lock"
_LOCK_TRIES, _LOCK_PAUSE_S = 40, 0.05
_WRITTEN = re.compile(r"[A-Za-z0-9-]{1,64}\.(wav|json)|\.[A-Za-z0-9-]{1,64}\.(wav|json)\.part")
_MAX_OPINION_BYTES = 65_536


class LabelsError(Exception):
    """`labels.csv` holds something that this module did not write; the message names the line."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the detector made of a recording; `result` None when the answer ended before it was judged."""

    result: Verdict | None = None
    confidence: float = 0.0
    reason: str = ""
    decided_at_ms: int | None = None


def sounds(folder: Path) -> list[Path]:
    """Every recording, the oldest first. Raises OSError."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _WRITTEN.fullmatch(entry.name) and entry.name.endswith(".wav"):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime, entry.name))
    return [folder / name for _, name in sorted(found)]


def opinion(sound: Path) -> Opinion:
    """The detector's opinion of a recording; an empty one where there is none that can be read."""
    try:
        with sound.with_suffix(".json").open("rb") as stream:
            body: Any = json.loads(stream.read(_MAX_OPINION_BYTES))
        if body["result"] is None:
            return Opinion()
        decided = body.get("decidedAtMs")
        return Opinion(
            Verdict(body["result"]),
            float(body.get("confidence") or 0.0),
            str(body.get("reason") or "")[:80],
            None if decided is None else int(decided),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Opinion()


def labels(folder: Path) -> dict[str, Verdict]:
    """File name → what a person heard; a later line replaces an earlier one. Raises LabelsError, OSError."""
    header, *rows = _read_table(folder)
    file, label = header.index("file"), header.index("label")
    found = {}
    for number, row in enumerate(rows, 2):
        word = row[label] if len(row) > label else ""
        try:
            found[row[file]] = Verdict(word)
        except ValueError as error:
            known = ", ".join(Verdict)
            raise LabelsError(f"{LABELS}, row {number}: label {word!r} is none of {known}") from error
    return found


def add_label(folder: Path, sound: Path, label: Verdict) -> bool:
    """Write one label down at once; False when the recording has just been deleted.

    Raises LabelsError, OSError; BlockingIOError when somebody else has the folder for longer than two seconds.
    """
    with _lock(folder, _LOCK_TRIES):
        if not sound.exists():
            return False
        header, *rows = _read_table(folder)
        given = {"file": sound.name, "label": label.value}
        _write_table(folder, [header, *rows, [given.get(name, "") for name in header]])
        return True


def purge(folder: Path, older_than: float) -> int:
    """Delete recordings from before a time (Unix seconds), and their labels; returns how many. Raises OSError.

    A folder that is not there holds nothing. One in which a label is just being written is for the next time
    (BlockingIOError). An unreadable `labels.csv` is left as it is: deleting comes first.
    """
    if not folder.is_dir():
        return 0
    with _lock(folder):
        gone = {name for name in _old(folder, older_than) if _delete(folder / name)}
        with contextlib.suppress(LabelsError):
            header, *rows = _read_table(folder)
            kept = [row for row in rows if row[header.index("file")] not in gone]
            if len(kept) != len(rows):
                _write_table(folder, [header, *kept])
    return sum(name.endswith(".wav") for name in gone)


def _old(folder: Path, older_than: float) -> list[str]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _WRITTEN.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < older_than:
                        found.append(entry.name)
    return found


def _delete(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _read_table(folder: Path) -> list[list[str]]:
    """The header and the rows of `labels.csv`, other people's columns included. Raises LabelsError, OSError."""
    try:
        text = (folder / LABELS).read_text(encoding="utf-8-sig")
        table = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    except FileNotFoundError:
        table = []
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{LABELS}: not a table of comma-separated values: {error}") from error
    if not table:
        return [list(COLUMNS)]
    if not set(COLUMNS) <= set(table[0]):
        raise LabelsError(f"{LABELS}, row 1: there must be columns {' and '.join(COLUMNS)}")
    if short := [number for number, row in enumerate(table, 1) if len(row) <= table[0].index("file")]:
        raise LabelsError(f"{LABELS}, row {short[0]}: names no file")
    return table


def _write_table(folder: Path, table: list[list[str]]) -> None:
    """The whole list anew, renamed into place: a list cut short would be a list of other labels."""
    part = folder / f".{LABELS}.part"
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(table)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(folder / LABELS)


@contextlib.contextmanager
def _lock(folder: Path, tries: int = 1) -> Iterator[None]:
    """One writer at a time, also among processes; each holds it for milliseconds. Raises BlockingIOError.

    A file of its own, not the folder: gevent's `os.close` puts off the close of a folder's descriptor, and with it
    the end of the lock, until the loop turns.
    """
    with (folder / _LOCK).open("a") as handle:
        for left in range(tries - 1, -1, -1):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left:
                    raise
                time.sleep(_LOCK_PAUSE_S)
        yield
