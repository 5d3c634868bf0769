"""`fsbridge flows`: check documents, print their schema, play them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from api.cli import flow_run
from api.cli.printing import plain
from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.model import FlowBody
from fsbridge.flow.document.source import SourceError, read
from fsbridge.flow.library.files import SUFFIXES
from fsbridge.simulator.farends.book_file import FarEndError, parse_script
from fsbridge.suite.document import SuiteInvalid
from fsbridge.suite.document import parse as parse_suite

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ID = "urn:fsbridge:flow"
ABOUT = "A conversation on a call: steps one after the other, each with an id and one kind."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    flows = typer.Typer(
        help="Check flow documents, print their JSON Schema, play them; examples.", no_args_is_help=True
    )

    @flows.command()
    def check(
        paths: Annotated[list[Path], typer.Argument(help="documents, or folders of them")],
        strict: Annotated[
            bool, typer.Option("--strict", help="variables that the document does not define are faults, too")
        ] = False,
    ) -> None:
        """Print every fault as file:line: step: field: what is wrong; exit code 1 if there is any.

        In folders, suites of test calls and far ends' scripts are known by their shape, and checked as what they are.
        """
        faults = 0
        documents = list(_documents(paths))
        for path in documents:
            problems = _problems(path, strict)
            faults += len(problems)
            for problem in problems:
                typer.echo(plain(problem))
        typer.echo(f"{len(documents)} checked, {faults} faults" if faults else f"{len(documents)} checked, no faults")
        raise typer.Exit(1 if faults or not documents else 0)

    @flows.command()
    def schema() -> None:
        """Print the JSON Schema of a flow document, for editors."""
        told = {"title": "A flow of fsbridge", "description": ABOUT}
        typer.echo(json.dumps({"$schema": DIALECT, "$id": SCHEMA_ID, **FlowBody.model_json_schema(), **told}, indent=2))

    flow_run.register(flows)
    app.add_typer(flows, name="flows")


def _documents(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES) if path.is_dir() else [path]
    return found


def _problems(path: Path, strict: bool) -> tuple[str, ...]:
    """Every fault of one document, with its place."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        return (f"{path}: cannot be read: {reason}",)
    try:
        value = read(text).value
    except SourceError:
        value = None  # the flow's own reader says what is wrong with the text
    try:
        if isinstance(value, list):
            parse_script(path.stem, "1", value, path.parent)
        elif isinstance(value, dict) and "calls" in value and "steps" not in value:
            parse_suite(text, str(path))
        else:
            parse(text, str(path), call_variables=not strict)
    except (FlowInvalid, SuiteInvalid) as invalid:
        return tuple(invalid.problems)
    except FarEndError as invalid:
        return tuple(f"{path}: {problem}" for problem in invalid.problems)
    return ()
