"""`fsbridge demo`: see the whole thing work in a minute."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        as_json: Annotated[bool, typer.Option("--json", help="one call resource a line instead of the table")] = False,
    ) -> None:
        """Place calls to simulated people, machines, a fax … through the real service, and check each outcome."""
        from api.demo.run import run

        sys.exit(run(as_json))
