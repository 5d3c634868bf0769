"""The command-line option that says what files without a header hold, the same for every command that reads sound."""

from __future__ import annotations

import argparse

from amd_model.sound.files import HEADERLESS, Headerless, headerless


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add ``--headerless KIND[@RATE]``; its value is a `Headerless`, or None."""
    parser.add_argument(
        "--headerless",
        type=_kind,
        metavar="KIND[@RATE]",
        help=f"what files hold in which no header is found: {', '.join(HEADERLESS)}, each with its usual rate",
    )


def _kind(words: str) -> Headerless:
    try:
        return headerless(words)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
