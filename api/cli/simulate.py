"""`fsbridge simulate`: the embedded FreeSWITCH on its own, so that `serve` can be tried without a real one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def simulate(
        port: Annotated[int, typer.Option(help="event-socket port; 0 chooses a free one")] = 8021,
        host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
        password: Annotated[str, typer.Option(help="event-socket password")] = "ClueCon",
        speed: Annotated[float, typer.Option(help="simulated seconds a second; 1 is real pace")] = 1.0,
        far_ends: Annotated[Path | None, typer.Option(help="YAML file of far-end scripts by number")] = None,
    ) -> None:
        """Run a simulated FreeSWITCH node: event socket, scripted far ends, audio taps."""
        from fsbridge.simulator import run

        run(
            port=port,
            host=host,
            password=password,
            speed=speed,
            far_ends=far_ends,
            on_ready=lambda simulator: typer.echo(f"simulated FreeSWITCH ready on {host}:{simulator.port}"),
        )
