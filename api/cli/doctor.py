"""`fsbridge doctor`: whether the configured nodes can do the job, in one screen."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.serve import EXAMPLE_KEY_HASH, Config, load_or_exit
from fsbridge import logs
from fsbridge.doctor.doctor import diagnose
from fsbridge.doctor.findings import Finding, Level
from fsbridge.supervise import Supervisor

_STYLE = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        config: Config = Path("fsbridge.toml"),
        as_json: Annotated[
            bool, typer.Option("--json", help="a JSON list of the findings instead of the table")
        ] = False,
    ) -> None:
        """Tell whether each node can do the job, and what to change. It changes nothing. Exit code 1 on a problem."""
        settings = load_or_exit(config)
        logs.configure(level="error")
        supervisor = Supervisor()
        try:
            findings = diagnose(settings, supervisor, (EXAMPLE_KEY_HASH,))
        finally:
            supervisor.stop()
        if as_json:
            typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        else:
            show(findings, Console(file=sys.stdout))
        raise typer.Exit(1 if any(finding.level is Level.PROBLEM for finding in findings) else 0)


def show(findings: Sequence[Finding], console: Console) -> None:
    """One table a subject, and a line that sums up."""
    for subject in dict.fromkeys(finding.subject for finding in findings):
        table = Table(box=None, show_header=False, pad_edge=False, title=subject, title_justify="left")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for finding in findings:
            if finding.subject == subject:
                said = Text(finding.text)
                if finding.change:
                    said.append(f"\n→ {finding.change}", style="dim")
                table.add_row(Text(finding.level.value, style=_STYLE[finding.level]), Text(finding.check), said)
        console.print(table)
        console.print()
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    console.print(f"{counts[Level.PROBLEM]} problems, {counts[Level.WARNING]} warnings, {counts[Level.OK]} ok")
