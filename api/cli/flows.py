"""`fsbridge flows`: check documents, print their schema, play them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from api.cli import flow_run
from fsbridge.flow.document import parse
from fsbridge.flow.errors import FlowInvalid
from fsbridge.flow.library import SUFFIXES
from fsbridge.flow.model import FlowBody


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
        """Print every fault as file:line: step: field: what is wrong; exit code 1 if there is any."""
        faults = 0
        documents = list(_documents(paths))
        for path in documents:
            try:
                parse(path.read_text(encoding="utf-8"), str(path), call_variables=not strict)
            except FlowInvalid as invalid:
                faults += len(invalid.problems)
                for problem in invalid.problems:
                    typer.echo(problem)
            except (OSError, UnicodeDecodeError) as error:
                faults += 1
                reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
                typer.echo(f"{path}: cannot be read: {reason}")
        typer.echo(f"{len(documents)} checked, {faults} faults" if faults else f"{len(documents)} checked, no faults")
        raise typer.Exit(1 if faults or not documents else 0)

    @flows.command()
    def schema() -> None:
        """Print the JSON Schema of a flow document, for editors."""
        typer.echo(json.dumps(FlowBody.model_json_schema(), indent=2))

    flow_run.register(flows)
    app.add_typer(flows, name="flows")


def _documents(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES) if path.is_dir() else [path]
    return found
