"""`fsbridge simulate` and `fsbridge demo`: the embedded FreeSWITCH on its own, and the whole service against it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import gevent
import typer
from gevent.event import Event


def register(app: typer.Typer) -> None:
    """Add both commands."""

    @app.command()
    def simulate(
        port: Annotated[int, typer.Option(help="event-socket port; 0 chooses a free one")] = 8021,
        host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
        password: Annotated[str, typer.Option(help="event-socket password")] = "ClueCon",
        speed: Annotated[float, typer.Option(help="simulated seconds a second; 1 is real pace")] = 1.0,
        far_ends: Annotated[Path | None, typer.Option(help="YAML file of far-end scripts by number")] = None,
        recordings: Annotated[Path | None, typer.Option(help="folder that recordings are kept in")] = None,
    ) -> None:
        """Run a simulated FreeSWITCH node: event socket, scripted far ends, audio taps. Ctrl-C or SIGTERM ends it."""
        from fsbridge.simulator import FarEndError, Simulator, run

        def ready(simulator: Simulator) -> None:
            typer.echo(f"simulated FreeSWITCH ready on {host}:{simulator.port}")

        stop = Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(name, stop.set)
        try:
            run(
                port=port,
                host=host,
                password=password,
                speed=speed,
                far_ends=far_ends,
                recordings=recordings,
                stop=stop,
                on_ready=ready,
            )
        except (FarEndError, OSError, ValueError) as error:
            typer.echo(f"cannot simulate: {error}", err=True)
            raise typer.Exit(1) from error

    @app.command()
    def demo(
        as_json: Annotated[bool, typer.Option("--json", help="one call resource a line instead of the table")] = False,
    ) -> None:
        """Place calls to simulated people, machines, a fax … through the real service, and check each outcome."""
        from api.demo.run import run

        sys.exit(run(as_json))
