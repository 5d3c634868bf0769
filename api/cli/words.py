"""`fsbridge amd words`: the recognisers that let the detector read what is said. `amd_model` does the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

COMMAND = (sys.executable, "-m", "amd_model", "words")


def register(amd: typer.Typer) -> None:
    """Put the group below `fsbridge amd`."""
    words = typer.Typer(no_args_is_help=True, help="Recognisers that read the first words of an answer.")
    words.command("install")(install)
    words.command("list")(show)
    amd.add_typer(words, name="words")


def install(
    model: Annotated[str, typer.Option(help="tiny.en (English), base or small (many languages)")] = "tiny.en",
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder with the model's files, instead of the network.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Where models lie; the user's data folder when absent.")] = None,
) -> None:
    """Fetch a recogniser, check its SHA-256, and lay it where the workers look for it."""
    options = ["--model", model]
    options += [] if source is None else ["--from", str(source)]
    _run("install", *options, *([] if to is None else ["--to", str(to)]))


def show() -> None:
    """What is known by name, and what is installed."""
    _run("list")


def _run(*arguments: str) -> None:
    raise typer.Exit(subprocess.run([*COMMAND, *arguments], check=False).returncode)
