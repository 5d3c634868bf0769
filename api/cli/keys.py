"""`fsbridge keys`: make API keys and their hashes. The service never sees a key that it could show again."""

from __future__ import annotations

import typer

from api.rest.auth import hash_key, new_key

app = typer.Typer(help="API keys: make one, or hash one that you have.", no_args_is_help=True)


@app.command("new")
def new() -> None:
    """Make a key. It is shown once; the configuration gets its hash only."""
    key = new_key()
    typer.echo(f"key:  {key}")
    typer.echo("      give it to the caller over a safe channel; it cannot be shown again")
    _tell_line(key)


@app.command("hash")
def hash_(
    key: str = typer.Option(
        ..., "--key", prompt="API key", hide_input=True, help="the key; asked for, and not shown, when absent"
    ),
) -> None:
    """Hash a key that you have, for the configuration."""
    if len(key.strip()) < 20:
        typer.echo(
            "the key is shorter than 20 characters, so it can be guessed; `fsbridge keys new` makes one", err=True
        )
        raise typer.Exit(2)
    _tell_line(key.strip())


def _tell_line(key: str) -> None:
    typer.echo("hash: put this into the organization's table of the configuration and restart the service:")
    typer.echo(f'      api_keys = ["{hash_key(key)}"]')


def register(parent: typer.Typer) -> None:
    """Put `keys` under the `fsbridge` command."""
    parent.add_typer(app, name="keys")
