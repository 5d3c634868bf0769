"""`fsbridge amd label`: listen to kept answers and say who answered: material to judge the detector by.

Every label is on disk before the next recording is played, so that a session may end anywhere and go on later.
The result, `labels.csv`, is what ``python -m training import recordings --labels`` takes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from amd_model.verdict import Verdict
from api.cli import words
from api.cli.printing import plain
from fsbridge.amd import recordings
from fsbridge.amd.recordings import LabelsError, Opinion

PLAYERS: tuple[tuple[str, ...], ...] = (
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
    ("aplay", "-q"),
    ("play", "-q"),
    ("afplay",),
)
LONGEST_S = 90.0
"""A recording lasts a minute at most; a player that takes longer hangs."""
ANSWERS = {
    "l": Verdict.LIVE_PERSON,
    "m": Verdict.ANSWERING_MACHINE,
    "f": Verdict.FAX,
    "u": Verdict.UNKNOWN,
}
QUESTION = "[l]ive person  [m]achine  [f]ax  [u]nknown  [s]kip  [r]epeat  [q]uit > "

Play = Callable[[Path], None]


def register(app: typer.Typer) -> None:
    """Add the group."""
    amd = typer.Typer(help="Work on the detector's material.", no_args_is_help=True)
    amd.command()(label)
    words.register(amd)
    app.add_typer(amd, name="amd")


def label(
    folder: Annotated[Path, typer.Argument(help="the folder of kept answers: amd.keep_audio_dir")],
    blind: Annotated[bool, typer.Option("--blind", help="show the detector's opinion only after yours")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="only count, and list where you and it disagree")] = False,
) -> None:
    """Play each recording that has no label yet and ask who answered. Labels go to labels.csv in the folder."""
    if not folder.is_dir():
        typer.echo(plain(f"{folder}: there is no such folder; recordings lie where amd.keep_audio_dir says"), err=True)
        raise typer.Exit(1)
    try:
        if summary:
            summarise(folder, Console(file=sys.stdout))
            return
        session(folder, find_player(), blind)
    except (OSError, LabelsError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        typer.echo(plain(f"{folder}: {words}"), err=True)
        raise typer.Exit(1) from error


def session(folder: Path, play: Play, blind: bool = False) -> int:
    """Ask about every recording without a label until the end, `q` or the end of input; returns how many got one.

    Raises LabelsError, OSError.
    """
    known = recordings.labels(folder)
    waiting = [sound for sound in recordings.sounds(folder) if sound.name not in known]
    typer.echo(f"{len(waiting)} without a label, {len(known)} with one")
    given = 0
    for number, sound in enumerate(waiting, 1):
        opinion = recordings.opinion(sound)
        typer.echo(
            f"\n{number}/{len(waiting)}  {plain(sound.name)}" + ("" if blind else f"  detector: {_say(opinion)}")
        )
        key = _ask(sound, play)
        if key == "q":
            break
        if key == "s":
            continue
        if not recordings.add_label(folder, sound, ANSWERS[key]):
            typer.echo("it has just been deleted: its time was over")
            continue
        given += 1
        if blind:
            typer.echo(f"detector: {_say(opinion)}")
    typer.echo(f"\n{given} labelled, in {folder / recordings.LABELS}")
    return given


def summarise(folder: Path, console: Console) -> None:
    """Counts, the detector's opinion against the labels, and the recordings where they differ."""
    known = recordings.labels(folder)
    sounds = {sound.name: recordings.opinion(sound) for sound in recordings.sounds(folder)}
    opinions = {name: sounds[name] for name in known if name in sounds}
    console.print(f"{len(sounds)} recordings, {len(opinions)} labelled, {len(sounds) - len(opinions)} to do")
    judged = {name: opinion for name, opinion in opinions.items() if opinion.result is not None}
    counts = Counter((known[name], opinion.result) for name, opinion in opinions.items())
    table = Table(box=None, title="label ↓  detector →", title_justify="left")
    columns = (*Verdict, None)
    table.add_column("")
    for column in columns:
        table.add_column(column or "no verdict", justify="right")
    for row in Verdict:
        table.add_row(row, *(str(counts[row, column]) for column in columns))
    console.print(table)
    wrong = [name for name, opinion in judged.items() if opinion.result != known[name]]
    if judged:
        console.print(f"disagreement: {len(wrong)} of {len(judged)} ({100 * len(wrong) / len(judged):.1f} %)")
    for name in wrong:
        console.print(f"  {name}: you {known[name]}, detector {_say(judged[name])}", markup=False, soft_wrap=True)


def find_player(players: Sequence[Sequence[str]] = PLAYERS) -> Play:
    """The first player that this machine has; without one the path is printed, to be played by hand."""
    for program, *options in players:
        path = shutil.which(program)
        if path is not None:
            return _with([path, *options])
    typer.echo("no player found (ffplay, aplay, play, afplay): play the files by hand")
    return lambda sound: typer.echo(f"listen to {sound}")


def _with(command: list[str]) -> Play:
    def play(sound: Path) -> None:
        try:
            done = subprocess.run(
                [*command, str(sound.absolute())],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LONGEST_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            typer.echo(f"{command[0]}: {error}; the file is {sound}", err=True)
            return
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()[-200:]
            said = said or f"exit code {done.returncode}"
            typer.echo(plain(f"{command[0]} could not play {sound}: {said}"), err=True)

    return play


def _ask(sound: Path, play: Play) -> str:
    """One of the answers, `s` or `q`; the end of input is `q`."""
    play(sound)
    while True:
        typer.echo(QUESTION, nl=False)
        line = sys.stdin.readline()
        key = line.strip().lower()
        if not line or key == "q":
            return "q"
        if key == "s" or key in ANSWERS:
            return key
        if key == "r":
            play(sound)
        else:
            typer.echo(f"{key!r} is none of these")


def _say(opinion: Opinion) -> str:
    if opinion.result is None:
        return "no verdict: the answer ended before one"
    when = "" if opinion.decided_at_ms is None else f" after {opinion.decided_at_ms / 1000:.1f} s"
    because = f", {opinion.reason}" if opinion.reason else ""
    return f"{opinion.result} ({opinion.confidence:.2f}{because}){when}"
