"""`fsbridge serve` and `fsbridge init`: run the service on a configuration; write an example of one."""

from __future__ import annotations

import os
import stat
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from api.cli.printing import plain
from api.demo.scenarios import FLOW, ORG
from api.rest.auth import hash_key, new_key
from fsbridge.errors import ConfigError
from fsbridge.settings.reading import load
from fsbridge.settings.whole import Settings

EXAMPLE_KEY_HASH = hash_key("fsb_example")
"""Stands in the example configuration, and must not stand in anybody's."""
EXAMPLE_KEY_NOTE = (
    '`fsbridge init` puts a fresh one in this place. The hash below is that of "fsb_example": never use it.'
)
KEY_NOTE = "It has done so: the hash below is that of the key that it showed."

Config = Annotated[Path, typer.Option("--config", "-c", help="the TOML file; see `fsbridge init`")]


def load_or_exit(path: Path) -> Settings:
    """The settings, or every fault on stderr and exit code 2."""
    try:
        return load(path, os.environ)  # noqa: TID251 - the command line hands the environment to the settings
    except ConfigError as error:
        typer.echo(f"{path}: the configuration cannot be used:", err=True)
        for problem in error.problems:
            typer.echo(f"  - {plain(problem)}", err=True)
        raise typer.Exit(2) from error


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def serve(config: Config = Path("fsbridge.toml")) -> None:
        """Run the service: REST, event sockets, AMD workers, webhooks."""
        settings = load_or_exit(config)
        if config.stat().st_mode & stat.S_IROTH:
            typer.echo(f"{config}: everybody on this machine can read it, and it holds secrets: chmod o-r", err=True)
        from api.main import serve as run

        sys.exit(run(settings))

    @app.command()
    def config(config: Config = Path("fsbridge.toml")) -> None:
        """Check the configuration and print it as the service would see it, secrets masked."""
        typer.echo(load_or_exit(config).model_dump_json(indent=2))

    @app.command()
    def init(path: Annotated[Path, typer.Argument(help="where to write it")] = Path("fsbridge.toml")) -> None:
        """Write a commented configuration with a fresh API key, and an example flow beside it.

        Existing files are left as they are.
        """
        key = new_key()
        example = files("api").joinpath("fsbridge.example.toml").read_text(encoding="utf-8")
        flow = path.parent / "flows" / ORG / f"{FLOW}.yaml"
        try:
            # Nobody else's to read from its first byte on: passwords come into it.
            with open(path, "x", encoding="utf-8", opener=_owner_only) as file:
                file.write(example.replace(EXAMPLE_KEY_HASH, hash_key(key)).replace(EXAMPLE_KEY_NOTE, KEY_NOTE))
        except FileExistsError:
            typer.echo(f"{path} exists; it was left as it is", err=True)
            raise typer.Exit(1) from None
        flow.parent.mkdir(parents=True, exist_ok=True)
        if not flow.exists():
            flow.write_bytes(files("api.demo").joinpath("reminder.yaml").read_bytes())
        typer.echo(f"wrote {path} and {flow}")
        typer.echo(f"API key (shown once, only its hash is kept): {key}")
        typer.echo("next, each in a terminal of its own:")
        typer.echo("  fsbridge simulate --port 8021   # a simulated FreeSWITCH; or put yours into [[nodes]]")
        typer.echo(f"  fsbridge serve --config {path}")
        typer.echo(f"  fsbridge doctor --config {path}  # what a FreeSWITCH of your own still lacks")


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
