"""`fsbridge serve` and `fsbridge init`: run the service on a configuration; write an example of one."""

from __future__ import annotations

import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from fsbridge.errors import ConfigError
from fsbridge.settings import Settings, load

Config = Annotated[Path, typer.Option("--config", "-c", help="the TOML file; see `fsbridge init`")]


def load_or_exit(path: Path) -> Settings:
    """The settings, or every fault on stderr and exit code 2."""
    try:
        return load(path, os.environ)  # noqa: TID251 - the command line hands the environment to the settings
    except ConfigError as error:
        typer.echo(f"{path}: the configuration cannot be used:", err=True)
        for problem in error.problems:
            typer.echo(f"  - {problem}", err=True)
        raise typer.Exit(2) from error


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def serve(config: Config = Path("fsbridge.toml")) -> None:
        """Run the service: REST, event sockets, AMD workers, webhooks."""
        settings = load_or_exit(config)
        from api.main import serve as run

        sys.exit(run(settings))

    @app.command()
    def config(config: Config = Path("fsbridge.toml")) -> None:
        """Check the configuration and print it as the service would see it, secrets masked."""
        typer.echo(load_or_exit(config).model_dump_json(indent=2))

    @app.command()
    def init(path: Annotated[Path, typer.Argument(help="where to write it")] = Path("fsbridge.toml")) -> None:
        """Write a commented example configuration (never over an existing file)."""
        example = files("api").joinpath("fsbridge.example.toml").read_text(encoding="utf-8")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(example)
        except FileExistsError:
            typer.echo(f"{path} exists; it was left as it is", err=True)
            raise typer.Exit(1) from None
        typer.echo(f"wrote {path}; next: fsbridge keys new, then fsbridge doctor --config {path}")
