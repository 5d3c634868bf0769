"""``python -m amd_model words install | list``: the recognisers on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from amd_model.words.catalogue import MODELS, UnknownModel
from amd_model.words.install import DEFAULT_FOLDER, InstallError, install, installed


def run(argv: Sequence[str]) -> int:
    """0 when done, 2 when refused or not to be had, with words on standard error."""
    parser = argparse.ArgumentParser("python -m amd_model words", description="Recognisers that read what is said.")
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser("install", help="fetch a recogniser, check it, lay it where workers look for it")
    fetch.add_argument("--model", default="tiny.en", help=f"one of {', '.join(MODELS)} (default %(default)s)")
    fetch.add_argument("--from", dest="source", type=Path, help="a folder that has its files, instead of the network")
    fetch.add_argument("--to", type=Path, default=DEFAULT_FOLDER, help="where models lie (default %(default)s)")
    commands.add_parser("list", help="what is known by name, and what is installed")
    try:
        options = parser.parse_args(argv)
        if options.command == "install":
            install(options.model, options.to, options.source, lambda text: print(text, file=sys.stderr))
        else:
            _list()
    except SystemExit as stop:
        return 0 if stop.code == 0 else 2
    except (InstallError, UnknownModel) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _list() -> None:
    for name, model in MODELS.items():
        languages = "many languages" if model.multilingual else "English"
        try:
            place = f"installed in {installed(name)}"
        except InstallError:
            place = "not installed"
        print(f"{name:<8} {model.megabytes:>4} MB  {languages:<14}  {place}")
